import numpy as np
import pytest

from tests.trainer.phantoms import score_of
from trainer.baselines import ELLIPSE
from trainer.scores import UNTRAINED, Report


def _row(report, level, **wanted):
    rows = [row.flat() for row in report.rows if row.group.level == level]
    (row,) = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    return row


def test_means_are_over_cases_and_seconds_the_median():
    report = Report(tuple(score_of(f"c{i}", v, seconds=s) for i, (v, s) in enumerate([(0.2, 1), (0.6, 2), (0.7, 30)])))
    row = _row(report, "structure")
    assert (row["cases"], row["slice_dice"], row["seconds"]) == (3, 0.5, 2)
    assert row["volume_hd95"] == pytest.approx(10)
    assert 0.2 <= row["slice_dice_low"] < 0.5 < row["slice_dice_high"] <= 0.7


def test_a_modality_gathers_sets_but_not_masks_of_other_quality():
    scores = [score_of("x", 0.8), score_of("x", 0.4, dataset="b"), score_of("y", 0.1, dataset="c", expert=False)]
    report = Report(tuple(scores))
    assert _row(report, "modality", expert=True)["slice_dice"] == pytest.approx(0.6)
    assert _row(report, "modality", expert=True)["cases"] == 2  # of the same name, in two sets
    assert _row(report, "modality", expert=False)["slice_dice"] == pytest.approx(0.1)
    assert _row(report, "dataset", dataset="b")["slice_dice_low"] is None


def test_millimetres_and_pixels_are_not_averaged():
    report = Report((score_of("x", 0.8), score_of("y", 0.0, dataset="b", unit="px")))
    row = _row(report, "modality")
    assert (row["unit"], row["slice_dice"], row["slice_nsd"]) == ("mm", 0.4, 0.8)
    assert row["slice_hd95"] == pytest.approx(2.0)
    assert _row(report, "dataset", dataset="b")["unit"] == "px"


def test_the_model_is_tested_against_every_other_method():
    rng = np.random.default_rng(0)
    scores = []
    for i in range(8):
        for structure in ("liver", "spleen"):
            scores.append(score_of(f"c{i}", 0.8 + 0.01 * rng.random(), structure=structure))
            scores.append(score_of(f"c{i}", 0.7 + 0.01 * rng.random(), ELLIPSE, structure))
            scores.append(score_of(f"c{i}", 0.8 + 0.01 * rng.random(), UNTRAINED, structure))
    found = [c for c in Report(tuple(scores)).comparisons if c.group.level == "modality" and c.figure == "slice_dice"]
    assert [c.against for c in found] == [UNTRAINED, ELLIPSE]
    untrained, ellipse = found
    assert ellipse.cases == 8 and ellipse.difference == pytest.approx(0.1, abs=0.01)
    assert ellipse.p == pytest.approx(2 / 2**8) and ellipse.corrected == pytest.approx(4 / 2**8)
    assert untrained.corrected == untrained.p > 0.05


def test_only_shared_subjects_are_compared():
    scores = (score_of("x", 0.8), score_of("y", 0.8), score_of("y", 0.5, ELLIPSE))
    (found,) = [c for c in Report(scores).comparisons if c.group.level == "dataset" and c.figure == "volume_dice"]
    assert found.cases == 1 and found.difference == pytest.approx(0.3)
