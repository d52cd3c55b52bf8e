"""What a user does to a view, and what is read off it."""

from dataclasses import replace

import numpy as np
import pytest

from viewer import actions
from viewer.panes import cells, column_row, pane
from viewer.readout import readout
from viewer.state import OWN, first_view
from viewer.subject import Subject


@pytest.fixture(scope="module")
def view(subject):
    return first_view(subject)


def test_scrolling_stops_at_the_ends_and_cine_begins_again(subject, view):
    last = subject.grid.size[2] - 1
    assert actions.scroll(subject, view, "axial", 1).cursor[2] == view.cursor[2] + 1
    assert actions.scroll(subject, view, "axial", 1000).cursor == (*view.cursor[:2], last)
    assert actions.scroll(subject, view, "sagittal", -1000).cursor == (0, *view.cursor[1:])
    top = actions.scroll(subject, view, "coronal", 1000)
    assert actions.scroll(subject, top, "coronal", 1, around=True).cursor[1] == 0


def test_pointing_moves_the_two_other_planes(subject, view):
    axial = next(cell for cell in cells(subject, view, (800, 600)) if cell.kind == "axial")
    x, y = pane(subject, view, "axial", axial.box[2:]).pixel(*column_row(subject, "axial", (7, 9, 0)))
    assert actions.point(subject, view, axial, x, y).cursor == (7, 9, view.cursor[2])
    organs = next(cell for cell in cells(subject, view, (800, 600)) if cell.kind == "3d")
    assert actions.point(subject, view, organs, 10, 10) == view


def test_each_image_keeps_its_own_window(subject, view):
    bone = actions.take_preset(subject, view, "bone")
    assert bone.window == (-100.0, 900.0) and bone.preset == "bone"
    mr = actions.next_modality(subject, bone)
    assert mr.modality == "mr" and mr.preset == "auto"
    assert actions.take_preset(subject, mr, "bone") == mr  # MR has no such window
    assert actions.next_modality(subject, mr).window == bone.window
    assert "bone" in actions.presets(subject, view) and "bone" not in actions.presets(subject, mr)


def test_a_window_of_ones_own_never_closes(subject, view):
    wider = actions.adjust_window(subject, view, 0.5, 0.25)
    assert wider.window == (-160 - 100 + 100, 240 + 100 + 100) and wider.preset == OWN
    low, high = actions.adjust_window(subject, view, -100.0, 0.0).window
    assert low < high


def test_labels_are_hidden_faded_and_shown_alone(subject, view):
    assert actions.toggle(view, 2).hidden == {2}
    assert actions.toggle(actions.toggle(view, 2), 2) == view
    only = actions.show_only(subject, view, 2)
    assert only.hidden == {1, 3, 4}
    assert actions.show_only(subject, only, 2).hidden == frozenset()
    assert actions.fade(view, 2.0).opacity == 1.0 and actions.fade(view, -1.0).opacity == 0.0


def test_zoom_and_panes_come_back(subject, view):
    assert actions.magnify(view, 0.1).zoom == 1.0
    assert actions.magnify(view, 1e6).zoom == 16.0
    assert actions.maximise(view, "axial").alone == "axial"
    assert actions.maximise(actions.maximise(view, "axial"), "axial") == view
    changed = replace(actions.toggle(view, 1), cursor=(0, 0, 0), zoom=4.0)
    assert actions.reset(subject, changed) == view


def test_a_ruler_has_two_ends(view):
    once = actions.measure(view, (0.0, 0.0, 0.0))
    twice = actions.measure(once, (3.0, 4.0, 0.0))
    assert [len(v.ruler) for v in (once, twice, actions.measure(twice, (1.0, 1.0, 1.0)))] == [1, 2, 1]


def test_another_subject_is_seen_at_the_same_place_and_in_the_same_way(subject, view):
    coarse = Subject.from_arrays(
        subject.grid.resized(20),
        {"mr": np.ones(subject.grid.resized(20).shape, np.float32)},
        np.ones(subject.grid.resized(20).shape, np.uint8),
        {1: "body"},
    )
    looked = replace(actions.toggle(actions.toggle(view, 1), 2), zoom=3.0)
    moved = actions.follow(coarse, looked, subject)
    assert moved.modality == "mr" and moved.zoom == 3.0 and moved.hidden == {1}
    gone = subject.grid.to_world(np.array(view.cursor, float)) - coarse.grid.to_world(np.array(moved.cursor, float))
    assert (np.abs(gone) <= np.array(coarse.grid.spacing) / 2 + 1e-6).all()
    back = actions.follow(subject, moved, coarse)
    assert back.modality == "mr" and set(back.windows) == {"ct", "mr"}


def test_the_cursor_reads_place_values_and_anatomy(subject):
    z, y, x = np.argwhere(subject.labels == 3)[0]
    found = readout(subject, (int(x), int(y), int(z)))
    assert found.anatomy == "lesion in liver in body"
    modality, number, unit = found.value("ct").split()
    assert (modality, unit) == ("CT", "HU") and float(number) == pytest.approx(subject.images["ct"][z, y, x], rel=0.01)
    left, posterior, superior = subject.grid.to_world(np.array([x, y, z], float))
    assert found.position == pytest.approx((left, posterior, superior))
    assert found.place.startswith(f"{'L' if left > 0 else 'R'} {abs(left):.1f}")
    assert f"voxel {x}, {y}, {z}" in found.text
    assert readout(subject, (0, 0, 0)).anatomy == "background"
