import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.grid import Grid
from trainer.prompts import box_around
from trainer.slices import DEVIATION, MEAN, Crop, Slicing, normalise


@pytest.mark.parametrize("axis, count, rows_columns", [("x", 30, (10, 20)), ("y", 20, (10, 30)), ("z", 10, (20, 30))])
def test_slices_are_cut_across_the_named_axis(axis, count, rows_columns):
    grid = Grid.centred((30, 20, 10), (1.0, 1.0, 3.0))
    slicing = Slicing(grid, axis, 64)
    slices = slicing.take(np.zeros(grid.shape), slice(None))
    assert slicing.count == count
    assert slices.shape == (count, *rows_columns)
    assert slicing.frames(slices).shape == (count, 64, 64)


def test_a_sphere_of_anisotropic_voxels_is_round_in_the_picture():
    grid = Grid.centred((40, 40, 10), (1.0, 1.0, 4.0))
    z, y, x = (c.reshape(grid.shape) for c in grid.to_world(_indices(grid)).T[::-1])
    ball = x**2 + y**2 + z**2 < 15**2
    picture = Slicing(grid, "y", 96).masks(Slicing(grid, "y", 96).take(ball, [20]))[0]
    rows, columns = (np.ptp(np.nonzero(picture.numpy())[i]) + 1 for i in (0, 1))
    assert abs(rows - columns) <= 0.15 * columns


def _indices(grid):
    nz, ny, nx = grid.shape
    z, y, x = np.meshgrid(range(nz), range(ny), range(nx), indexing="ij")
    return np.stack([x, y, z], -1).reshape(-1, 3)


def test_restore_undoes_frames_on_a_smooth_slice():
    grid = Grid.centred((50, 37, 4), (1.0, 1.3, 5.0))
    slicing = Slicing(grid, "z", 96)
    y, x = np.mgrid[:37, :50]
    slices = np.stack([np.sin(x / 9.0) + np.cos(y / 7.0)] * 2)
    back = slicing.restore(slicing.frames(slices)).numpy()
    assert back.shape == slices.shape
    inner = np.s_[:, 2:-2, 2:-2]
    assert np.abs(back[inner] - slices[inner]).max() < 0.05


@settings(deadline=None, max_examples=30)
@given(column=st.integers(0, 29), row=st.integers(0, 19))
def test_a_position_lands_on_its_pixel(column, row):
    slicing = Slicing(Grid.centred((30, 20, 5), (1.0, 1.0, 1.0)), "z", 128)
    slices = np.zeros((1, 20, 30), np.float32)
    slices[0, row, column] = 1.0
    picture = slicing.frames(slices)[0]
    there = (picture == picture.max()).nonzero().float().mean(0)
    x, y = slicing.to_pixel((column, row))
    at_edge = column in (0, 29) or row in (0, 19)  # the edge pixel's plateau reaches outwards
    assert abs(there[1] - x) < (2.5 if at_edge else 1.0)
    assert abs(there[0] - y) < (2.5 if at_edge else 1.0)


def test_normalisation_is_sam_2s():
    out = normalise(torch.full((2, 4, 4), 0.5))
    assert out.shape == (2, 3, 4, 4)
    assert torch.allclose(out[0, :, 0, 0], torch.tensor([(0.5 - m) / d for m, d in zip(MEAN, DEVIATION, strict=True)]))


def test_a_crop_shows_a_square_about_a_box_and_goes_back_to_its_place():
    grid = Grid.centred((50, 40, 4), (1.0, 2.0, 5.0))
    slicing = Slicing(grid, "z", 64).around((20.0, 10.0, 29.0, 14.0), edge_mm=20.0)
    assert slicing.shown == Crop((15, 35), (8, 18))  # 20 mm of 1 mm columns and of 2 mm rows about (24.5, 12)
    slices = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    seen = slicing.take(slices, [1, 2])
    assert np.array_equal(seen, slices[1:3, 8:18, 15:35])
    back = slicing.restore(slicing.frames(np.ones_like(seen)), fill=-1.0).numpy()
    assert back.shape == (2, 40, 50)
    assert (back == -1.0).sum() == back.size - seen.size and np.allclose(back[:, 8:18, 15:35], 1.0)
    assert slicing.to_pixel((15, 8)) == pytest.approx((1.1, 2.7))  # middles of the first pixels, 3.2 and 6.4 wide


@given(
    left=st.floats(0, 49), top=st.floats(0, 39), wide=st.floats(0, 60), high=st.floats(0, 60), edge=st.floats(0.5, 300)
)
def test_a_crop_stays_on_the_slice(left, top, wide, high, edge):
    crop = Slicing(Grid.centred((50, 40, 4), (1.0, 2.0, 5.0)), "z", 64).around(
        (left, top, left + wide, top + high), edge
    )
    for (start, stop), size in ((crop.shown.columns, 50), (crop.shown.rows, 40)):
        assert 0 <= start < stop <= size


@pytest.mark.parametrize("columns", [12, 31, 64, 200, 333])
def test_a_box_in_a_picture_is_that_of_the_picture_of_its_mask(columns):
    grid = Grid.centred((columns, 12, 3), (60 / columns, 5.0, 3.0))  # slices finer and coarser than pictures
    mask = np.zeros((12, columns), bool)
    mask[3:8, columns // 4 : columns // 2 + 1] = True
    slicing = Slicing(grid, "z", 96)
    expected = box_around(slicing.masks(mask[None])[0].numpy())
    assert slicing.box_to_pixels(box_around(mask)) == pytest.approx(expected, abs=0.75)
    one = slicing.box_to_pixels((5.0, 5.0, 5.0, 5.0))
    assert one[0] <= one[2] and one[1] <= one[3]
