import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from engine.errors import UserError
from tests.trainer.phantoms import ball_case, write_dataset, write_real
from trainer.baselines import COPY, ELLIPSE, REGION
from trainer.evaluate import corrected, evaluate, fresh
from trainer.findings import FILE
from trainer.metrics import dice
from trainer.model import build
from trainer.protocols import PROTOCOLS
from trainer.scores import MODEL, RIVAL, UNTRAINED
from trainer.segmenter import Segmenter
from trainer.tables import markdown


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(7)
    return build("nano", 64)


@pytest.fixture(scope="module")
def everything(model, tmp_path_factory):
    """One small case by every protocol, and what was written."""
    out = tmp_path_factory.mktemp("out")
    case = ball_case(size=(24, 22, 5))
    return evaluate(model, [replace(case, structures={"ball": (1, 2)}, dataset="balls")], tuple(PROTOCOLS), out), out


def test_every_protocol_is_scored_beside_its_baselines(everything):
    report, _ = everything
    assert {(s.protocol, s.method) for s in report.scores} == {
        (name, method) for name, p in PROTOCOLS.items() for method in (MODEL, UNTRAINED, p.baseline)
    }
    assert all(0 <= s.volume_iou <= s.volume_dice <= 1 and 0 <= s.slice_nsd <= 1 for s in report.scores)
    assert all(s.slice_dice == s.slice_nsd == 1 for s in report.scores if s.protocol == "mask" and s.method == MODEL)


def test_tables_and_pictures_are_written(everything):
    report, out = everything
    content = json.loads((out / "scores.json").read_text())
    rows = list(csv.DictReader((out / "scores.csv").read_text().splitlines()))
    assert len(content["scores"]) == len(rows) == len(report.scores) == 3 * len(PROTOCOLS)
    assert float(rows[0]["volume_hd95"]) == content["scores"][0]["volume_hd95"]
    assert set(content["protocols"]) == set(PROTOCOLS)
    assert {row["level"] for row in content["table"]} == {"structure", "dataset", "modality"}
    table = (out / "table.md").read_text()
    assert table == markdown(report)
    assert table.count("\n| balls | ball | mr | ") == 3 * len(PROTOCOLS)
    assert Image.open(out / "overlays.png").size[0] > 100
    assert {file.stem for file in (out / "overlays").iterdir()} == set(PROTOCOLS)


def test_the_same_run_gives_the_same_scores(model, everything):
    report, _ = everything
    case = replace(ball_case(size=(24, 22, 5)), structures={"ball": (1, 2)}, dataset="balls")
    again = evaluate(model, [case], ("box-jittered", "click-off-centre"))
    before = {(s.protocol, s.method): replace(s, seconds=0) for s in report.scores}
    assert all(replace(s, seconds=0) == before[s.protocol, s.method] for s in again.scores)


def test_baselines_score_as_geometry_says(model):
    report = evaluate(model, [ball_case()], ("box", "click", "mask"))
    by_method = {s.method: s for s in report.scores if s.structure == "ball"}
    assert by_method[ELLIPSE].slice_dice > 0.95
    assert by_method[REGION].slice_dice < by_method[ELLIPSE].slice_dice  # the brighter core is not the whole ball
    truth = ball_case().mask("ball")
    there = truth.any(axis=(1, 2))
    copied = np.where(there[:, None, None], truth[truth.sum(axis=(1, 2)).argmax()], False)
    assert by_method[COPY].volume_dice == pytest.approx(dice(copied, truth), abs=1e-5)
    assert by_method[COPY].volume_hd95 > 2


def test_another_model_is_scored_on_the_same_prompts(model):
    report = evaluate(model, [ball_case()], ("box",), baselines=False, rival=model)
    mine, other = ([s.volume_dice for s in report.scores if s.method == name] for name in (MODEL, RIVAL))
    assert mine == other
    assert len(mine) == 2


