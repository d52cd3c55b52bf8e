import json

import numpy as np
import pytest
import torch
from PIL import Image

from engine.errors import UserError
from engine.grid import Grid
from engine.io import read_labels, write_image, write_labels
from tests.trainer.phantoms import ball_case
from trainer import weights
from trainer.model import build
from trainer.overlays import flips
from trainer.segment import Target, guess_modality, segment_file, targets_of
from viewer.opening import open_subject

SIZE = (24, 20, 9)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    return weights.save(build("nano", 64), tmp_path_factory.mktemp("model") / "model")


@pytest.fixture
def scan(tmp_path):
    case = ball_case(size=SIZE)
    write_image(tmp_path / "scan.nii.gz", case.image, case.grid)
    write_labels(tmp_path / "core.nii.gz", case.mask("core").astype(np.uint8), case.grid)
    return tmp_path / "scan.nii.gz"


def test_each_object_gets_a_label_a_name_and_a_picture(model, scan, tmp_path):
    out, picture = tmp_path / "mask.nii.gz", tmp_path / "seen.png"
    core = [f"core={tmp_path}/core.nii.gz"]
    shown = targets_of(["ball=13,10,4", "ball=13,10,6"], ["ball=1,1,4"], ["box=8,6,3,18,14,5"], core)
    labels = segment_file(model, scan, out, shown, modality="mr", picture=picture)
    stored, grid = read_labels(out)
    assert np.array_equal(stored, labels) and grid.size == SIZE
    record = json.loads((tmp_path / "mask.json").read_text())
    assert {name: one["labels"] for name, one in record["structures"].items()} == {"ball": [1], "box": [2], "core": [3]}
    kinds = [mark["kind"] for mark in record["marks"]]
    assert kinds == ["on", "off", "on", "box", "dots"]
    seen = open_subject(out)
    assert list(seen.names.values()) == ["ball", "box", "core"] and list(seen.images) == ["mr"]
    assert (labels == 3).any() and set(np.unique(labels)) <= {0, 1, 2, 3}
    assert Image.open(picture).size[0] > 3 * 300


def test_points_on_other_slices_correct_them(model, scan, tmp_path):
    first = ((13.0, 10.0, 4.0), True)
    later = (((13.0, 10.0, 7.0), True), ((2.0, 2.0, 7.0), False))
    one, two = (
        segment_file(model, scan, tmp_path / f"{len(clicks)}.nii.gz", [Target(clicks=clicks)], modality="mr")
        for clicks in ((first,), (first, *later))
    )
    assert np.array_equal(one[4], two[4]) and not np.array_equal(one[7], two[7])


def test_an_object_stays_on_the_slices_that_are_said_to_show_it(model, scan, tmp_path):
    shown = targets_of(["ball=13,10,4"], boxes=["box=8,6,3,18,14,5"], slices=["ball=6,2"])
    labels = segment_file(model, scan, tmp_path / "mask.nii.gz", shown, modality="mr")
    for number, slices in ((1, range(2, 7)), (2, range(3, 6))):
        found = np.flatnonzero((labels == number).any(axis=(1, 2)))
        assert len(found) and set(found) <= set(slices)


def test_a_picture_takes_two_numbers(model, tmp_path):
    case = ball_case(size=(40, 36, 9))
    write_image(tmp_path / "scan.nrrd", case.image[4:5], Grid.centred((40, 36, 1), (1.0, 1.0, 1.0)))
    target = targets_of(boxes=["10,8,30,28"])
    labels = segment_file(model, tmp_path / "scan.nrrd", tmp_path / "mask.nrrd", target, modality="mr")
    assert labels.shape == (1, 36, 40) and labels.any()


def test_millimetres_are_those_of_the_scan(model, scan, tmp_path):
    _, grid = read_labels(tmp_path / "core.nii.gz")
    x, y, z = grid.to_world(np.array([13.0, 10.0, 4.0]))
    voxels = segment_file(model, scan, tmp_path / "a.nii.gz", targets_of(["13,10,4"]), modality="mr")
    world = segment_file(model, scan, tmp_path / "b.nii.gz", targets_of([f"{x},{y},{z}"]), modality="mr", world=True)
    assert np.array_equal(voxels, world)


