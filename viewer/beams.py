"""Where the scanner of an image stood and what it saw: surfaces and lines in LPS+ mm, cut by planes. No VTK here.

An ultrasound frame lies between a near and a far line of its probe's plane, which the sweep carries along z or tilts
about a line behind the face (`engine.render.us.sweep`). A CT sees the circle that all its views measure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.grid import Grid

#: Points along an arc, and about a circle.
_ARC, _TURN = 49, 145


@dataclass(frozen=True)
class Beams:
    """What is known of an image's scanner.

    Args:
        title: in words, for captions.
        seen: triangles `[n, 3, 3]`, LPS+ mm, about everything that was seen.
        face: triangles of the probe's face wherever it stood, or of the focus where it turned about every slice.
        paths: lines `[n, 3]` that show how it moved: a swept face, the outer two of tilted frames, a focus.
    """

    title: str
    seen: np.ndarray
    face: np.ndarray = field(default_factory=lambda: np.empty((0, 3, 3)))
    paths: tuple[np.ndarray, ...] = ()


def beams_of(modality: str, meta: Mapping[str, Any], grid: Grid) -> Beams | None:
    """Where an image's scanner stood, as far as what is known of the image says it; None where it does not."""
    maker = _MAKERS.get(modality)
    return maker(meta, grid) if maker else None


def cut(triangles: np.ndarray, grid: Grid, axis: int, index: float) -> np.ndarray:
    """Where triangles `[n, 3, 3]` in mm pass through a slice: segments `[m, 2, 3]` in voxels (x, y, z) of the grid.

    Args:
        axis: of the voxels that the slice is normal to, 0 for x.
        index: of the slice along it.
    """
    corners = grid.to_index(triangles)
    height = corners[..., axis] - index
    ends, to = corners[:, [1, 2, 0]], height[:, [1, 2, 0]]
    crossed = (height >= 0) != (to >= 0)  # no edge of a triangle or two of them
    share = height[crossed] / (height[crossed] - to[crossed])
    points = corners[crossed] + share[:, None] * (ends[crossed] - corners[crossed])
    return points.reshape(-1, 2, 3)


def _probe(meta: Mapping[str, Any], grid: Grid) -> Beams | None:
    """The probe and its sector or rectangle, swept along z or tilted."""
    if "face_mm" not in meta:
        return None
    view = meta["view"]
    near, far = _frame(view)
    probe = meta["probe"]
    half = 0.5 * probe["aperture_mm"]
    face = near if np.ptp(near[:, 0]) > 0 else np.array([[-half, 0.0], [half, 0.0]])  # beams may leave from a point

    def carried(line: np.ndarray) -> np.ndarray:
        return _world(_carried(line, meta, grid), grid)

    one, other, track = carried(near), carried(far), carried(np.zeros((1, 2)))[:, 0]
    sides = (np.stack([one[:, j], other[:, j]]) for j in (0, -1))
    caps = [np.stack([one[i], other[i]]) for i in (0, -1)]
    return Beams(
        f"{probe['kind']} probe, {view['depths_mm'][1]:.0f} mm deep",
        np.concatenate([_triangles(sheet) for sheet in (one, other, *sides, *caps)]),
        _triangles(carried(face)),
        tuple(np.concatenate([cap[0], cap[1, ::-1], cap[0, :1]]) for cap in caps) if "tilts_deg" in view else (track,),
    )


def _frame(view: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The near and the far line `[n, 2]` of a frame, mm, as (u, v) of the probe."""
    first, last = view["depths_mm"]
    if "lateral_mm" in view:
        u = np.asarray(view["lateral_mm"], float)
        return np.stack([u, np.full_like(u, first)], -1), np.stack([u, np.full_like(u, last)], -1)
    angle = _angles(view["angles_deg"])
    apex = np.asarray(view["apex_mm"], float)
    beam = np.stack([np.sin(angle), np.cos(angle)], -1)
    return apex + (first - apex[1]) * beam, apex + (last - apex[1]) * beam


def _carried(line: np.ndarray, meta: Mapping[str, Any], grid: Grid) -> np.ndarray:
    """A line `[n, 2]` of the probe's plane in the frames of the sweep, `[frame, n, 3]`, mm from the grid's middle."""
    (u, v), view = line.T, meta["view"]
    if "tilts_deg" in view:
        angle, pivot = _angles(view["tilts_deg"])[:, None], view["pivot_mm"]
        deep, z = (v + pivot) * np.cos(angle) - pivot, (v + pivot) * np.sin(angle)
    else:
        z = 0.5 * grid.extent[2] * np.array([[-1.0], [1.0]])
        deep = v + 0.0 * z
    (ax, ay), (fx, fy) = meta["axis"], meta["face_mm"]
    return np.stack(np.broadcast_arrays(fx + u * ay + deep * ax, fy - u * ax + deep * ay, z), -1)


def _angles(ends_deg: Sequence[float]) -> np.ndarray:
    """From one angle to another, radians."""
    return np.radians(np.linspace(ends_deg[0], ends_deg[1], _ARC))


def _gantry(meta: Mapping[str, Any], grid: Grid) -> Beams | None:
    """The circle that a projected scan measures, and that of its focus; an imitated one has no gantry."""
    scanner = meta.get("scanner")
    if not scanner:
        return None
    half, source = 0.5 * grid.extent[2], scanner["source_mm"]

    def sheet(*rings: tuple[float, float]) -> np.ndarray:
        return _triangles(_world(np.stack([_circle(radius, z) for radius, z in rings]), grid))

    edge = 0.5 * scanner["fov_mm"]
    title = f"{scanner['geometry']} beam, {2 * edge:.0f} mm field"
    seen = sheet((0.0, -half), (edge, -half), (edge, half), (0.0, half))
    if scanner["geometry"] == "fan":  # a turn for every slice
        return Beams(title, seen, sheet((source, -half), (source, half)))
    return Beams(title, seen, paths=() if source is None else (_world(_circle(source, 0.0), grid),))


def _circle(radius: float, z: float) -> np.ndarray:
    """About the grid's axis, `[n, 3]`, closed, mm from its middle."""
    angle = np.linspace(0.0, 2.0 * np.pi, _TURN)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full_like(angle, z)], -1)


def _world(places: np.ndarray, grid: Grid) -> np.ndarray:
    """LPS+ mm of places (..., 3) in mm from the grid's middle along its axes."""
    return grid.to_world(places / np.asarray(grid.spacing) + 0.5 * (np.asarray(grid.size) - 1))


def _triangles(sheet: np.ndarray) -> np.ndarray:
    """A sheet of points `[a, b, 3]` as triangles `[2 (a - 1) (b - 1), 3, 3]`."""
    a, b, c, d = sheet[:-1, :-1], sheet[:-1, 1:], sheet[1:, 1:], sheet[1:, :-1]
    return np.concatenate([np.stack(corners, -2).reshape(-1, 3, 3) for corners in ((a, b, c), (a, c, d))])


_MAKERS: Mapping[str, Callable[[Mapping[str, Any], Grid], Beams | None]] = {"us": _probe, "ct": _gantry}
