"""The core of every viewer: what is open, how it is looked at, and what keys and mouse do. No VTK and no web here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.errors import UserError
from engine.picture import Axis
from viewer import actions
from viewer.panes import Cell, cells, pane, voxel_at
from viewer.readout import Readout, readout
from viewer.sources import Draws, Source
from viewer.state import Kind, Position, View, Voxel, first_view
from viewer.subject import Subject

_CINE_SECONDS = 0.08  # a slice
_OPACITIES = 0.1  # a step of the opacity keys
_NOTICE_SECONDS = 6.0
_PHASES = 8  # of a scene's motion, a key press apart
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Key:
    """What a key does.

    Args:
        names: of the key as browsers call it; several do the same.
        says: what it does, for the help.
        does: the desk's method.
    """

    names: tuple[str, ...]
    says: str
    does: Callable[[Desk], None]

    @property
    def title(self) -> str:
        """Its names for the help."""
        return " ".join("space" if name == " " else name for name in self.names)


class Desk:
    """One subject, one view of it, and everything that changes either.

    Args:
        source: of subjects.
        modality: the image to begin with; the first one if left out.
        point_mm: where the planes cross at first.

    Attributes:
        subject: what is shown; None until the first one is there.
        view: how.
        plane: that keys and cine page through: the last one that was touched.
        error: why the source gave nothing new; the last good subject stays.
        playing: whether cine runs.
        measuring: whether a click sets an end of the ruler instead of the cursor.
        helping: whether the keys are listed.
        version: grows with every change, so that who draws knows when to.
        moves: grows with the changes that only move the cursor; the panel is the same after them.
        anatomy: grows when organs in 3-D look different.
    """

    def __init__(self, source: Source, modality: str | None = None, point_mm: Position | None = None) -> None:
        self.source = source
        self._modality, self._point = modality, point_mm
        self.subject: Subject | None = None
        self._view: View | None = None
        self.plane: Axis = "axial"
        self.error = ""
        self.playing = self.measuring = self.helping = False
        self.version = self.moves = self.anatomy = 0
        self._turned = 0.0  # when cine last went on
        self._notice, self._noticed = "", 0.0  # what has been done, and when
        self._held = ""  # what a held button drags: the cursor or the window
        self._moment = 0  # the phase that is shown of a subject that was read with several
        if modality:
            source.first(modality)

    # --- what is shown ----------------------------------------------------------------------------------------------

    @property
    def view(self) -> View:
        """How the subject is looked at; there is one as soon as there is a subject."""
        assert self._view is not None
        return self._view

    @view.setter
    def view(self, new: View) -> None:
        old = self._view
        if new == old:
            return
        self._view = new
        self.version += 1
        if old is not None and replace(new, cursor=old.cursor) == old:
            self.moves += 1
        if old is None or (new.hidden, new.labelled) != (old.hidden, old.labelled):
            self.anatomy += 1
        if new.modality and (old is None or new.modality != old.modality):
            self.source.first(new.modality)

    @property
    def shown(self) -> Subject:
        """The subject; there is one as soon as `poll` said so."""
        assert self.subject is not None
        return self.subject

    def poll(self) -> bool:
        """Take what the source has that is new, and go on with cine; whether anything changed."""
        before = self.version
        frame = self.source.poll()
        if frame is not None:
            self.error = frame.error
            self.version += 1
            if frame.subject is not None:
                self._moment = 0
                self._open(frame.subject)
        if self.playing and self.subject is not None and time.monotonic() - self._turned >= _CINE_SECONDS:
            self._turned = time.monotonic()
            self.view = actions.scroll(self.subject, self.view, self.plane, 1, around=True)
        return self.version != before

    def _open(self, subject: Subject) -> None:
        before, self.subject = self.subject, subject
        self.anatomy += 1
        if before is None or self._view is None:
            modality = self._modality if self._modality in subject.images else None
            self.view = first_view(subject, modality, self._point)
        else:
            self.view = actions.follow(subject, self.view, before)

    def cells(self, size: tuple[int, int]) -> list[Cell]:
        """The panes of a window of `size` pixels."""
        return cells(self.shown, self.view, size)

    def readout(self, voxel: Voxel | None = None) -> Readout:
        """What is under the cursor, or at another voxel."""
        return readout(self.shown, voxel or self.view.cursor)

    def under(self, cell: Cell, x: float, y: float) -> Readout | None:
        """What is at a pixel of a cell; None in 3-D and off the slice."""
        if cell.kind == "3d":
            return None
        shown = pane(self.shown, self.view, cell.kind, cell.box[2:])
        column, row = shown.index(x, y)
        if not (-0.5 <= column < shown.count[0] - 0.5 and -0.5 <= row < shown.count[1] - 0.5):
            return None
        return self.readout(voxel_at(self.shown, self.view, shown, x, y))

    def told(self, under: str = "") -> str:
        """The line at the foot: what has just been done, else what the mouse is over, else what the cursor is at."""
        if self._notice and time.monotonic() - self._noticed < _NOTICE_SECONDS:
            return self._notice
        if self.subject is None:
            return "drawing ..."
        return under or self.readout().text

    # --- mouse ------------------------------------------------------------------------------------------------------

    def click(self, cell: Cell, x: float, y: float) -> None:
        """Put the cursor, or an end of the ruler, at a pixel of a cell."""
        if not self.measuring:
            self.follow(cell, x, y)
            return
        if cell.kind == "3d":
            return
        self._touch(cell)
        shown = pane(self.shown, self.view, cell.kind, cell.box[2:])
        voxel = np.asarray(voxel_at(self.shown, self.view, shown, x, y), float)
        px, py, pz = map(float, self.shown.grid.to_world(voxel))
        self.view = actions.measure(self.view, (px, py, pz))

    def follow(self, cell: Cell, x: float, y: float) -> None:
        """Take the cursor along with the mouse, at a pixel of a cell: while Shift is held, and never with the ruler."""
        if cell.kind != "3d":
            self._touch(cell)
            self.view = actions.point(self.shown, self.view, cell, x, y)

    def wheel(self, cell: Cell, steps: int) -> None:
        """Page through the slices of a cell's plane."""
        if cell.kind != "3d":
            self._touch(cell)
            self.view = actions.scroll(self.shown, self.view, cell.kind, steps)

    def double_click(self, cell: Cell) -> None:
        """Show a cell alone, or all of them again."""
        self._touch(cell)
        self.view = actions.maximise(self.view, cell.kind)

    def drag_window(self, right: float, down: float) -> None:
        """Change the window as a drag by shares of a pane's size does: right wider, down brighter."""
        self.view = actions.adjust_window(self.shown, self.view, right, -down)

    def _touch(self, cell: Cell) -> None:
        if cell.kind != "3d":
            self.plane = cell.kind
        if cell.modality and cell.modality != self.view.modality:
            self.view = actions.turn_to(self.shown, self.view, cell.modality)

    def release(self) -> bool:
        """A button let go; whether it was held on a slice."""
        held, self._held = self._held, ""
        return bool(held)

    def drag(self, cell: Cell | None, place: tuple[float, float], moved: tuple[float, float]) -> bool:
        """The mouse at a pixel of the window while a button may be held on a slice; whether one is.

        Args:
            cell: under it.
            place: in pixels of the window.
            moved: since the last call, as shares of the window's size.
        """
        if self._held == "window":
            self.drag_window(2 * moved[0], 2 * moved[1])
        elif self._held == "cursor" and cell is not None and not self.measuring:
            self.click(cell, place[0] - cell.box[0], place[1] - cell.box[1])
        return bool(self._held)

    def hold(self, cell: Cell, x: float, y: float, right: bool = False) -> bool:
        """A button pressed at a pixel of the window; False over the organs, which every shell turns its own way."""
        if cell.kind == "3d":
            return False
        self._held = "window" if right else "cursor"
        if not right:
            self.click(cell, x - cell.box[0], y - cell.box[1])
        return True

    # --- the panel ----------------------------------------------------------------------------------------------------

    def show(self, modality: str) -> None:
        """One of the images by itself."""
        self.view = replace(actions.turn_to(self.shown, self.view, modality), beside=False)

    def take(self, preset: str) -> None:
        """One of the image's windows."""
        self.view = actions.take_preset(self.shown, self.view, preset)

    @property
    def draws(self) -> Draws | None:
        """The source, where it draws a scene and has drawn one."""
        return self.source if isinstance(self.source, Draws) and self.source.frame.scene is not None else None

    def vary(self, name: str, value: float) -> None:
        """Set a variable of the scene by hand."""
        if self.draws:
            self.draws.vary(name, value)
            self.version += 1

    @property
    def phase(self) -> float | None:
        """Where in its motion the subject is, from 0 below 1; None where it keeps still."""
        if self.draws:
            return self.draws.phase
        moments = self.subject.moments if self.subject else None
        return self._moment / moments.count if moments else None

    def move(self, phase: float) -> None:
        """Go to another phase of the motion."""
        if self.draws:
            self.draws.move(phase)
            self.version += 1
        elif self.shown.moments:
            count = self.shown.moments.count
            self._move_to(min(int(phase * count + _ROUNDING), count - 1))

    def advance(self) -> None:
        """Go to the next phase of the motion, the first again after the last; a scene's are eighths of its cycle."""
        if self.phase is None:
            return
        count = self.shown.moments.count if self.shown.moments else _PHASES
        self.move((round(self.phase * count) + 1) % count / count)

    def _move_to(self, moment: int) -> None:
        if moment == self._moment:
            return
        try:
            subject = self.shown.at_moment(moment)
        except UserError as error:
            self.error = str(error)
        else:
            self._moment = moment
            self._open(subject)
        self.version += 1

    def leave_out(self, name: str) -> None:
        """Draw the scene without a structure, or with it again."""
        if self.draws:
            self.draws.leave_out(name)
            self.version += 1

    def save(self) -> None:
        """Write the sample that is shown as a scene of its own, and say where."""
        if not self.draws:
            return
        try:
            self._notice = f"saved as {self.draws.save()}"
        except UserError as error:
            self._notice = str(error)
        self._noticed = time.monotonic()
        self.version += 1

    # --- keys -------------------------------------------------------------------------------------------------------

    def press(self, name: str) -> bool:
        """Do what a key does; False for a key that does nothing."""
        if self.subject is None:
            return False
        if name.isdigit() and name != "0":
            known = actions.presets(self.subject, self.view)
            if int(name) <= len(known):
                self.take(known[int(name) - 1])
            return True
        key = _BY_NAME.get(name)
        if key is None:
            return False
        key.does(self)
        return True

    def page(self, steps: int) -> None:
        """Page through the plane that was touched last."""
        self.view = actions.scroll(self.shown, self.view, self.plane, steps)

    def step(self, count: int) -> None:
        """Ask for the next case or seed, or the one before."""
        self.source.step(count)

    def maximise(self, kind: Kind) -> None:
        """Show one pane alone, or all of them again."""
        self.view = actions.maximise(self.view, kind)

    def escape(self) -> None:
        """Leave what was begun: help, the ruler, a pane alone."""
        if self.helping:
            self.helping = False
            self.version += 1
        elif self.measuring or self.view.ruler:
            self.measuring = False
            self.view = replace(self.view, ruler=())
            self.version += 1
        else:
            self.view = replace(self.view, alone=None)

    def switch(self, name: str) -> None:
        """Turn `playing`, `measuring` or `helping` on or off."""
        setattr(self, name, not getattr(self, name))
        self.version += 1

    def flip(self, name: str) -> None:
        """Turn one of the view's yes-or-no members round: `outline`, `beside`, `lines`, `beams`, `labelled`."""
        change: dict[str, Any] = {name: not getattr(self.view, name)}
        self.view = replace(self.view, **change)


