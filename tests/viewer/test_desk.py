"""The core of every viewer: what keys and mouse do, and what happens while a source changes."""

from dataclasses import replace

import numpy as np
import pytest

from engine.io import write_image, write_labels
from viewer.desk import KEYS, Desk
from viewer.live import Frame
from viewer.panes import column_row, pane
from viewer.sources import Still, cases

SIZE = (800, 600)


@pytest.fixture
def desk(subject):
    desk = Desk(Still(subject))
    assert desk.poll()
    return desk


def _cell(desk, kind, modality=None):
    return next(c for c in desk.cells(SIZE) if c.kind == kind and modality in (None, c.modality))


def test_a_desk_is_empty_until_its_source_has_something(subject):
    desk = Desk(Still(subject), "mr")
    assert desk.subject is None and not desk.press("m")
    assert desk.poll() and not desk.poll()
    assert desk.view.modality == "mr"


def test_a_click_moves_the_cursor_and_a_wheel_pages_the_plane_under_it(desk):
    cell = _cell(desk, "coronal")
    x, y = pane(desk.shown, desk.view, "coronal", cell.box[2:]).pixel(*column_row(desk.shown, "coronal", (8, 0, 20)))
    desk.click(cell, x, y)
    assert desk.view.cursor[0] == 8 and desk.view.cursor[2] == 20
    before = desk.view.cursor[1]
    desk.wheel(cell, 2)
    assert desk.view.cursor[1] == before + 2
    desk.press("b")  # keys page through the plane touched last
    assert desk.view.cursor[1] == before + 1


def test_measuring_sets_the_rulers_ends_and_leaves_the_cursor(desk):
    cursor, cell = desk.view.cursor, _cell(desk, "axial")
    desk.press("d")
    place = pane(desk.shown, desk.view, "axial", cell.box[2:])
    for voxel in ((10, 10, 0), (20, 10, 0)):
        desk.click(cell, *place.pixel(*column_row(desk.shown, "axial", voxel)))
    first, second = desk.view.ruler
    assert np.hypot(*(np.array(second) - first)[:2]) == pytest.approx(10 * desk.shown.grid.spacing[0])
    assert desk.view.cursor == cursor
    desk.press("Escape")
    assert desk.view.ruler == () and not desk.measuring


def test_a_touch_of_another_image_turns_to_it(desk):
    desk.press("c")
    desk.wheel(_cell(desk, "axial", "mr"), 1)
    assert desk.view.modality == "mr" and desk.view.beside


def test_a_drag_changes_the_window_of_the_image_shown_alone(desk):
    before = dict(desk.view.windows)
    desk.drag_window(0.1, 0.0)
    low, high = desk.view.window
    assert high - low == pytest.approx((before["ct"][1][1] - before["ct"][1][0]) * 1.1)
    assert desk.view.windows["mr"] == before["mr"]


def test_a_double_click_shows_a_pane_alone_and_escape_brings_all_back(desk):
    desk.double_click(_cell(desk, "sagittal"))
    assert [cell.kind for cell in desk.cells(SIZE)] == ["sagittal"]
    desk.press("Escape")
    assert len(desk.cells(SIZE)) == 4


def test_what_is_under_the_mouse_is_read_without_moving_the_cursor(desk):
    cell, cursor = _cell(desk, "axial"), desk.view.cursor
    z, y, x = np.argwhere(desk.shown.labels == 3)[0]
    desk.view = replace(desk.view, cursor=(*cursor[:2], int(z)))
    place = pane(desk.shown, desk.view, "axial", cell.box[2:]).pixel(*column_row(desk.shown, "axial", (x, y, z)))
    assert desk.under(cell, *place).anatomy == "lesion in liver in body"
    assert desk.under(cell, -50, -50) is None
    assert desk.under(_cell(desk, "3d"), 5, 5) is None
    assert desk.view.cursor[:2] == cursor[:2]


