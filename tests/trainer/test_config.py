from pathlib import Path

import pytest

from engine.errors import UserError
from trainer import places
from trainer.config import load
from trainer.schedule import locate, rate

TEXT = """\
model: nano
image_size: 64
data:
  dataset: data
phases:
  - {steps: 10, batch: 2}
  - {steps: 20, frames: 3, prompts: {box: 0.2}}
learning_rate: 1.0e-3
warmup: 5
"""


def _load(tmp_path, text=TEXT, changes=()):
    path = tmp_path / "train.yaml"
    path.write_text(text)
    return load(path, changes)


def test_a_configuration_is_read_and_changed(tmp_path):
    (tmp_path / "data").mkdir()
    config = _load(tmp_path, changes=("phases.1.steps=7", "seed=4", "data.workers=0"))
    assert (config.steps, config.seed, config.data.workers) == (17, 4, 0)
    assert config.data.dataset == str(tmp_path / "data")  # beside the file that names it
    assert config.phases[1].prompts.box == 0.2


def test_scenes_and_configurations_that_come_with_viscera_go_by_name(tmp_path):
    (tmp_path / "brain.yaml").write_text("")
    (tmp_path / "abdomen").mkdir()
    config = _load(tmp_path, TEXT.replace("dataset: data", "scenes: [abdomen, shapes, brain.yaml, other.yaml, mine]"))
    gallery, shapes, *others = config.data.scenes
    assert Path(gallery).is_file() and Path(shapes).is_file()
    assert others == [str(tmp_path / "brain.yaml"), "other.yaml", "mine"]
    assert load(places.config(tmp_path, "demo")).model == "nano"
    assert load(places.config(tmp_path, "viscera")).steps > 1000


def test_every_mistake_is_shown_at_its_place(tmp_path):
    text = TEXT.replace("warmup: 5", "warm_up: 5").replace("steps: 10", "steps: 0")
    with pytest.raises(UserError) as caught:
        _load(tmp_path, text)
    message = str(caught.value)
    assert "train.yaml:9:1" in message and "unknown key 'warm_up'" in message and "did you mean 'warmup'?" in message
    assert "train.yaml:6:6" in message and "greater than or equal to 1" in message


@pytest.mark.parametrize(
    "before, after, message",
    [
        ("  dataset: data", "  dataset: data\n  scenes: [a.yaml]", "one of 'scenes', 'dataset' and 'generator'"),
        ("image_size: 64", "image_size: 70", "multiple of 32"),
        ("model: nano", "model: giant", "'nano', 'tiny'"),
        ("data:\n  dataset: data\n", "", "'data' is missing"),
        ("warmup: 5", "warmup: [", "not valid YAML"),
    ],
)
def test_impossible_values_are_refused(tmp_path, before, after, message):
    with pytest.raises(UserError, match=message):
        _load(tmp_path, TEXT.replace(before, after))


@pytest.mark.parametrize(
    "change, message",
    [
        ("steps", "key=value"),
        ("phases.5.steps=1", "there is no '5'"),
        ("learning_rate=fast", "--set learning_rate=fast"),
        ("speed=1", "unknown key 'speed'"),
        ("model.x=1", "single value"),
    ],
)
def test_a_bad_change_is_named(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        _load(tmp_path, changes=(change,))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        load(tmp_path / "none.yaml")


def test_the_rate_rises_and_falls(tmp_path):
    config = _load(tmp_path)
    rates = [rate(config, step) for step in range(config.steps)]
    assert rates[0] == pytest.approx(2e-4, rel=0.01)
    assert max(rates) == rates[4] <= 1e-3
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] == pytest.approx(1e-3 * (0.02 + 0.98 / config.steps), rel=0.01)
    assert [locate(config, step) for step in (0, 9, 10, 29)] == [(0, 0), (0, 9), (1, 0), (1, 19)]
