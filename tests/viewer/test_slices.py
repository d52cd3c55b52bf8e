from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from engine.grid import Grid
from engine.picture import INK, LETTERS, PLANES, rgb_of
from viewer.legend import draw_legend, ordered
from viewer.marks import LETTER_INK, bar_mm, mark
from viewer.sheet import contact_sheet, row_of
from viewer.slices import draw_slice, kept_slice
from viewer.state import first_view, nearest_voxel, richest_voxel
from viewer.subject import Subject


def has(picture: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    return (picture == np.asarray(color, np.uint8)).all(axis=-1)


def test_the_first_view_cuts_every_organ(subject):
    view = first_view(subject)
    assert view.modality == "ct" and view.window == (-160.0, 240.0) and view.preset == "abdomen"
    assert view.bare == {1}
    _, y, z = richest_voxel(subject)
    assert {2, 3, 4} <= set(np.unique(subject.labels[z])) and {2, 3} <= set(np.unique(subject.labels[:, y]))


def test_a_point_in_mm_is_where_the_planes_cross(subject):
    point = subject.grid.to_world([7, 8, 9])
    assert nearest_voxel(subject, tuple(point)) == (7, 8, 9)
    assert nearest_voxel(subject, (1e6, -1e6, 0.0))[:2] == (39, 0)
    view = first_view(subject, "mr", tuple(point))
    assert [view.index(plane) for plane in PLANES] == [9, 8, 7]


def test_liver_is_on_the_screens_left_and_spleen_on_its_right(subject):
    view = replace(first_view(subject), outline=False, opacity=1.0)
    axial = draw_slice(subject, view, "axial")
    liver = np.argwhere(has(axial, rgb_of(subject.colors[2])))
    spleen = np.argwhere(has(axial, rgb_of(subject.colors[4])))
    assert liver[:, 1].max() < spleen[:, 1].min()
    assert liver[:, 0].mean() < spleen[:, 0].mean()  # the spleen lies further back


def test_what_wraps_is_outlined_once_and_not_filled(subject):
    picture = draw_slice(subject, first_view(subject), "axial")
    body = has(picture, rgb_of(subject.colors[1]))
    inside = (subject.labels[first_view(subject).index("axial")] == 1).sum()
    assert 20 < body.sum() < 0.3 * inside
    assert has(picture, rgb_of(subject.colors[2])).any()


def test_hidden_labels_are_not_drawn(subject):
    view = replace(first_view(subject), hidden=frozenset({2}))
    picture = draw_slice(subject, view, "coronal")
    assert not has(picture, rgb_of(subject.colors[2])).any()


def test_labels_alone_stand_on_black(subject):
    view = replace(first_view(subject), modality=None, opacity=1.0, bare=frozenset())
    picture = draw_slice(subject, view, "axial")
    assert picture[0, 0].tolist() == [0, 0, 0]
    assert has(picture, rgb_of(subject.colors[1])).any()


def test_pixels_that_are_no_numbers_are_black():
    grid = Grid.centred((8, 8, 1), (1.0, 1.0, 1.0))
    data = np.full(grid.shape, 1000.0)
    data[0, 2, 3] = np.nan
    subject = Subject.from_arrays(grid, {"ct": data})
    view = first_view(subject)
    picture = draw_slice(subject, view, "axial")
    assert picture[2, 3].tolist() == [0, 0, 0] and picture[5, 5].tolist() == [255] * 3
    assert draw_slice(subject, view, "coronal").shape == (1, 8, 3)  # one slice is one row


@pytest.mark.parametrize(
    ("width_mm", "bar"), [(350.0, 100.0), (300.0, 50.0), (100.0, 20.0), (7.0, 2.0), (0.5, 0.1), (1000 / 3, 100.0)]
)
def test_scale_bars_are_round(width_mm, bar):
    assert bar_mm(width_mm) == pytest.approx(bar)


def _marked(size, pixel_mm):
    picture = Image.new("RGB", size)
    mark(picture, "axial", pixel_mm)
    return np.asarray(picture)


@pytest.mark.parametrize("pixel_mm", [0.5, 0.73, 1.0])
def test_the_scale_bar_is_as_long_as_it_says(pixel_mm):
    marked = _marked((300, 300), pixel_mm)
    row = has(marked, INK)[300 - 9 - 2]  # a row through the bar
    assert row.sum() == round(bar_mm(300 * pixel_mm) / pixel_mm)
    assert np.ptp(np.flatnonzero(row)) + 1 == row.sum()


def test_letters_stand_at_the_four_edges():
    ink = has(_marked((240, 200), 1.0), LETTER_INK)
    assert ink[80:120, :30].any() and ink[80:120, -30:].any()
    assert ink[:30, 105:135].any() and ink[-30:, 105:135].any()
    assert LETTERS["axial"] == "RLAP"


def test_the_legend_lists_children_below_their_parents(subject):
    assert ordered(subject) == [(1, 0), (2, 1), (3, 2), (4, 1)]
    picture = draw_legend(subject, (200, 120), 14)
    tops = [np.argwhere(has(picture, rgb_of(subject.colors[label])))[:, 0].min() for label, _ in ordered(subject)]
    assert tops == sorted(tops) and len(set(tops)) == 4


def test_a_legend_without_room_counts_the_rest(subject):
    picture = draw_legend(subject, (120, 45), 14)
    assert has(picture, rgb_of(subject.colors[1])).any()
    assert not has(picture, rgb_of(subject.colors[4])).any()


def test_the_contact_sheet_shows_the_same_slice_in_each_modality(subject):
    row = row_of(subject, tile=120)
    assert list(row) == ["ct", "mr", "labels"]
    assert row["ct"].shape == row["mr"].shape == row["labels"].shape
    assert (row["ct"][..., 0] == row["ct"][..., 1]).all()  # untouched grey
    sheet = contact_sheet([("balls", row), ("again", {"mr": row["mr"]})], tile=120)
    assert sheet.shape[1] >= 3 * 120 and sheet.dtype == np.uint8
    assert has(sheet, rgb_of(subject.colors[2])).any()
    with pytest.raises(ValueError, match="at least one picture"):
        contact_sheet([])


def test_a_slice_is_drawn_once_as_long_as_nothing_about_it_changes(subject):
    view = first_view(subject)
    whole = slice(0, 20), slice(0, 20)
    first = kept_slice(subject, view, "axial", 1.0, whole)
    x, y, z = view.cursor
    assert kept_slice(subject, replace(view, cursor=(x + 1, y + 1, z)), "axial", 1.0, whole) is first
    others = [replace(view, cursor=(x, y, z + 1)), replace(view, opacity=0.9), replace(view, hidden=frozenset({4}))]
    for other in (*others, view.windowed("own", (0.0, 3.0))):
        drawn = np.asarray(kept_slice(subject, other, "axial", 1.0, whole))
        assert np.array_equal(drawn, draw_slice(subject, other, "axial", 1.0, whole))
    for step in range(20):
        kept_slice(subject, view, "axial", 1.0 + 0.1 * step, whole)
    assert kept_slice(subject, view, "axial", 1.0, whole) is not first  # the oldest are let go
