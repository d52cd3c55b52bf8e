"""Scenes as datasets of PyTorch, MONAI and TorchIO."""

import itertools
import pickle
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from engine import device, drawn
from engine.dataset import Request, generate
from engine.drawn import volumes
from engine.errors import UserError
from engine.io import read_image, read_labels
from engine.scene import Scene

ROOT = Path(__file__).parents[2]
SCENE = """
viscera: 1
name: {name}
seed: 1
grid: {{size: [24, 20, 16], spacing: [2, 2, 3]}}
background: water
structures:
  {name}_body: {{kind: ellipsoid, material: fat, at: [{{uniform: [-4, 4]}}, 0, 0], radii: [20, 16, 20]}}
  organ: {{kind: sphere, material: liver, inside: {name}_body, at: [6, 2, 0], radius: {{uniform: [7, 10]}}}}
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    paths = [folder / f"{name}.yaml" for name in ("one", "two")]
    for path in paths:
        path.write_text(SCENE.format(name=path.stem))
    return paths


def test_a_volume_is_what_generate_writes(files, tmp_path):
    request = Request(
        tuple(map(Scene.load, files)), tmp_path / "data", count=2, seed=5, modalities=("ct", "mr"), size=16
    )
    generate(request)
    dataset = volumes(files, seed=5, count=3, modalities=("ct", "mr"), size=16)
    items = list(itertools.islice(dataset, 3))
    assert [item["name"] for item in items] == ["one_0000", "two_0000", "one_0001"]
    for item in items:
        for channel in range(2):
            image, grid = read_image(request.out / "imagesTr" / f"{item['name']}_{channel:04d}.nii.gz")
            assert np.array_equal(np.rint(item["image"][channel].numpy().transpose(2, 1, 0)), image)
        labels, _ = read_labels(request.out / "labelsTr" / f"{item['name']}.nii.gz")
        assert np.array_equal(item["label"][0].numpy().transpose(2, 1, 0), labels)
        assert np.allclose(item["affine"].numpy(), grid.affine_ras, atol=1e-4)
        assert item["image"].dtype == torch.float32 and item["label"].dtype == torch.uint8
    assert dataset.structures == {"one_body": [1, 2], "organ": [2, 4], "two_body": [3, 4]}


def test_endless_volumes_begin_as_counted_ones(files):
    counted, endless = (volumes(files, count=count, modalities=("mr",), size=8) for count in (4, None))
    for a, b in zip(counted, itertools.islice(endless, 4), strict=True):
        assert a["name"] == b["name"] and torch.equal(a["label"], b["label"])
    assert len(counted) == 4 and endless.structures == counted.structures


def test_an_index_counts_from_either_end(files):
    dataset = volumes(files[0], count=3, modalities=("mr",), size=8)
    assert torch.equal(dataset[-1]["label"], dataset[2]["label"])
    with pytest.raises(IndexError):
        dataset[3]


def test_a_transform_is_applied(files):
    dataset = volumes(files[0], count=1, modalities=("mr",), size=8, transform=lambda item: item["name"])
    assert dataset[0] == "one_0000"


def test_workers_share_endless_volumes_out(files, monkeypatch):
    dataset = volumes(files[0], modalities=("mr",), size=8)
    shares = []
    for number in range(2):
        worker = SimpleNamespace(id=number, num_workers=2)
        monkeypatch.setattr(drawn, "get_worker_info", lambda worker=worker: worker)
        monkeypatch.setattr(device, "start", lambda *_, **__: device.device())  # this is no worker process
        shares.append([item["name"] for item in itertools.islice(dataset, 2)])
    assert shares == [["one_0000", "one_0002"], ["one_0001", "one_0003"]]


def test_a_dataset_travels_to_another_process(files):
    dataset = volumes(files, count=2, modalities=("mr",), size=8)
    again = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(again[1]["image"], dataset[1]["image"]) and again.structures == dataset.structures


@pytest.mark.slow
def test_worker_processes_draw_the_same(files):
    dataset = volumes(files[0], modalities=("ct",), size=8)
    loader = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context="spawn")
    found = {item["name"]: item["image"] for item in itertools.islice(loader, 3)}
    assert sorted(found) == ["one_0000", "one_0001", "one_0002"]
    for item in itertools.islice(dataset, 3):
        assert torch.equal(item["image"], found[item["name"]])


def test_a_forked_worker_is_refused_at_once(files):
    device.start()
    loader = DataLoader(
        volumes(files[0], count=1, modalities=("mr",), size=8),
        num_workers=1,
        multiprocessing_context="fork",
        timeout=60,
    )
    with pytest.raises(UserError, match="multiprocessing_context='spawn'"):
        next(iter(loader))


@pytest.mark.parametrize("package", ["monai", "torchio"])
def test_a_missing_package_is_named(files, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=f"pip install {package}"):
        volumes(files, form=package)


def test_wrong_requests_are_refused(files, tmp_path):
    wrong = (
        ({"modalities": ("pet",)}, "volumes: modality 'pet' is unknown; use ct, mr, us"),
        ({"form": "numpy"}, "form 'numpy' is unknown; use tensors, monai, torchio"),
        ({"count": 0}, "count is 0"),
        ({"size": 0}, "volumes: size is 0 voxels"),
    )
    for values, message in wrong:
        with pytest.raises(UserError, match=message):
            volumes(files, **values)
    with pytest.raises(UserError, match="no scene was given"):
        volumes([])
    with pytest.raises(UserError, match=r"none\.yaml"):
        volumes(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="varies in nothing"):
        volumes(Scene.load(files[0]).sample(1))
    assert len(volumes(Scene.load(files[0]).sample(1), count=1)) == 1


def test_monai_reads_them(files):
    data = pytest.importorskip("monai.data")
    transforms = pytest.importorskip("monai.transforms")
    keys = ["image", "label"]
    chain = transforms.Compose(
        [
            transforms.Orientationd(keys, "RAS", labels=None),
            transforms.Spacingd(keys, (2, 2, 2), mode=("bilinear", "nearest")),
        ]
    )
    plain = volumes(files, count=2, modalities=("ct", "mr"))
    batch = next(iter(data.DataLoader(volumes(files, None, 2, ("ct", "mr"), None, "monai", chain), batch_size=2)))
    assert isinstance(batch["image"], data.MetaTensor) and batch["image"].shape[:2] == (2, 2)
    assert batch["image"].shape[2:] == (24, 20, 24), batch["image"].shape
    # x and y run the other way in RAS+; along z every second slice of 2 mm meets every third of 3 mm
    for i in range(2):
        turned = plain[i]["label"].flip(1, 2)
        assert torch.equal(
            batch["label"][i].as_tensor()[..., 0::3][..., :5].to(torch.uint8), turned[..., 0::2][..., :5]
        )
        centre = batch["image"].affine[i] @ torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64)
        corner = plain[i]["affine"] @ torch.tensor([23.0, 19.0, 0.0, 1.0], dtype=torch.float64)
        assert torch.allclose(centre, corner)
    assert batch["name"] == ["one_0000", "two_0000"]


def test_torchio_reads_them(files):
    torchio = pytest.importorskip("torchio")
    plain = volumes(files, count=2, modalities=("ct", "us"))
    subjects = volumes(files, None, 2, ("ct", "us"), None, "torchio", torchio.ToCanonical())
    subject = subjects[1]
    assert isinstance(subject.ct, torchio.ScalarImage) and isinstance(subject.label, torchio.LabelMap)
    assert subject.spacing == (2.0, 2.0, 3.0) and tuple(subject.ct.orientation) == ("R", "A", "S")
    assert torch.equal(subject.us.data[0], plain[1]["image"][1].flip(0, 1))
    assert torch.equal(subject.label.data, plain[1]["label"].flip(1, 2))
    batch = next(iter(torchio.SubjectsLoader(subjects, batch_size=2)))
    assert batch["ct"][torchio.DATA].shape == (2, 1, 24, 20, 16) and batch["name"] == ["one_0000", "two_0000"]


BLOCKS = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text().partition("## Volumes for")[2], re.S
)


@pytest.mark.parametrize("number", range(3))
def test_the_examples_of_the_documentation_run(number, files):
    code = BLOCKS[number]
    for package in ("monai", "torchio"):
        if package in code:
            pytest.importorskip(package)
    scene = Scene.load(files[0])
    liver = {"liver" if name == "organ" else name: body for name, body in scene.structures.items()}
    wide = scene.grid.model_copy(update={"spacing": (6.0, 6.0, 6.0), "size": (64, 64, 48)})
    names = {"abdomen": scene.model_copy(update={"structures": liver, "grid": wide})}
    exec(code, names)
    if number == 0:
        volume = names["volume"]
        assert volume["image"].shape == (2, 64, 64, 48) and volume["label"].shape == (1, 64, 64, 48)
    elif number == 1:
        assert [names["batch"][key].shape for key in ("image", "label")] == [(2, 1, 32, 32, 32)] * 2
    else:
        assert [names["batch"][key]["data"].shape for key in ("ct", "label")] == [(2, 1, 64, 64, 48)] * 2
