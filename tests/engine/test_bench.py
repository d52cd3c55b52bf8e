"""What is measured is the same work."""

import pytest

from engine import bench, peers
from engine.bench import bench_render, bench_voxelize, labels_with_numpy, organs, table
from engine.dataset.bench import bench_generate
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
    assert text.count("| 1.00 |") == 4 + 2 * peers.installed("astra") + peers.installed("pymust")


@pytest.mark.slow
def test_files_and_processes_are_compared_with_drawing():
    rows = bench_generate()
    assert len(rows) == 3 and rows[0]["ratio"] == 1.0 and all(row["seconds"] > 0 for row in rows)


def test_missing_peers_are_named_with_how_to_install_them(monkeypatch):
    monkeypatch.setattr(peers, "installed", lambda package: False)
    text = table("render", bench._projectors() + bench._frames(bench.Cost(1.0, 1.0), 128))
    assert "astra-toolbox: not installed; pip install" in text
    assert "PyMUST's: not installed; pip install" in text


def test_our_projector_is_given_the_work_of_its_peers():
    """Every ray of every slice: a body's mean chord is its area over the detectors it covers."""
    slices = peers.discs(256)
    for rays in peers.BEAMS.values():
        found = peers.our_projections(slices, rays)
        assert found.shape == (rays.views, rays.detectors, 8)
        if rays.source_mm is None:
            assert found[..., 3].sum(dim=1).mean().item() == pytest.approx(slices[3].sum(), rel=1e-3)
