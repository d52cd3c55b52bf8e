"""Panes: where slices lie in a window, and what is drawn on them."""

from dataclasses import replace

import numpy as np
import pytest

from engine.grid import Grid
from engine.picture import PLANES
from viewer.panes import cells, column_row, draw_pane, length_mm, pane, voxel_at
from viewer.state import first_view
from viewer.subject import Subject

SIZE = (300, 220)


@pytest.fixture(scope="module")
def lopsided():
    """A subject whose axes all differ in size and spacing."""
    grid = Grid.centred((40, 30, 20), (1.0, 2.0, 4.0))
    z, y, x = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")
    image = (x + 50.0 * y + 3000.0 * z).astype(np.float32)
    return Subject.from_arrays(grid, {"ct": image, "mr": image}, (x > 20).astype(np.uint8), name="lopsided")


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("zoom", [1.0, 3.0])
def test_a_pixel_leads_to_the_voxel_that_is_drawn_there(lopsided, plane, zoom):
    view = replace(first_view(lopsided), cursor=(11, 7, 13), zoom=zoom)
    shown = pane(lopsided, view, plane, SIZE)
    x, y = shown.pixel(*column_row(lopsided, plane, view.cursor))
    assert voxel_at(lopsided, view, shown, x, y) == view.cursor
    column, row = shown.index(*shown.pixel(3.25, 8.5))
    assert (column, row) == pytest.approx((3.25, 8.5))


@pytest.mark.parametrize("plane", PLANES)
def test_a_slice_fills_its_cell_and_keeps_its_proportions(lopsided, plane):
    shown = pane(lopsided, first_view(lopsided), plane, SIZE)
    (left, top), (right, bottom) = (
        shown.pixel(-0.5, -0.5),
        shown.pixel(shown.count[0] - 0.5, shown.count[1] - 0.5),
    )
    wide, high = (n * s for n, s in zip(shown.count, shown.spacing, strict=True))
    assert (right - left) / (bottom - top) == pytest.approx(wide / high)
    assert left + right == pytest.approx(SIZE[0] - 1) and top + bottom == pytest.approx(SIZE[1] - 1)
    assert max((right - left) / SIZE[0], (bottom - top) / SIZE[1]) == pytest.approx(1.0)


def test_zooming_stays_on_the_slice_and_about_the_cursor(lopsided):
    view = replace(first_view(lopsided), cursor=(39, 0, 5), zoom=2.0)
    shown = pane(lopsided, view, "axial", (200, 200))
    rows, columns = shown.region
    assert (columns.stop, rows.start) == (40, 0)  # the slice's corner, no black beside it
    assert columns.start > 0 and rows.stop < 30
    x, y = shown.pixel(*column_row(lopsided, "axial", view.cursor))
    assert 0 <= x < 200 and 0 <= y < 200


def test_a_pixel_off_the_slice_means_the_nearest_voxel(lopsided):
    view = replace(first_view(lopsided), cursor=(11, 7, 13))
    shown = pane(lopsided, view, "coronal", SIZE)
    assert voxel_at(lopsided, view, shown, -1000, -1000) == (0, 7, 19)
    assert voxel_at(lopsided, view, shown, 5000, 5000) == (39, 7, 0)


def _drawn(subject, view, plane="axial"):
    return np.asarray(draw_pane(subject, view, plane, SIZE))


def test_what_is_drawn_at_a_pixel_is_the_voxel_there(lopsided):
    view = replace(first_view(lopsided), cursor=(25, 20, 13), lines=False, opacity=0.0, outline=False)
    view = view.windowed("own", (0.0, 3000.0 * 19 + 50 * 29 + 39))
    for plane in PLANES:
        for zoom in (1.0, 2.5):
            zoomed = replace(view, zoom=zoom)
            shown, picture = pane(lopsided, zoomed, plane, SIZE), _drawn(lopsided, zoomed, plane)
            x, y = shown.pixel(*column_row(lopsided, plane, view.cursor))
            expected = 255 * lopsided.images["ct"][13, 20, 25] / zoomed.window[1]
            assert picture[round(y), round(x)].mean() == pytest.approx(expected, abs=4)


def test_the_cursors_lines_are_drawn_unless_hidden(lopsided):
    view = replace(first_view(lopsided), cursor=(25, 20, 13), opacity=0.0, outline=False)
    with_lines, without = (_drawn(lopsided, replace(view, lines=on)) for on in (True, False))
    changed = (with_lines != without).any(axis=-1)
    x, y = (round(v) for v in pane(lopsided, view, "axial", SIZE).pixel(*column_row(lopsided, "axial", view.cursor)))
    assert changed[y, 20:100].all() and changed[40 : y - 20, x].all()
    assert not changed[y - 5 : y + 6, x - 5 : x + 6].any()  # what the cursor is on stays free


def test_a_ruler_is_drawn_on_its_own_slice_and_tells_mm(lopsided):
    place = lopsided.grid.to_world
    ends = tuple(map(float, place(np.array([5.0, 7.0, 13.0])))), tuple(map(float, place(np.array([35.0, 27.0, 13.0]))))
    view = replace(first_view(lopsided), cursor=(11, 7, 13), ruler=ends)
    assert length_mm(view.ruler) == pytest.approx(50.0)  # 30 x 1 mm, 20 x 2 mm
    bare = _drawn(lopsided, replace(view, ruler=()))
    assert (_drawn(lopsided, view) != bare).any()
    elsewhere = replace(view, cursor=(11, 7, 12))
    assert np.array_equal(_drawn(lopsided, elsewhere), _drawn(lopsided, replace(elsewhere, ruler=())))


def test_windows_are_laid_out_in_four_in_rows_or_alone(lopsided):
    view, size = first_view(lopsided), (800, 604)
    quad = cells(lopsided, view, size)
    assert [cell.kind for cell in quad] == ["axial", "3d", "coronal", "sagittal"]
    assert sum(cell.holds(500, 400) for cell in quad) == 1
    beside = cells(lopsided, replace(view, beside=True), size)
    assert [(cell.kind, cell.modality) for cell in beside][::3] == [("axial", "ct"), ("axial", "mr")]
    assert len(beside) == 6 and len({(cell.kind, cell.modality) for cell in beside}) == 6
    (alone,) = cells(lopsided, replace(view, alone="coronal"), size)
    assert alone.kind == "coronal" and alone.box == (0, 0, *size)
