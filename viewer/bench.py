"""Benchmarks of the viewer: how long hands wait for slices, in the window, for a page, and after a scene was saved."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.bench import Cost, cost, note, row
from engine.errors import UserError
from engine.generate import MODALITIES
from viewer.desk import Desk
from viewer.opening import open_source, open_subject
from viewer.page import jpeg
from viewer.panes import draw_panes
from viewer.sources import Source, Still
from viewer.system import offscreen_windows
from viewer.window import Window

_SCENE = Path(__file__).parents[1] / "scenes" / "abdomen.yaml"
_SIZE = 96  # voxels along the longest axis
_RUNS = 21
_SAVES = 5
_PATIENCE = 120.0  # seconds
_POLL = 0.005


def bench_view() -> list[dict[str, Any]]:
    """A click and a turn of the wheel until the slices stand there, and from a saved scene to its preview."""
    with _window(Still(open_subject(_SCENE, size=_SIZE))) as window:
        rows = _hands(window)
    return [*rows, _saves()]


def _hands(window: Window) -> list[dict[str, Any]]:
    window.update()
    desk = window.desk
    cell = next(cell for cell in window.cells if cell.kind == "axial")
    shares, ways = itertools.cycle(np.linspace(0.35, 0.65, 20)), itertools.cycle([1] * 10 + [-1] * 10)
    width, height = window.plotter.window_size

    def click(drawn: Callable[[], object]) -> Cost:
        def work() -> None:
            share = next(shares)
            desk.click(cell, share * cell.box[2], share * cell.box[3])
            drawn()

        return cost(work, _RUNS)

    def wheel() -> None:
        desk.wheel(cell, next(ways))
        window.update()

    clicked, whole = click(window.update), click(lambda: window.update(at_once=True))
    page = click(lambda: jpeg(draw_panes(desk.shown, desk.view, (width, height))))
    return [
        row(f"a click on `abdomen` at {_SIZE}^3 to its slices, in a window of {width} x {height}", clicked, clicked),
        row("a turn of the wheel to its slice", cost(wheel, _RUNS), clicked),
        row(
            "a click to its slices and the organs in 3-D (which follow later where the CPU draws)",
            whole,
            clicked,
        ),
        row("a click to its slices as a page's picture of that size", page, clicked),
    ]


def _saves() -> dict[str, Any]:
    """From a scene's save to its new slices; the drawing has a process of its own, so wall time alone."""
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(shutil.copy(_SCENE, folder))
        with _window(open_source(scene, size=_SIZE)) as window:
            seconds = [_save(window, scene) for _ in range(1 + _SAVES)]  # the first fills caches
    return note(f"seconds from a save of `abdomen` to its new slices at {_SIZE}^3", statistics.median(seconds[1:]))


def _save(window: Window, scene: Path) -> float:
    _wait(window, lambda: window.desk.subject is not None and len(window.desk.subject.images) == len(MODALITIES))
    before = window.desk.subject
    scene.write_text(scene.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    began = time.perf_counter()
    _wait(window, lambda: window.desk.subject is not before)
    return time.perf_counter() - began


def _wait(window: Window, there: Callable[[], object]) -> None:
    """Poll as a window's timer does until something is there, and draw it."""
    end = time.monotonic() + _PATIENCE
    while not there():
        if time.monotonic() > end:
            raise UserError(f"nothing was drawn for {_PATIENCE:.0f} s. {window.desk.error}")
        time.sleep(_POLL)
        window.desk.poll()
    window.update()


@contextlib.contextmanager
def _window(source: Source) -> Iterator[Window]:
    with offscreen_windows():
        window = Window(Desk(source), off_screen=True)
    try:
        window.desk.poll()
        yield window
    finally:
        window.close()
