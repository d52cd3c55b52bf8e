import json

from tests.trainer.phantoms import score_of
from trainer.baselines import ELLIPSE
from trainer.scores import MODEL, Report
from trainer.tables import markdown, read, write


def test_what_is_written_reads_back(tmp_path):
    report = Report((score_of("x", 0.8), score_of("x", 0.5, ELLIPSE)), ("y: gone",))
    write(report, tmp_path)
    assert read(tmp_path) == report
    content = json.loads((tmp_path / "scores.json").read_text())
    assert content["skipped"] == ["y: gone"] and content["tolerance"] == 2.0
    assert [c["against"] for c in content["comparisons"]] == [ELLIPSE] * 6
    table = (tmp_path / "table.md").read_text()
    assert "| a | liver | ct | box | model | 1 | 0.800 |" in table
    assert "against the others" not in table  # one case: nothing to test
    assert "## Skipped" in table and "- y: gone" in table


def test_tests_are_in_the_tables():
    scores = [score_of(f"c{i}", v, m) for i in range(6) for v, m in ((0.8 + 0.01 * i, MODEL), (0.6, ELLIPSE))]
    text = markdown(Report(tuple(scores)), ("modality",))
    assert "## By modality" in text and "## By set" not in text
    assert "| ct | box | ellipse in the box | 6 | +0.225 (p = 0.031) | +0.225 (p = 0.031) |" in text
