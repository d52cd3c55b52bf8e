"""The desktop window, drawn off-screen and driven as VTK drives it: mouse positions, wheels and keys."""

import time

import numpy as np
import pytest

from engine.picture import rgb_of
from viewer import later, system
from viewer.desk import Desk
from viewer.organs import Organs, frame_of, sides_of
from viewer.panel import WIDTH
from viewer.sources import Still
from viewer.window import Window

SIZE = (900, 560)


@pytest.fixture
def window(subject):
    desk = Desk(Still(subject))
    desk.poll()
    with system.offscreen_windows():
        opened = Window(desk, SIZE, off_screen=True)
    opened.update()
    yield opened
    opened.close()


def _shot(window):
    return np.asarray(window.plotter.screenshot(return_img=True))[..., :3]


def _near(picture, color, within=40):
    return (np.abs(picture.astype(int) - np.array(rgb_of(color))).max(axis=-1) < within).sum()


def _middle(window, kind):
    left, top, wide, high = next(cell for cell in window.desk.cells(_room()) if cell.kind == kind).box
    return left + wide // 2, top + high // 2


def _room():
    return SIZE[0] - WIDTH, SIZE[1] - 26


def test_slices_organs_and_panel_are_on_screen(window, subject):
    shot = _shot(window)
    assert shot.shape == (SIZE[1], SIZE[0], 3)
    panes, panel = shot[:, :-WIDTH], shot[:, -WIDTH:]
    assert _near(panel, subject.colors[4]) > 50  # the spleen's swatch
    left, top, wide, high = next(cell for cell in window.desk.cells(_room()) if cell.kind == "3d").box
    assert _near(panes[top : top + high, left : left + wide], subject.colors[4]) > 100  # the spleen in 3-D
    left, top, wide, high = next(cell for cell in window.desk.cells(_room()) if cell.kind == "axial").box
    assert panes[top : top + high, left : left + wide].std() > 10


def test_a_click_moves_the_other_planes_and_redraws_them(window):
    before, cursor = _shot(window), window.desk.view.cursor
    x, y = _middle(window, "axial")
    assert window.press(x + 20, y + 15)
    window.release()
    assert window.update()
    assert window.desk.view.cursor[:2] != cursor[:2]
    left, top, wide, high = next(cell for cell in window.desk.cells(_room()) if cell.kind == "coronal").box
    assert (_shot(window) != before)[top : top + high, left : left + wide].any()
    assert not window.update()  # nothing more to draw


@pytest.mark.parametrize("software", [True, False])
def test_organs_that_the_cpu_draws_follow_when_the_user_rests(window, monkeypatch, software):
    monkeypatch.setattr(Organs, "software", software)
    left, top, wide, high = next(cell for cell in window.desk.cells(_room()) if cell.kind == "3d").box

    def organs():
        return _shot(window)[top : top + high, left : left + wide]

    before = organs()
    for _ in range(2):
        window.wheel(*_middle(window, "axial"), 4)
        assert window.update()
    assert np.array_equal(organs(), before) == software
    if software:
        assert not window.update()
        time.sleep(later._REST_SECONDS)
        window.tick()
        assert not np.array_equal(organs(), before)
    window.tick()
    assert not window.update()


def test_the_panel_is_drawn_anew_unless_the_cursor_alone_moved(window):
    panel = window._panel
    window.wheel(*_middle(window, "axial"), 1)
    window.update()
    assert window._panel is panel
    window.desk.press("g")
    window.update()
    assert window._panel is not panel


def test_the_wheel_pages_the_plane_under_it_and_leaves_the_organs_to_vtk(window):
    before = window.desk.view.cursor
    assert window.wheel(*_middle(window, "sagittal"), 1)
    assert window.desk.view.cursor == (before[0] + 1, *before[1:])
    assert not window.wheel(*_middle(window, "3d"), 1)
    assert not window.press(*_middle(window, "3d"))