def test_the_untrained_model_is_always_the_same_and_leaves_chance_alone(model):
    torch.manual_seed(3)
    first = fresh(model)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert drawn == torch.rand(1)
    assert first.spec == model.spec
    pairs = zip(first.network.parameters(), fresh(model).network.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


class _Listener:
    """A model that puts right one side of the truth for each click on it."""

    def __init__(self, truth):
        self.truth, self.shown, self.clicks = truth, np.zeros_like(truth), []

    def correct(self, position, on):
        column, row = map(int, position)
        assert self.truth[row, column] == on and self.shown[row, column] != on
        near = np.hypot(*np.subtract(np.indices(self.truth.shape), [[[row]], [[column]]])) < 6
        self.shown = np.where(near, self.truth, self.shown)
        self.clicks.append(on)


def test_correction_clicks_reduce_the_error():
    truth = ball_case().mask("ball")[16]
    scores = []
    for clicks in (0, 2, 4, 8):
        listener = _Listener(truth)
        corrected(listener, truth, clicks)
        assert len(listener.clicks) == clicks
        scores.append(dice(listener.shown, truth))
    assert scores[0] == 0 and (np.diff(scores) > 0).all()
    listener.shown = truth.copy()
    corrected(listener, truth, 3)
    assert len(listener.clicks) == 8  # nothing is wrong: nothing is clicked


def test_an_empty_structure_is_skipped_with_a_note(model):
    case = ball_case()
    case = replace(case, structures={**case.structures, "gone": (9,)})
    report = evaluate(model, [case], ("click",), baselines=False)
    assert report.skipped == ("ball_mr: 'gone' is empty",)
    assert "gone" in markdown(report)


def test_a_folder_of_sets_is_scored_and_what_cannot_be_read_is_said(model, tmp_path, capsys):
    write_dataset(tmp_path / "made", count=1)
    write_real(tmp_path / "scans", count=2)
    write_real(tmp_path / "worse", count=1, mask_quality="predicted")
    (tmp_path / "scans" / "images" / "ball_0.nii.gz").write_bytes(b"no image")
    write_real(tmp_path / "zero", count=0)
    report = evaluate(model, tmp_path, ("click",), baselines=False)
    assert {(s.dataset, s.case, s.expert) for s in report.scores} == {
        ("made", "ball_000_mr", True),
        ("scans", "ball_1", True),
        ("worse", "ball_0", False),
    }
    assert len(report.skipped) == 2 and "ball_0.nii.gz" in report.skipped[1]
    assert capsys.readouterr().err.count("skipped: ") == 2
    headline, apart = markdown(report).split("# Masks that are not an expert's")
    assert "worse" not in headline and "| worse |" in apart
    (tmp_path / "scans" / "images" / "ball_1.nii.gz").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"nothing to evaluate: .*ball_0"):
        evaluate(model, tmp_path / "scans", ("click",), baselines=False)


def test_pictures_are_scored_in_pixels_and_not_by_mask(model):
    case = ball_case(size=(40, 36, 8))
    middle = slice(4, 5)
    grid = replace(case.grid, size=(40, 36, 1))
    flat = replace(case, grid=grid, image=case.image[middle], labels=case.labels[middle], dataset="pictures")
    report = evaluate(model, [flat], ("box", "mask", "box-ends"), baselines=False)
    assert {(s.protocol, s.unit) for s in report.scores} == {("box", "px")}
    assert all(s.slice_dice == s.volume_dice and s.slice_hd95 == s.volume_hd95 for s in report.scores)
    assert report.skipped == tuple(
        f"pictures: of single slices, so '{name}' leaves nothing to find" for name in ("mask", "box-ends")
    )


def test_what_was_found_before_a_stop_is_written(model, tmp_path):
    def cases():
        yield ball_case(size=(24, 22, 3), name="first")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(model, cases(), ("box",), tmp_path, baselines=False)
    content = json.loads((tmp_path / "scores.json").read_text())
    assert {s["case"] for s in content["scores"]} == {"first"} and "stopped" in content["skipped"][-1]


def test_a_killed_evaluation_goes_on_where_it_was(model, tmp_path, monkeypatch):
    cases = [ball_case(size=(24, 22, 3), name=name, seed=i) for i, name in enumerate(("first", "second"))]
    whole = evaluate(model, cases, ("box",), baselines=False)
    opened = []
    open_ = Segmenter.open

    def noting(self, *arguments):
        opened.append(arguments)
        if len(opened) == 4:
            raise SystemExit  # as good as a kill: nothing is written any more
        return open_(self, *arguments)

    monkeypatch.setattr(Segmenter, "open", noting)
    with pytest.raises(SystemExit):
        evaluate(model, cases, ("box",), tmp_path, baselines=False)
    file = tmp_path / FILE
    file.write_bytes(file.read_bytes()[:-7])  # killed while it wrote the third of the four structures
    again = evaluate(model, cases, ("box",), tmp_path, baselines=False)
    assert len(opened) == 4 + 2
    assert [replace(s, seconds=0) for s in again.scores] == [replace(s, seconds=0) for s in whole.scores]
    assert (tmp_path / "overlays" / "box.png").is_file() and not file.exists()


def test_what_was_found_of_another_model_does_not_count(model, tmp_path):
    cases = [ball_case(size=(24, 22, 3))]

    def stopping():
        yield from cases
        raise KeyboardInterrupt

    for asked, tolerance in ((model, 2.0), (build("nano", 64), 2.0), (model, 3.0)):
        with pytest.raises(KeyboardInterrupt):
            evaluate(asked, stopping(), ("box",), tmp_path, baselines=False, tolerance=tolerance)
        content = json.loads((tmp_path / "scores.json").read_text())
        expected = evaluate(asked, cases, ("box",), baselines=False, tolerance=tolerance)
        assert [s["slice_dice"] for s in content["scores"]] == [s.slice_dice for s in expected.scores]


def test_only_empty_masks_cannot_be_evaluated(model):
    with pytest.raises(UserError, match="nothing to evaluate"):
        evaluate(model, [ball_case(empty=True)], ("box",))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"protocols": ("telepathy",)}, "telepathy"),
        ({"protocols": ()}, "at least one of box"),
        ({"tolerance": 0.0}, "more than 0"),
    ],
)
def test_bad_wishes_are_refused(model, given, says):
    with pytest.raises(UserError, match=says):
        evaluate(model, [ball_case()], **given)
