"""Results kept of an evaluation: which, where, and that they say what was found; records and their marks."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.grid import Grid
from engine.io import read_labels, write_image
from tests.trainer.phantoms import ball_case, score_of, write_dataset, write_real
from trainer import results
from trainer.cases import open_dataset
from trainer.evaluate import evaluate
from trainer.metrics import dice
from trainer.model import build
from trainer.prompts import Prompt
from trainer.real import pair
from trainer.record import marks_of
from trainer.results import FOLDER, result_of


@pytest.fixture
def case(tmp_path):
    """A case whose image is in a file."""
    case = ball_case(size=(20, 18, 8))
    return replace(case, file=write_image(tmp_path / "ball.nii.gz", case.image, case.grid), dataset="balls")


def made(case, value, name="ball", protocol="box"):
    truth = case.mask("ball")
    score = replace(score_of(name, value, structure="ball", dataset=case.dataset), protocol=protocol)
    return result_of(case, truth, np.roll(truth, 2, 2), Prompt("z", 4, clicks=(((11.0, 9.0), True),)), score)


def test_a_result_holds_truth_and_prediction_in_little_room(case):
    result = made(case, 0.5)
    truth = case.mask("ball")
    assert np.array_equal(result.labels & 1 > 0, truth)
    assert np.array_equal(result.labels & 2 > 0, np.roll(truth, 2, 2))
    assert len(result.packed) < truth.size / 8


def test_a_prediction_of_nothing_is_kept_too(case):
    truth = case.mask("ball")
    result = result_of(case, truth, np.zeros_like(truth), Prompt("z", 4, box=(5, 5, 9, 9)), score_of("a", 0.0))
    assert np.array_equal(result.labels, truth.astype(np.uint8))


def test_an_image_that_is_in_no_file_of_its_own_is_not_copied(case):
    assert made(replace(case, file=None), 0.5) is None


def test_best_median_and_worst_of_each_set_and_protocol_are_kept_or_all(case, tmp_path):
    values = (0.9, 0.1, 0.5, 0.7, 0.3)
    found = [made(case, v, f"ball {v}", p) for p in ("box", "click") for v in values]
    results.write(tmp_path / "out", found)
    records = [json.loads(file.read_text()) for file in sorted((tmp_path / "out").glob("*.json"))]
    assert [r["dice"] for r in records] == [0.1, 0.1, 0.5, 0.5, 0.9, 0.9]
    assert "prompt: click, median of 5" in records[3]["notes"]
    results.write(tmp_path / "out", found, every=True)
    assert len(list((tmp_path / "out").glob("*.json"))) == len(list((tmp_path / "out").glob("*.nii.gz"))) == 10
    results.write(tmp_path / "out", found[:1])
    assert len(list((tmp_path / "out").iterdir())) == 2  # nothing is left of other evaluations


def test_evaluation_leaves_records_that_agree_with_its_scores(tmp_path):
    write_real(tmp_path / "scans", count=1)
    torch.manual_seed(7)
    report = evaluate(build("nano", 64), tmp_path / "scans", ("box",), tmp_path / "out", baselines=False)
    files = sorted((tmp_path / "out" / FOLDER).glob("*.json"))
    assert len(files) == len(report.scores) == 2
    for file in files:
        record = json.loads(file.read_text())
        labels, grid = read_labels(file.with_name(record["labels"]))
        assert grid.size == ball_case().grid.size
        assert dice(labels & 2 > 0, labels & 1 > 0) == pytest.approx(record["dice"], abs=1e-5)
        image = tmp_path / "scans" / "images" / "ball_0.nii.gz"
        assert record["image"][0] == str(image) and (file.parent / record["image"][1]).resolve() == image


def test_every_layout_with_image_files_says_where_they_are(tmp_path):
    write_dataset(tmp_path / "made", count=1)
    write_real(tmp_path / "scans", count=1)
    for name in ("made", "scans"):
        assert open_dataset(tmp_path / name)[0].file.is_file()
    files = [tmp_path / "scans" / part / "ball_0.nii.gz" for part in ("images", "labels")]
    assert pair(*files, "mr", {}).file == files[0]


@pytest.mark.parametrize(("axis", "voxel"), [("x", (3, 5, 6)), ("y", (5, 3, 6)), ("z", (5, 6, 3))])
def test_marks_are_where_the_prompt_was_given(axis, voxel):
    turned = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    grid = Grid((9, 10, 11), (1.0, 2.0, 3.0), (5.0, -7.0, 2.0), turned)
    (click,) = marks_of(grid, Prompt(axis, 3, clicks=(((5.0, 6.0), True),)))
    assert click["kind"] == "on"
    assert np.allclose(click["points"], grid.to_world(np.array([voxel], float)))


def test_a_box_holds_its_outermost_pixels_whole_and_a_mask_shows_its_rim():
    grid = Grid((10, 10, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    (box,) = marks_of(grid, Prompt("z", 2, box=(3.0, 4.0, 6.0, 7.0)))
    assert box == {"kind": "box", "points": [[2.5, 3.5, 2.0], [6.5, 7.5, 2.0]]}
    mask = np.zeros((10, 10), bool)
    mask[2:6, 3:8] = True
    (dots,) = marks_of(grid, Prompt("z", 1, mask=mask))
    assert dots["kind"] == "dots" and len(dots["points"]) == 20 - 6
    later = marks_of(grid, Prompt("z", 1, mask=mask), [(3, (1.0, 1.0), False)])[1]
    assert later == {"kind": "off", "points": [[1.0, 1.0, 3.0]]}
