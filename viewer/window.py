"""The desktop window: the organs and the three planes in one scene that can be turned."""

from __future__ import annotations

import numpy as np
import pyvista as pv

from engine.picture import PLANES, Axis
from viewer.meshes import surfaces
from viewer.slices import draw_slice
from viewer.stage import aim, dress
from viewer.state import View, first_view
from viewer.subject import Subject

_HELP = "drag: turn   wheel: zoom   q: close"


def open_window(
    subject: Subject, modality: str | None = None, point_mm: tuple[float, float, float] | None = None
) -> None:
    """Show a subject in a window until it is closed; arguments as in `viewer.view`."""
    plotter = pv.Plotter(window_size=[1200, 900], lighting="none", title=f"Viscera: {subject.name}")
    fill(plotter, subject, first_view(subject, modality, point_mm))
    plotter.show()


def fill(plotter: pv.Plotter, subject: Subject, view: View) -> None:
    """Put the organs, the three planes of `view` and a line of help on a plotter."""
    meshes = surfaces(subject, view.hidden | frozenset(subject.wraps))
    dress(plotter, subject, meshes)
    planes = [textured_plane(subject, view, plane) for plane in PLANES]
    for mesh, picture in planes:
        plotter.add_mesh(mesh, texture=pv.Texture(picture), lighting=False)
    plotter.add_text(_HELP, position="lower_left", font_size=9, color="#8b95a1")
    aim(plotter, [*meshes.values(), *(mesh for mesh, _ in planes)], plotter.window_size[0] / plotter.window_size[1])


def textured_plane(subject: Subject, view: View, plane: Axis) -> tuple[pv.PolyData, np.ndarray]:
    """The rectangle where a plane lies, in LPS+ mm, and the picture on it."""
    last = np.asarray(subject.grid.size) - 0.5
    x, y, z = view.cursor
    # corners in voxels as the slice's picture has them: top left, top right, bottom right, bottom left
    corners = {
        "axial": [(-0.5, -0.5, z), (last[0], -0.5, z), (last[0], last[1], z), (-0.5, last[1], z)],
        "coronal": [(-0.5, y, last[2]), (last[0], y, last[2]), (last[0], y, -0.5), (-0.5, y, -0.5)],
        "sagittal": [(x, -0.5, last[2]), (x, last[1], last[2]), (x, last[1], -0.5), (x, -0.5, -0.5)],
    }[plane]
    mesh = pv.PolyData(subject.grid.to_world(np.array(corners)), faces=[4, 0, 1, 2, 3])
    mesh.active_texture_coordinates = np.array([(0, 1), (1, 1), (1, 0), (0, 0)], float)
    return mesh, draw_slice(subject, view, plane, pixel_mm=0.5 * min(subject.grid.spacing))