def _fade(by: float) -> Callable[[Desk], None]:
    def act(desk: Desk) -> None:
        desk.view = actions.fade(desk.view, desk.view.opacity + by)

    return act


def _turn(desk: Desk) -> None:
    desk.view = actions.next_modality(desk.shown, desk.view)


def _magnify(factor: float) -> Callable[[Desk], None]:
    def act(desk: Desk) -> None:
        desk.view = actions.magnify(desk.view, factor)

    return act


def _reset(desk: Desk) -> None:
    desk.view = actions.reset(desk.shown, desk.view)


#: Every key beside 1-9, in the order of the help.
KEYS: tuple[Key, ...] = (
    Key(("ArrowUp", "f"), "next slice", lambda desk: desk.page(1)),
    Key(("ArrowDown", "b"), "previous slice", lambda desk: desk.page(-1)),
    Key((" ",), "cine: play or stop", lambda desk: desk.switch("playing")),
    Key(("m",), "next image (CT, MR, ultrasound)", _turn),
    Key(("c",), "all images side by side", lambda desk: desk.flip("beside")),
    Key(("g",), "labels on or off", lambda desk: desk.flip("labelled")),
    Key(("o",), "outlines on or off", lambda desk: desk.flip("outline")),
    Key((",",), "labels fainter", _fade(-_OPACITIES)),
    Key((".",), "labels stronger", _fade(_OPACITIES)),
    Key(("l",), "lines of the other planes on or off", lambda desk: desk.flip("lines")),
    Key(("p",), "probe or gantry and its field of view on or off", lambda desk: desk.flip("beams")),
    Key(("d",), "measure a distance: click both ends", lambda desk: desk.switch("measuring")),
    Key(("+", "="), "closer", _magnify(1.5)),
    Key(("-",), "further away", _magnify(1 / 1.5)),
    Key(("x",), "this plane alone, or all panes", lambda desk: desk.maximise(desk.plane)),
    Key(("t",), "next phase of a motion", lambda desk: desk.advance()),
    Key(("n", "]"), "next case, or next seed of a scene", lambda desk: desk.step(1)),
    Key(("[",), "previous case or seed", lambda desk: desk.step(-1)),
    Key(("s",), "save this sample of a scene as a scene", lambda desk: desk.save()),
    Key(("r",), "back to the first view", _reset),
    Key(("h", "?"), "this help", lambda desk: desk.switch("helping")),
    Key(("Escape",), "leave help, ruler or a single pane", lambda desk: desk.escape()),
)

_BY_NAME = {name: key for key in KEYS for name in key.names}

#: What the mouse does: (what is done, what comes of it).
MOUSE = (
    ("click", "cursor"),
    ("shift + move", "cursor, without a click"),
    ("wheel", "slices"),
    ("right drag", "window and level"),
    ("double click", "this pane alone, or all of them"),
)

#: Lines of the help: keys or what the mouse does, and what comes of it.
HELP = (("1-9", "windows of the image"), *((key.title, key.says) for key in KEYS), *MOUSE)
