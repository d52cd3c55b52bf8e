"""What is measured is the same work."""

import pytest

from engine.bench import bench_render, bench_voxelize, labels_with_numpy, organs, table
from engine.grid import Grid
from engine.voxelize import voxelize


def test_numpy_draws_the_same_organs():
    scene, grid = organs(noise=False), Grid.centred((48, 48, 48), (256 / 48,) * 3)
    ours = voxelize(scene, grid).labels().cpu().numpy()
    theirs = labels_with_numpy(scene, grid)
    assert (ours > 0).mean() > 0.02
    either = (ours > 0) | (theirs > 0)
    assert (ours == theirs)[either].mean() > 0.95  # cut voxels: the larger share here, the centre there


@pytest.mark.slow
def test_the_table_names_every_ratio():
    text = table("voxelize", bench_voxelize()) + table("render", bench_render())
    assert "NumPy" in text
    assert "us, default protocol" in text
    assert text.count("| 1.00 |") == 4
