import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from engine.errors import UserError
from engine.grid import Grid
from engine.picture import rgb_of
from viewer import system, view
from viewer.screenshot import draw_page
from viewer.stage import draw_organs
from viewer.subject import Subject

pytestmark = pytest.mark.usefixtures("offscreen")


def hue_is_near(picture: np.ndarray, color: str, tolerance: float = 0.12) -> np.ndarray:
    """Pixels whose chromaticity is that of `color`, however they are lit, and that are no dark ground."""
    pixels = picture.astype(float)
    total = pixels.sum(axis=-1, keepdims=True)
    wanted = np.asarray(rgb_of(color), float)
    near = np.abs(pixels / np.maximum(total, 1) - wanted / wanted.sum()).max(axis=-1) < tolerance / 2
    return near & (total[..., 0] > 120)


def test_the_screenshot_is_a_picture_with_every_organ(subject, tmp_path):
    path = view(subject, screenshot=tmp_path / "a.png", width=900)
    picture = np.asarray(Image.open(path))
    assert picture.shape[1] == 900 and picture.shape[2] == 3 and picture.std() > 20
    for color in subject.colors.values():
        assert (picture == rgb_of(color)).all(axis=-1).sum() > 30  # legend swatches and outlines
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png"]


def test_one_modality_gets_larger_slices(subject):
    both, one = draw_page(subject, width=900), draw_page(subject, "ct", width=900)
    assert one.shape != both.shape and one.shape[1] == 900


def test_organs_in_3d_stand_where_the_camera_sees_them(subject):
    picture = draw_organs(subject, (240, 200))
    assert picture.shape == (200, 240, 3)
    liver = np.argwhere(hue_is_near(picture, subject.colors[2]))
    spleen = np.argwhere(hue_is_near(picture, subject.colors[4]))
    assert len(liver) > 300 and len(spleen) > 300
    assert liver[:, 1].mean() < spleen[:, 1].mean()  # from the front, the patient's right is on the left


def test_a_point_moves_the_planes(subject):
    picture = draw_page(subject, "ct", width=700)
    elsewhere = draw_page(subject, "ct", point_mm=(0.0, 0.0, 60.0), width=700)
    assert picture.shape == elsewhere.shape and (picture != elsewhere).any()


@pytest.mark.parametrize("size", [(20, 16, 1), (1, 16, 12), (30, 4, 90)])
def test_thin_and_tall_volumes_have_a_picture(size):
    grid = Grid.centred(size, (2.0, 2.0, 5.0))
    data = np.random.default_rng(0).normal(size=grid.shape)
    labels = np.zeros(grid.shape, int)
    labels[tuple(slice(n // 4, n // 4 + max(1, n // 2)) for n in grid.shape)] = 1
    assert draw_page(Subject.from_arrays(grid, {"mr": data}), width=500).shape[1] == 500
    assert draw_page(Subject.from_arrays(grid, {"mr": data}, labels), width=500).shape[1] == 500


def test_labels_without_images_have_a_picture(subject):
    alone = Subject.from_arrays(subject.grid, {}, subject.labels, subject.names)
    assert draw_page(alone, width=600).std() > 20


def test_what_cannot_be_shown_is_said(subject, tmp_path):
    with pytest.raises(UserError, match="no 'us' image; it has: ct, mr"):
        view(subject, screenshot=tmp_path / "a.png", modality="us")
    with pytest.raises(UserError, match=r"name the file \.png"):
        view(subject, screenshot=tmp_path / "a.gif", width=500)
    with pytest.raises(UserError, match="400 px"):
        view(subject, screenshot=tmp_path / "a.png", width=10)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems bring what is needed")
def test_missing_libraries_are_named_with_their_packages(monkeypatch, subject, tmp_path):
    real = system.require_offscreen
    monkeypatch.setattr(system, "require_offscreen", lambda: real("libEGL-gone.so"))
    with pytest.raises(UserError, match=r"libEGL-gone\.so is missing.*apt-get install libegl1 libgl1-mesa-dri"):
        view(subject, screenshot=tmp_path / "a.png")
    with pytest.raises(UserError, match="libEGL-gone"):
        draw_organs(subject, (64, 64))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems bring what is needed")
def test_a_library_without_a_driver_is_told_from_a_missing_one(monkeypatch):
    monkeypatch.setenv("__EGL_VENDOR_LIBRARY_DIRS", "/nonexistent")
    system.require_offscreen.cache_clear()
    with pytest.raises(UserError, match="no OpenGL driver answers"):
        system.require_offscreen()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems bring what is needed")
def test_a_driver_that_crashes_is_reported(monkeypatch):
    crashed = subprocess.CompletedProcess([], returncode=-11, stdout="", stderr="")
    monkeypatch.setattr(system.subprocess, "run", lambda *args, **kwargs: crashed)
    with pytest.raises(UserError, match=r"crashed \(exit code -11\)"):
        system.require_offscreen("libEGL-other.so")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a display")
def test_without_a_display_the_window_points_to_the_screenshot(monkeypatch, subject):
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(UserError, match="--screenshot"):
        view(subject)
