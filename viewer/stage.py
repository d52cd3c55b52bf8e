"""The 3-D picture of a subject's organs, drawn off-screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyvista as pv
from PIL import Image, ImageDraw

from engine.errors import UserError
from engine.picture import BACKGROUND, font
from viewer.marks import LETTER_INK
from viewer.meshes import surfaces
from viewer.subject import Subject
from viewer.system import offscreen_windows

#: From the organs to the camera, LPS+: from the front, a little from the left and from above.
_TO_CAMERA = np.array([0.45, -1.0, 0.32])
_UP = np.array([0.0, 0.0, 1.0])
_VIEW_ANGLE = 20.0
#: Rendered this much larger and averaged down: smooth edges without multisampling, which depth peeling does not bear.
_SUPERSAMPLE = 2
_OPACITY_WRAP, _OPACITY_HOLDER = 0.16, 0.45


def draw_organs(subject: Subject, size: tuple[int, int], hidden: frozenset[int] = frozenset()) -> np.ndarray:
    """Smooth organ surfaces seen from the anterior left above, uint8 `[h, w, 3]`.

    What holds other structures is translucent. Of the wraps around many of them (skin, body wall) only the far side of
    the outermost is drawn, almost clear.

    Args:
        size: (width, height) in pixels.
        hidden: labels to leave out.
    """
    meshes = surfaces(subject, hidden | frozenset(subject.wraps[1:]))
    if not meshes:
        raise UserError(f"{subject.name}: no labelled structure to show in 3-D")
    return _triad(render(subject, meshes, size), to_camera=_TO_CAMERA)


def render(subject: Subject, meshes: Mapping[int, pv.PolyData], size: tuple[int, int]) -> Image.Image:
    """Surfaces by label in the subject's colours, seen as in `draw_organs`, `size` (width, height) pixels."""
    with offscreen_windows():
        plotter = pv.Plotter(off_screen=True, window_size=[n * _SUPERSAMPLE for n in size], lighting="none")
    try:
        dress(plotter, subject, meshes)
        aim(plotter, meshes.values(), size[0] / size[1])
        plotter.render()
        large = np.asarray(plotter.screenshot(return_img=True))
    finally:
        plotter.close()
    return Image.fromarray(large[..., :3]).resize(size, Image.Resampling.BOX)


def dress(plotter: Any, subject: Subject, meshes: Mapping[int, pv.PolyData]) -> None:
    """Put the surfaces, lights and ground of the picture on a PyVista plotter."""
    plotter.set_background(tuple(v / 255 for v in BACKGROUND), top=(0.13, 0.15, 0.19))
    plotter.render_window.SetMultiSamples(0)
    plotter.enable_depth_peeling(number_of_peels=8)
    for place, strength in (((-0.7, 0.9, 1.0), 0.95), ((1.0, 0.1, 0.5), 0.35), ((0.2, -1.0, 0.2), 0.15)):
        plotter.add_light(pv.Light(position=place, intensity=strength, light_type="camera light"))
    for label, mesh in meshes.items():
        wrap, opacity = label in subject.wraps, opacity_of(subject, label)
        actor = plotter.add_mesh(
            mesh,
            color=subject.colors.get(label, "#808080"),
            opacity=opacity,
            smooth_shading=True,
            ambient=0.2,
            diffuse=0.85,
            specular=0.0 if wrap else 0.25,
            specular_power=25,
            culling="front" if wrap else None,  # only its far side: a veil before the organs dulls them
        )
        if opacity < 1.0:
            _set_back(actor.mapper)


def opacity_of(subject: Subject, label: int) -> float:
    """Of a label's surface, 0..1: what holds other structures is translucent."""
    holder = bool(subject.holds.get(label)) or label in subject.hollow
    return _OPACITY_WRAP if label in subject.wraps else _OPACITY_HOLDER if holder else 1.0


def _set_back(mapper: pv.DataSetMapper) -> None:
    """Draw a translucent surface behind others at the same place: organs that touch have their surface in common."""
    mapper.SetResolveCoincidentTopologyToPolygonOffset()
    mapper.SetRelativeCoincidentTopologyPolygonOffsetParameters(2.0, 1500.0)


def aim(plotter: pv.Plotter, meshes: Iterable[pv.PolyData], aspect: float, margin: float = 1.06) -> None:
    """Point the camera so that every surface just fits the picture of width / height `aspect`."""
    points = np.concatenate([np.asarray(mesh.points) for mesh in meshes])
    right, up, back = _camera_axes(_TO_CAMERA)
    seen = points @ np.stack([right, up, back], axis=1)
    middle = 0.5 * (seen.min(axis=0) + seen.max(axis=0))
    u, v, w = (seen - middle).T
    half = np.tan(np.radians(_VIEW_ANGLE / 2))
    distance = float(np.max(np.maximum(np.abs(u) / aspect, np.abs(v)) * (margin / half) + w))
    focus = middle @ np.stack([right, up, back])
    plotter.camera.focal_point = focus
    plotter.camera.position = focus + distance * back
    plotter.camera.up = _UP
    plotter.camera.view_angle = _VIEW_ANGLE
    plotter.reset_camera_clipping_range()


def _camera_axes(to_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right, up and backward directions of the picture in world axes."""
    back = to_camera / np.linalg.norm(to_camera)
    right = np.cross(_UP, back)
    right /= np.linalg.norm(right)
    return right, np.cross(back, right), back


def _triad(image: Image.Image, to_camera: np.ndarray) -> np.ndarray:
    """The picture with three short axes at the bottom left that point to the patient's left, front and head."""
    draw = ImageDraw.Draw(image)
    arm = max(22, image.height // 16)
    centre = np.array([arm * 1.7, image.height - arm * 1.3])
    right, up, back = _camera_axes(to_camera)
    axes = {"L": np.array([1.0, 0.0, 0.0]), "A": np.array([0.0, -1.0, 0.0]), "S": np.array([0.0, 0.0, 1.0])}
    for letter, axis in sorted(axes.items(), key=lambda item: float(item[1] @ back)):
        step = np.array([axis @ right, -(axis @ up)]) * arm
        draw.line((*centre, *(centre + step)), fill=LETTER_INK, width=2)
        place = centre + step * (1 + 9 / max(float(np.linalg.norm(step)), 1.0))
        draw.text(
            tuple(place), letter, LETTER_INK, font(13, bold=True), anchor="mm", stroke_width=2, stroke_fill=BACKGROUND
        )
    return np.asarray(image)
