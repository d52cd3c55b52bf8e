"""The grid's conventions: arrays z, y, x; world x, y, z on LPS+ axes."""

import numpy as np
import pytest

from engine.grid import Grid


def test_centre_of_a_centred_grid_is_the_origin():
    grid = Grid.centred((10, 20, 30), (1.0, 2.0, 0.5))
    assert grid.shape == (30, 20, 10)
    assert np.allclose(grid.to_world((np.array(grid.size) - 1) / 2), 0)
    assert grid.voxel_volume == pytest.approx(1.0)
    assert grid.extent == (10.0, 40.0, 15.0)


def test_index_and_world_are_inverse_on_an_oblique_grid():
    c, s = np.cos(0.4), np.sin(0.4)
    grid = Grid((8, 9, 10), (0.7, 1.1, 2.0), (5.0, -3.0, 8.0), (c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0))
    index = np.random.default_rng(0).uniform(0, 8, (50, 3))
    assert np.allclose(grid.to_index(grid.to_world(index)), index)
    assert np.allclose(grid.affine_ras[:3, 3], [-5.0, 3.0, 8.0])


def test_resized_keeps_the_field_of_view():
    grid = Grid((64, 48, 32), (2.0, 2.0, 3.0), (1.0, 2.0, 3.0))
    fine = grid.resized(128)
    assert fine.size == (128, 96, 64)
    assert np.allclose(fine.extent, grid.extent)
    assert np.allclose(fine.to_world([-0.5] * 3), grid.to_world([-0.5] * 3))


def test_impossible_grids_are_refused():
    with pytest.raises(ValueError, match="at least one voxel"):
        Grid((0, 1, 1), (1, 1, 1), (0, 0, 0))
    with pytest.raises(ValueError, match="above 0 mm"):
        Grid((1, 1, 1), (1, -1, 1), (0, 0, 0))