def test_every_key_does_what_the_help_says(desk):
    view = desk.view
    effects = {
        "m": lambda: desk.view.modality == "mr",
        "c": lambda: desk.view.beside,
        "g": lambda: not desk.view.labelled,
        "o": lambda: not desk.view.outline,
        ",": lambda: desk.view.opacity < view.opacity,
        ".": lambda: desk.view.opacity > view.opacity,
        "l": lambda: not desk.view.lines,
        "p": lambda: not desk.view.beams,
        "d": lambda: desk.measuring,
        "+": lambda: desk.view.zoom > 1,
        "-": lambda: desk.view.zoom == 1,
        "x": lambda: desk.view.alone == "axial",
        "ArrowUp": lambda: desk.view.cursor[2] == view.cursor[2] + 1,
        "ArrowDown": lambda: desk.view.cursor[2] == view.cursor[2] - 1,
        " ": lambda: desk.playing,
        "h": lambda: desk.helping,
        "r": lambda: desk.view == view,
        "Escape": lambda: desk.view == view,
        "t": lambda: desk.view == view and desk.phase is None,  # a subject that keeps still has no phases
        "n": lambda: desk.view == view,  # a subject that stays has no next one
        "[": lambda: desk.view == view,
        "s": lambda: "saved" not in desk.told(),  # nor is there a scene to save
    }
    assert {key.names[0] for key in KEYS} == set(effects)
    for name, done in effects.items():
        desk.view, desk.playing, desk.measuring, desk.helping = view, False, False, False
        assert desk.press(name)
        assert done(), name
    assert not desk.press("F12")


def test_digits_take_the_windows_of_the_image(desk):
    desk.press("5")
    assert desk.view.preset == "bone"
    desk.press("9")  # there is no ninth
    assert desk.view.preset == "bone"


def test_cine_pages_on_by_itself(desk, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("viewer.desk.time.monotonic", lambda: now[0])
    desk.press(" ")
    seen = []
    for _ in range(desk.shown.grid.size[2]):
        now[0] += 0.1
        assert desk.poll()
        seen.append(desk.view.cursor[2])
    assert sorted(seen) == list(range(desk.shown.grid.size[2]))
    desk.press(" ")
    now[0] += 0.1
    assert not desk.poll()


def test_3d_is_drawn_again_only_where_organs_change(desk):
    anatomy, version = desk.anatomy, desk.version
    desk.press("f")
    assert (desk.anatomy, desk.version) == (anatomy, version + 1)
    desk.press("g")
    assert desk.anatomy == anatomy + 1


def test_an_error_leaves_the_last_good_picture(desk, subject):
    class Broken(Still):
        def poll(self):
            return Frame(error="scene.yaml:3:1: wrong")

    view = desk.view
    desk.source = Broken(subject)
    assert desk.poll()
    assert desk.error == "scene.yaml:3:1: wrong" and desk.subject is subject and desk.view == view
    desk.source = Still(subject)
    desk.poll()
    assert desk.error == ""


def test_the_cases_of_a_dataset_follow_each_other(subject, tmp_path):
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "labelsTr").mkdir()
    (tmp_path / "dataset.json").write_text(
        '{"channel_names": {"0": "CT"}, "labels": {"background": 0, "body": 1}, "file_ending": ".nii.gz"}'
    )
    for name in ("a", "b"):
        write_image(tmp_path / "imagesTr" / f"{name}_0000.nii.gz", subject.images["ct"], subject.grid)
        write_labels(tmp_path / "labelsTr" / f"{name}.nii.gz", (subject.labels > 0).astype(np.uint8), subject.grid)
    desk = Desk(cases(tmp_path, "b"))
    desk.poll()
    assert desk.shown.name == "b"
    for key, name in (("n", "a"), ("n", "b"), ("[", "a")):
        desk.press(key)
        desk.poll()
        assert desk.shown.name == name
    (tmp_path / "imagesTr" / "b_0000.nii.gz").write_bytes(b"broken")
    desk.press("n")
    desk.poll()
    assert "b_0000.nii.gz" in desk.error and desk.shown.name == "a"
    assert desk.source.place == "case 2 of 2"
    desk = Desk(cases(tmp_path, "b"))
    desk.poll()
    assert "b_0000.nii.gz" in desk.error and desk.shown.name == "a"
