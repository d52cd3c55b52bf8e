import pytest

from engine.bench import table
from viewer.bench import bench_view


@pytest.mark.slow
def test_hands_and_saves_are_timed(offscreen):
    rows = bench_view()
    assert len(rows) == 5 and all(row["seconds"] > 0 for row in rows[:4]) and rows[4]["value"] > 0
    text = table("view", rows)
    assert "a turn of the wheel" in text and "seconds from a save" in text
