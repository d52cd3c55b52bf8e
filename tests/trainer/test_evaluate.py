import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image

from engine.errors import UserError
from tests.trainer.phantoms import ball_case, write_dataset
from trainer.evaluate import ELLIPSE, MODEL, REGION, RIVAL, evaluate
from trainer.model import build


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build("nano", 64)


def test_an_evaluation_writes_its_tables_and_pictures(model, tmp_path):
    data = write_dataset(tmp_path / "data", count=1)
    report = evaluate(model, data, ("box", "click"), tmp_path / "out")
    assert {(s.structure, s.protocol, s.method) for s in report.scores} == {
        (structure, protocol, method)
        for structure in ("ball", "core")
        for protocol, methods in (("box", (MODEL, ELLIPSE)), ("click", (MODEL, REGION)))
        for method in methods
    }
    content = json.loads((tmp_path / "out" / "scores.json").read_text())
    rows = list(csv.DictReader((tmp_path / "out" / "scores.csv").read_text().splitlines()))
    assert len(content["scores"]) == len(rows) == 8
    assert (tmp_path / "out" / "table.md").read_text().count("\n| ball") == 4
    assert Image.open(tmp_path / "out" / "overlays.png").size[0] > 100


def test_baselines_score_as_geometry_says(model):
    report = evaluate(model, [ball_case()], ("box", "click"))
    by_method = {s.method: s for s in report.scores if s.structure == "ball"}
    assert by_method[ELLIPSE].slice_dice > 0.95
    assert by_method[REGION].slice_dice < by_method[ELLIPSE].slice_dice  # the brighter core is not the whole ball
    assert all(0 <= s.volume_iou <= s.volume_dice <= 1 for s in report.scores)


def test_another_model_is_scored_on_the_same_prompts(model):
    report = evaluate(model, [ball_case()], ("box",), baselines=False, rival=model)
    mine, other = ([s.volume_dice for s in report.scores if s.method == name] for name in (MODEL, RIVAL))
    assert mine == other
    assert len(mine) == 2


def test_an_empty_structure_is_skipped_with_a_note(model):
    case = ball_case()
    absent = {**case.structures, "gone": (9,)}
    case = type(case)(case.name, case.modality, case.grid, case.image, case.labels, absent)
    report = evaluate(model, [case], ("click",), baselines=False)
    assert report.skipped == ("ball_mr: 'gone' is empty",)
    assert "gone" in report.markdown()
    assert np.isfinite([row["volume_dice"] for row in report.table()]).all()


def test_only_empty_masks_cannot_be_evaluated(model):
    with pytest.raises(UserError, match="nothing to evaluate"):
        evaluate(model, [ball_case(empty=True)], ("box",))


def test_an_unknown_protocol_is_refused(model):
    with pytest.raises(UserError, match="telepathy"):
        evaluate(model, [ball_case()], ("telepathy",))
