import pytest

from trainer.bench import bench_train


@pytest.mark.slow
def test_every_phase_has_its_seconds_and_its_share_of_waiting():
    rows = bench_train()
    assert len(rows) == 6
    assert all(row["value"] > 0 for row in rows[::2]) and all(0 <= row["value"] <= 100 for row in rows[1::2])
