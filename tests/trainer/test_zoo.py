import hashlib

import pytest
import torch

from engine.errors import UserError
from trainer import weights, zoo
from trainer.model import build


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Files of a pretended site by name; torch's cache is elsewhere."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.setattr(zoo, "SOURCE", site.as_uri())
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "cache"))

    def publish(name, content):
        (site / f"{name}.pt").write_bytes(content)
        monkeypatch.setitem(zoo.OFFICIAL, name, hashlib.sha256(content).hexdigest())
        return site / f"{name}.pt"

    return publish


def test_a_path_is_taken_as_it_is(tmp_path):
    assert zoo.place_of(tmp_path) == tmp_path


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(UserError, match=r"no such model; .*hiera_tiny"):
        zoo.place_of("sam3")


@pytest.mark.parametrize("name", ["sam2.1_hiera_tiny", "sam2.1_hiera_tiny.pt"])
def test_an_official_checkpoint_is_fetched_once(published, name):
    source = published("sam2.1_hiera_tiny", b"weights")
    first = zoo.place_of(name)
    assert first.read_bytes() == b"weights"
    source.unlink()
    assert zoo.place_of(name) == first


def test_a_file_that_is_not_the_published_one_is_refused(published):
    source = published("sam2.1_hiera_tiny", b"weights")
    source.write_bytes(b"something else")
    with pytest.raises(UserError, match="not the published file"):
        zoo.place_of("sam2.1_hiera_tiny")
    source.write_bytes(b"weights")  # nothing of the wrong file is kept
    assert zoo.place_of("sam2.1_hiera_tiny").read_bytes() == b"weights"


def test_without_a_network_it_says_what_to_do(published):
    published("sam2.1_hiera_tiny", b"weights").unlink()
    with pytest.raises(UserError, match=r"cannot be downloaded .*fetch file.* and put it at "):
        zoo.place_of("sam2.1_hiera_tiny")


def test_what_is_shipped_has_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "SHIPPED", tmp_path)
    model = build("nano", 64)
    model.network.half()
    weights.save(model, tmp_path / "nano")
    loaded = weights.load("nano")
    assert loaded.spec == model.spec
    for name, value in loaded.network.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, model.network.state_dict()[name].float())