@pytest.mark.parametrize(
    "options, arguments, message",
    [
        ({}, {}, "give a point, a box or a mask"),
        ({"points": ["1,2"]}, {}, "object: a point has 3 numbers, got 2"),
        ({"boxes": ["a=1,2,3,4"]}, {}, "a: a box has 6 numbers, got 4"),
        ({"points": ["1,2,99"]}, {}, "outside the image"),
        ({"outside": ["1,2,3"]}, {}, "points off it alone say nothing"),
        ({"points": ["1,2,3"]}, {"axis": "w"}, "axis 'w'"),
        ({"points": ["1,2,3"]}, {"modality": "xray"}, "modality 'xray'"),
        ({"masks": ["other.nii.gz"]}, {}, "another grid than the scan"),
        ({"masks": ["none.nii.gz"]}, {}, "the mask is empty"),
        ({"points": ["1,2,3"], "masks": ["core.nii.gz"], "boxes": ["1,1,1,5,5,5"]}, {}, "either a box or a mask"),
        ({"points": ["1,2,3"], "slices": ["2"]}, {}, "slices are two numbers"),
        ({"points": ["1,2,3"], "slices": ["2,3.5"]}, {}, "slices are two numbers"),
        ({"points": ["1,2,3"], "slices": ["2,9"]}, {}, "slices 2 to 9; across z there are 0 to 8"),
        ({"points": ["1,2,3", "1,2,7"], "slices": ["5,2"]}, {}, "shown on slice 7, outside its slices 2 to 5"),
        ({"points": ["1,2,8"], "boxes": ["1,1,1,5,5,5"]}, {}, "shown on slice 8, outside its slices 1 to 5"),
    ],
)
def test_a_bad_prompt_is_refused_before_anything_is_written(
    model, scan, tmp_path, monkeypatch, options, arguments, message
):
    monkeypatch.chdir(tmp_path)
    write_labels(tmp_path / "other.nii.gz", np.ones((3, 3, 3), np.uint8), Grid.centred((3, 3, 3), (1.0, 1.0, 1.0)))
    write_labels(tmp_path / "none.nii.gz", np.zeros((9, 20, 24), np.uint8), ball_case(size=SIZE).grid)
    with pytest.raises(UserError, match=message):
        segment_file(model, scan, tmp_path / "mask.nii.gz", targets_of(**options), **arguments)
    assert not (tmp_path / "mask.nii.gz").exists()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"points": ["1,x,3"]}, "'1,x,3' is no list of numbers"),
        ({"boxes": ["1,1,1,2,2,2", "1,1,1,2,2,2"]}, "object: more than one box; name the objects"),
    ],
)
def test_options_that_say_nothing_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        targets_of(**options)


def test_a_volume_larger_than_memory_is_refused(model, scan, tmp_path, monkeypatch):
    monkeypatch.setattr("engine.memory.available", lambda: 1000)
    with pytest.raises(UserError, match=r"scan.nii.gz: a volume of 24 x 20 x 9 voxels needs .* GiB"):
        segment_file(model, scan, tmp_path / "mask.nii.gz", targets_of(["13,10,4"]), modality="mr")


def test_slices_are_shown_as_radiologists_see_them():
    grid = Grid.centred((4, 4, 4), (1.0, 1.0, 1.0))  # left, posterior, superior
    assert flips(grid, "z") == (False, False)
    assert flips(grid, "y") == flips(grid, "x") == (True, False)
    turned = Grid((4, 4, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0))
    assert flips(turned, "z") == (True, True)


def test_hounsfield_units_are_recognised():
    rng = np.random.default_rng(0)
    ct = np.where(rng.random((8, 8, 8)) < 0.5, -1000.0, 40.0)
    assert guess_modality(ct) == "ct"
    assert guess_modality(np.abs(ct)) == "mr"
