import numpy as np
import pytest
import torch

from engine.errors import UserError
from engine.io import read_labels, write_image
from tests.trainer.phantoms import ball_case
from trainer import weights
from trainer.model import build
from trainer.prompts import prompt_of
from trainer.segment import guess_modality, segment_file
from trainer.segmenter import Segmenter


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build("nano", 64)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
@pytest.mark.parametrize("protocol", ["click", "box"])
def test_the_mask_is_on_the_images_grid(model, axis, protocol):
    case = ball_case(size=(24, 20, 9))
    prompt = prompt_of(case.mask("ball"), protocol, axis)
    segmenter = Segmenter(model)
    mask = segmenter.segment(case.image, case.grid, "mr", prompt)
    assert mask.shape == case.image.shape and mask.dtype == bool
    number = "xyz".index(axis)
    alone = segmenter.segment_slice(case.image, case.grid, "mr", prompt)
    assert np.array_equal(np.moveaxis(mask, 2 - number, 0)[prompt.index], alone)


def test_the_same_prompt_gives_the_same_mask(model):
    case = ball_case(size=(24, 20, 9))
    prompt = prompt_of(case.mask("ball"), "click")
    first, second = (Segmenter(model).segment(case.image, case.grid, "mr", prompt) for _ in range(2))
    assert np.array_equal(first, second)


def test_a_scan_in_a_file_gets_a_mask_in_a_file(model, tmp_path):
    case = ball_case(size=(24, 20, 9))
    write_image(tmp_path / "scan.nii.gz", case.image, case.grid)
    weights.save(model, tmp_path / "model")
    out = tmp_path / "mask.nii.gz"
    mask = segment_file(tmp_path / "model", tmp_path / "scan.nii.gz", out, point=(13, 10, 4), modality="mr")
    labels, grid = read_labels(out)
    assert np.array_equal(labels > 0, mask)
    assert grid.size == case.grid.size and np.allclose(grid.affine_lps, case.grid.affine_lps)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({}, "either a point or a box"),
        ({"point": (1, 2)}, "3 numbers, got 2"),
        ({"point": (1, 2, 99)}, "outside the image"),
        ({"point": (1, 2, 3), "axis": "w"}, "axis 'w'"),
        ({"point": (1, 2, 3), "modality": "xray"}, "modality 'xray'"),
    ],
)
def test_a_bad_prompt_is_refused_before_anything_is_written(model, tmp_path, arguments, message):
    case = ball_case(size=(24, 20, 9))
    write_image(tmp_path / "scan.nii.gz", case.image, case.grid)
    with pytest.raises(UserError, match=message):
        segment_file(tmp_path / "model", tmp_path / "scan.nii.gz", tmp_path / "mask.nii.gz", **arguments)
    assert not (tmp_path / "mask.nii.gz").exists()


def test_hounsfield_units_are_recognised():
    rng = np.random.default_rng(0)
    ct = np.where(rng.random((8, 8, 8)) < 0.5, -1000.0, 40.0)
    assert guess_modality(ct) == "ct"
    assert guess_modality(np.abs(ct)) == "mr"
