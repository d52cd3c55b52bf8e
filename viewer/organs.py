"""The organs of a desk's subject and the frames of its planes, kept up to date on a PyVista plotter."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyvista as pv
import vtk

from engine.grid import Grid
from engine.picture import PLANES, Axis
from viewer.beams import Beams, cut
from viewer.desk import Desk
from viewer.marks import LETTER_INK
from viewer.meshes import surfaces
from viewer.panes import BEAMS, beams_in
from viewer.stage import aim, dress
from viewer.state import View
from viewer.subject import Subject

_THIN, _BOLD = 1.5, 4.0  # pixels
_SIDES = (("R", "L"), ("A", "P"), ("I", "S"))  # at the low and the high end of each axis
_BEFORE = 0.05  # of the grid's extent
_LETTER_PX = 16
_FRAMES: dict[Axis, str] = {"axial": "#e05d5d", "coronal": "#5dbb63", "sagittal": "#5d8fe0"}


class Organs:
    """What a plotter shows of a desk.

    Args:
        plotter: that nothing else is drawn on.
    """

    def __init__(self, plotter: pv.Plotter) -> None:
        self.plotter = plotter
        self._built = -1  # the desk's organs that are on the plotter
        self._frames = {plane: pv.PolyData() for plane in PLANES}
        self._grid: Grid | None = None  # that the camera looks at
        self._software: bool | None = None

    def update(self, desk: Desk, aspect: float) -> None:
        """Show what the desk shows now; the camera is placed once a grid, for a width / height of `aspect`."""
        subject, view = desk.shown, desk.view
        for plane, frame in self._frames.items():
            frame.copy_from(frame_of(subject, view, plane))
        if desk.anatomy != self._built:
            self._built = desk.anatomy
            meshes = self._build(subject, view)
            if subject.grid != self._grid:
                self._grid = subject.grid
                aim(self.plotter, [*meshes.values(), *self._frames.values()], aspect)
        self._place_beams(subject, view)
        self.plotter.renderer.ResetCameraClippingRange()

    def _build(self, subject: Subject, view: View) -> dict[int, pv.PolyData]:
        self.plotter.clear_actors()
        self.plotter.remove_all_lights()
        hidden = view.hidden if view.labelled else frozenset(subject.names)
        meshes = surfaces(subject, hidden | frozenset(subject.wraps[1:])) if subject.labels is not None else {}
        dress(self.plotter, subject, meshes)
        if self.software:
            self.plotter.renderer.disable_depth_peeling()  # a second a picture instead of a tenth
        for plane, frame in self._frames.items():
            self.plotter.add_mesh(frame, color=_FRAMES[plane], lighting=False, line_width=2, reset_camera=False)
        for letter, place in sides_of(subject.grid).items():
            self.plotter.add_actor(_lettered(letter, place), reset_camera=False, render=False)
        return meshes

    def _place_beams(self, subject: Subject, view: View) -> None:
        beams = beams_in(subject, view)
        lines = beam_lines(subject, view, beams) if beams else {}
        for width in (_THIN, _BOLD):
            name = f"beams {width}"
            self.plotter.renderer.remove_actor(name, render=False)
            if width in lines:
                actor = self.plotter.add_mesh(lines[width], color=BEAMS, name=name, reset_camera=False, render=False)
                actor.prop.lighting, actor.prop.line_width = False, width

    @property
    def software(self) -> bool:
        """Whether the CPU draws, as it does on machines without a GPU."""
        if self._software is None:
            window = self.plotter.render_window
            assert window is not None
            window.Render()  # before that there is no driver to ask
            self._software = any(name in window.ReportCapabilities() for name in ("llvmpipe", "softpipe", "SWR"))
        return self._software


def sides_of(grid: Grid) -> dict[str, np.ndarray]:
    """Where the letters of the patient's sides stand, by letter: before the faces of the grid, LPS+ mm."""
    middle, last = 0.5 * (np.asarray(grid.size) - 1), np.asarray(grid.size) - 0.5
    places = {}
    for axis, (low, high) in enumerate(_SIDES):
        reach = _BEFORE * grid.extent[axis] / grid.spacing[axis]
        for letter, at in ((low, -0.5 - reach), (high, last[axis] + reach)):
            voxel = middle.copy()
            voxel[axis] = at
            places[letter] = grid.to_world(voxel)
    return places


def _lettered(letter: str, place: np.ndarray) -> vtk.vtkBillboardTextActor3D:
    """A letter that faces the camera from anywhere."""
    actor = vtk.vtkBillboardTextActor3D()
    actor.SetInput(letter)
    actor.SetPosition(*place)
    text = actor.GetTextProperty()
    text.SetFontSize(_LETTER_PX)
    text.BoldOn()
    text.SetColor(*(v / 255 for v in LETTER_INK))
    text.SetJustificationToCentered()
    text.SetVerticalJustificationToCentered()
    return actor


def frame_of(subject: Subject, view: View, plane: Axis) -> pv.PolyData:
    """The outline of a plane's slice, in LPS+ mm."""
    last = np.asarray(subject.grid.size) - 0.5
    x, y, z = view.cursor
    corners = {
        "axial": [(-0.5, -0.5, z), (last[0], -0.5, z), (last[0], last[1], z), (-0.5, last[1], z)],
        "coronal": [(-0.5, y, last[2]), (last[0], y, last[2]), (last[0], y, -0.5), (-0.5, y, -0.5)],
        "sagittal": [(x, -0.5, last[2]), (x, last[1], last[2]), (x, last[1], -0.5), (x, -0.5, -0.5)],
    }[plane]
    return pv.PolyData(subject.grid.to_world(np.array(corners)).astype(np.float32), lines=[5, 0, 1, 2, 3, 0])


def beam_lines(subject: Subject, view: View, beams: Beams) -> dict[float, pv.PolyData]:
    """By their width: what the scanner saw in the axial slice, with its paths, and the probe's face there; LPS+ mm."""
    grid, index = subject.grid, view.cursor[2]
    seen, face = (list(grid.to_world(cut(part, grid, 2, index))) for part in (beams.seen, beams.face))
    return {width: _lines(lines) for width, lines in ((_THIN, [*seen, *beams.paths]), (_BOLD, face)) if lines}


def _lines(given: list[np.ndarray]) -> pv.PolyData:
    """Lines `[n, 3]` each, as one mesh."""
    starts = np.cumsum([0, *(len(line) for line in given)])
    cells = [np.array([b - a, *range(a, b)]) for a, b in pairwise(starts)]
    return pv.PolyData(np.concatenate(given).astype(np.float32), lines=np.concatenate(cells))