def test_the_mouse_tells_what_it_is_over_without_a_new_drawing(window, subject):
    version = window.desk.version
    assert not window.move(*_middle(window, "axial"))
    assert "mm" in window._under and "voxel" in window._under
    before = _shot(window)
    assert window.update() and window.desk.version == version
    changed = (_shot(window) != before).any(axis=(1, 2))
    assert changed.any() and not changed[:-26].any()  # the line at the foot alone


def test_the_cursor_follows_the_mouse_with_shift(window):
    x, y = _middle(window, "axial")
    before = window.desk.view.cursor
    assert not window.move(x + 20, y + 15) and window.desk.view.cursor == before
    assert window.move(x + 20, y + 15, shift=True) and window.desk.view.cursor != before
    assert not window.move(*_middle(window, "3d"), shift=True)


def test_a_right_drag_changes_the_window(window):
    x, y = _middle(window, "axial")
    low, high = window.desk.view.window
    window.grab(x, y)
    window.move(x + 60, y)
    assert window.desk.view.window[1] - window.desk.view.window[0] > high - low
    assert window.release() and not window.release()


def test_the_panel_hides_a_structure_turns_the_image_and_takes_a_window(window, subject):
    def strike(which):
        hit = which(window._hits)
        left, top, wide, high = hit.box
        window.press(SIZE[0] - WIDTH + left + wide / 2, top + high / 2)
        window.release()
        window.update()

    strike(lambda hits: hits[-1])
    assert len(window.desk.view.hidden) == 1
    strike(lambda hits: hits[1])
    assert window.desk.view.modality == "mr"
    strike(lambda hits: hits[2])
    assert window.desk.view.beside
    slider = next(hit for hit in window._hits if hit.drags)
    left, top, wide, high = slider.box
    window.press(SIZE[0] - WIDTH + left + 1, top + high / 2)
    assert window.desk.view.opacity < 0.05
    window.move(SIZE[0] - WIDTH + left + wide, top + high / 2)
    assert window.desk.view.opacity > 0.95


def test_a_double_click_shows_one_pane_and_keys_bring_help(window):
    window.press(*_middle(window, "coronal"), repeat=1)
    window.update()
    assert window.desk.view.alone == "coronal"
    window.press(*_middle(window, "coronal"), repeat=1)
    before = _shot(window)
    window.desk.press("h")
    window.update()
    assert (_shot(window) != before).any()


def test_an_error_is_told_over_the_last_good_picture(window):
    before = _shot(window)
    window.desk.error = "error: unknown key 'raduis'\n --> scene.yaml:3:7"
    window.desk.version += 1
    window.update()
    shot = _shot(window)
    changed = (shot != before).any(axis=(1, 2))
    assert changed.any() and not changed[: SIZE[1] // 2].any()


def test_letters_stand_at_the_patients_sides(window, subject):
    sides = sides_of(subject.grid)
    for low, high, axis in (("R", "L", 0), ("A", "P", 1), ("I", "S", 2)):
        apart = sides[high] - sides[low]
        assert apart[axis] == pytest.approx(1.1 * subject.grid.extent[axis]) and np.count_nonzero(apart.round(6)) == 1
    left, top, wide, high = next(cell for cell in window.cells if cell.kind == "3d").box
    red, green, blue = np.moveaxis(_shot(window)[top : top + high, left : left + wide].astype(float), -1, 0)
    amber = (red > 120) & (green > 0.75 * red) & (blue < 0.65 * red)
    for side in (amber[:, : wide // 4], amber[:, -(wide // 4) :]):
        assert 5 < side.sum() < 150  # R and L


def test_the_planes_frames_lie_where_the_slices_are(subject):
    from viewer.state import first_view

    view = first_view(subject)
    points = np.asarray(frame_of(subject, view, "axial").points)
    np.testing.assert_allclose(points[0], subject.grid.to_world([-0.5, -0.5, view.index("axial")]), atol=1e-3)
    assert np.ptp(points[:, 2]) < 1e-3
