"""A scene file that is drawn anew whenever it changes."""

import time
from pathlib import Path

import numpy as np
import pytest

from engine.errors import UserError
from engine.generate import draw, imaged
from engine.scene import Scene
from viewer.desk import Desk
from viewer.live import LiveScene, Settings, sliders
from viewer.sources import Draws

SCENE = """\
viscera: 1
name: small
seed: 4
grid: {size: [24, 24, 24], spacing: [4, 4, 4]}
vars:
  size: {normal: [14, 1]}
  count: {integer: [1, 3]}
  double: {expr: 2 * size}
structures:
  body: {kind: ellipsoid, material: fat, radii: [44, 40, 44]}
  organ: {kind: sphere, material: liver, inside: body, radius: $size}
"""
PATIENCE = 60  # seconds; the first drawing compiles kernels


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text(SCENE)
    return file


@pytest.fixture
def live(path):
    opened = LiveScene(path, 24, modalities=("ct", "mr"))
    yield opened
    opened.close()


def _next(live, wanted=lambda frame: True):
    """The next frame that is wanted."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        frame = live.poll()
        if frame is not None and wanted(frame):
            return frame
        time.sleep(0.02)
    raise AssertionError("no drawing came")


def _whole(frame):
    return frame.subject is not None and len(frame.subject.images) == 2


def _volume(frame, name="organ"):
    return int((frame.subject.labels == {n: v for v, n in frame.subject.names.items()}[name]).sum())


def test_a_scene_is_drawn_with_its_own_seed_and_all_images(live, path):
    frame = _next(live, _whole)
    scene = Scene.load(path)
    expected = draw(scene, scene.seed, 0, ("ct", "mr"), scene.grid.grid(24))
    for name in ("ct", "mr"):
        assert np.array_equal(frame.subject.images[name], expected.images[name].data.numpy())
    assert live.poll() is None  # no news


def test_images_made_later_are_those_made_at_once(path):
    scene = Scene.load(path)
    first = draw(scene, 1, 0, ("ct",))
    both = draw(scene, 1, 0, ("ct", "mr"))
    assert np.array_equal(imaged(first, ("ct", "mr")).images["mr"].data, both.images["mr"].data)


def test_a_save_is_drawn_and_a_mistake_is_told_until_it_is_mended(live, path):
    before = _next(live, _whole)
    path.write_text(SCENE.replace("normal: [14, 1]", "normal: [20, 1]"))
    assert _volume(_next(live, _whole)) > 1.5 * _volume(before)
    path.write_text(SCENE.replace("radius:", "raduis:"))
    wrong = _next(live)
    assert wrong.subject is None
    assert f"{path}:11:" in wrong.error and "did you mean 'radius'?" in wrong.error and "raduis: $size" in wrong.error
    path.write_text(SCENE.replace("kind: sphere", "kind: [sphere"))  # half-written
    assert "not valid YAML" in _next(live).error
    path.write_text(SCENE)
    assert _volume(_next(live, _whole)) == _volume(before)


def test_a_scene_that_disappears_is_told_and_comes_back(live, path):
    _next(live, _whole)
    path.unlink()
    assert "no such file" in _next(live).error
    path.write_text(SCENE)
    assert _next(live, _whole).error == ""


def test_a_scene_that_becomes_huge_is_still_drawn_at_preview_size(live, path):
    before = _next(live, _whole)
    path.write_text(
        SCENE.replace("size: [24, 24, 24], spacing: [4, 4, 4]", "size: [9600, 9600, 9600], spacing: [0.01, 0.01, 0.01]")
    )
    assert _next(live, _whole).subject.grid.size == before.subject.grid.size


def test_a_change_of_an_included_file_is_drawn(tmp_path):
    (tmp_path / "part.yaml").write_text("structures:\n  extra: {kind: sphere, material: bone, radius: 5}\n")
    path = tmp_path / "small.yaml"
    path.write_text(SCENE.replace("seed: 4", "seed: 4\ninclude: [part.yaml]"))
    live = LiveScene(path, 24, modalities=("ct",))
    try:
        small = _volume(_next(live), "extra")
        (tmp_path / "part.yaml").write_text("structures:\n  extra: {kind: sphere, material: bone, radius: 12}\n")
        assert _volume(_next(live), "extra") > 5 * small
    finally:
        live.close()


def test_settings_change_a_drawing_without_the_file(live):
    before = _next(live, _whole)
    live.change(Settings(variables={"size": 20.0, "unknown": 3.0}))
    assert _volume(_next(live, _whole)) > 1.5 * _volume(before)
    live.change(Settings(off=frozenset({"organ"})))
    assert "organ" not in {before.subject.names[v] for v in np.unique(_next(live, _whole).subject.labels) if v}
    live.change(Settings(seed=9))
    reseeded = _next(live, _whole)
    assert reseeded.variables["size"] != before.variables["size"]
    live.change(Settings())
    assert np.array_equal(_next(live, _whole).subject.labels, before.subject.labels)


def test_the_image_looked_at_is_made_first(live):
    _next(live, _whole)
    live.first("mr")
    live.change(Settings(seed=2))
    assert "mr" in _next(live).subject.images


def test_sliders_are_the_variables_that_range_over_numbers(path):
    scene = Scene.load(path)
    drawn = draw(scene, 0, 0, ())
    size, count = sliders(scene, drawn.variables)
    assert (size.name, size.low, size.high, size.whole) == ("size", 11.0, 17.0, False)
    assert size.value == drawn.variables["size"]
    assert (count.name, count.low, count.high, count.whole) == ("count", 1.0, 3.0, True)


def _desk(live):
    desk = Desk(Draws(live))
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and (desk.subject is None or len(desk.subject.images) < 2):
        desk.poll()
        time.sleep(0.02)
    return desk


def test_a_sample_saved_from_the_desk_is_drawn_as_it_was(live, path):
    desk = _desk(live)
    desk.press("s")
    saved = path.with_name("small_4.yaml")
    assert desk.told() == f"saved as {saved}" == desk.told("what the mouse is over")
    scene = Scene.load(saved)
    again = draw(scene, 0, 0, ("ct",), scene.grid.grid(24))
    assert np.array_equal(again.images["ct"].data.numpy(), desk.shown.images["ct"])
    desk.press("s")
    assert path.with_name("small_4_1.yaml").read_text() == saved.read_text()


def test_what_cannot_be_saved_is_told(live, path, monkeypatch):
    desk = _desk(live)

    def refuse(*_):
        raise UserError("small_4.yaml: cannot be written; the disk is full")

    monkeypatch.setattr("viewer.sources.write_text", refuse)
    desk.press("s")
    assert "the disk is full" in desk.told()


def test_a_structure_is_left_out_and_drawn_again(live):
    desk = _desk(live)
    names = set(desk.shown.names.values())
    desk.leave_out("organ")
    assert desk.draws.left_out == ["organ"]
    until = time.monotonic() + PATIENCE
    while "organ" in desk.shown.names.values() and time.monotonic() < until:
        desk.poll()
        time.sleep(0.02)
    assert set(desk.shown.names.values()) == names - {"organ"}
    desk.leave_out("organ")
    assert desk.draws.left_out == []


def test_a_sample_saved_as_a_scene_gives_the_same_again(live, tmp_path):
    frame = _next(live, _whole)
    saved = Path(tmp_path / "kept" / "sample.yaml")
    saved.parent.mkdir()
    saved.write_text(frame.drawn.dump())
    again = draw(Scene.load(saved), 0, 0, ("ct",), frame.subject.volume.grid)
    assert np.array_equal(again.images["ct"].data.numpy(), frame.subject.images["ct"])
