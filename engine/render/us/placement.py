"""Where the probe stands: on the skin, in front of the volume unless told otherwise, looking in.

In-plane positions are (x, y) in mm from the middle of the grid, along its own axes. The pose is one for all slices: the
probe is swept along z at a constant height, with gel between its face and the skin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from engine.errors import UserError
from engine.grid import Grid
from engine.render.us.acoustics import HARD_MRAYL, impedance, is_gas
from engine.volume import Volume

#: Thickest layer of gel (mm) between a probe placed by hand and the skin.
GEL_MM = 20.0

Vector2 = tuple[float, float]


@dataclass(frozen=True)
class Pose:
    """The middle of the probe's face and its axis, (x, y) in mm from the middle of the grid."""

    face: Vector2
    axis: Vector2

    @property
    def lateral(self) -> Vector2:
        """Unit vector along the face; the patient's left is on the image's right when looking from the front."""
        return self.axis[1], -self.axis[0]

    def to_probe(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probe coordinates (u, v) in mm of in-plane positions."""
        dx, dy = x - self.face[0], y - self.face[1]
        return dx * self.lateral[0] + dy * self.lateral[1], dx * self.axis[0] + dy * self.axis[1]

    def to_plane(self, uv: np.ndarray) -> np.ndarray:
        """In-plane vectors `[..., 2]` (x, y) of probe vectors (u, v), without the face's position."""
        return uv @ np.array([self.lateral, self.axis])


def place(
    volume: Volume,
    rotation_deg: float = 0.0,
    tilt_deg: float = 0.0,
    offset_mm: float = 0.0,
    press_mm: float = 0.0,
    position_mm: Vector2 | None = None,
) -> Pose:
    """The pose of a probe on the body.

    Args:
        volume: what is scanned.
        rotation_deg: which side it stands on: 0 the front, 90 the patient's left, 180 the back.
        tilt_deg: turns the probe about its contact point, within the slice.
        offset_mm: moves it along the skin, sideways.
        press_mm: how far the face is pressed into the skin, which brings the ends of the face into contact.
        position_mm: middle of the face, instead of searching the skin.

    Raises:
        UserError: if the probe would hang in air or stand inside bone.
    """
    side = _axis(rotation_deg)
    axis = _axis(rotation_deg + tilt_deg)
    if position_mm is not None:
        _check(volume, position_mm, axis)
        return Pose(position_mm, axis)
    base = (offset_mm * side[1], -offset_mm * side[0])
    range_mm = _contact(volume, base, side, moved=offset_mm != 0.0) + press_mm
    return Pose((base[0] + range_mm * side[0], base[1] + range_mm * side[1]), axis)


def reach(grid: Grid, pose: Pose) -> float:
    """Distance (mm) along the probe's axis from its face to the far side of the grid."""
    _, far = crossing(grid, np.array([pose.face]), np.array([pose.axis]))
    return float(far[0])


def crossing(grid: Grid, origin: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranges (mm) at which in-plane rays `[n, 2]` enter and leave the grid; both 0 where they miss it."""
    half = 0.5 * np.array(grid.extent[:2])
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = (-half - origin) / direction, (half - origin) / direction
    parallel = np.abs(direction) < 1e-9
    outside = np.where(np.abs(origin) <= half, -np.inf, np.inf)
    enter = np.where(parallel, outside, np.minimum(low, high)).max(1)
    leave = np.where(parallel, -outside, np.maximum(low, high)).min(1)
    hit = leave > np.maximum(enter, 0.0)
    return np.where(hit, np.maximum(enter, 0.0), 0.0), np.where(hit, leave, 0.0)


def _axis(rotation_deg: float) -> Vector2:
    angle = np.deg2rad(rotation_deg)
    return float(-np.sin(angle)), float(np.cos(angle))


def _contact(volume: Volume, base: Vector2, axis: Vector2, moved: bool) -> float:
    """Signed range (mm) from `base` along `axis` of the skin, or of the grid's near face where there is no air."""
    size = float(np.hypot(*volume.grid.extent[:2]))
    start = np.subtract(base, np.multiply(axis, size))
    enter, leave = crossing(volume.grid, start[None], np.array([axis]))
    if leave[0] == 0.0:
        raise UserError(f"us: offset_mm {base} puts the probe beside the volume; use a smaller offset_mm")
    if not is_gas(volume.structures[0].tissue):
        return float(enter[0]) - size
    first = _first_tissue(volume, start, axis, float(enter[0]), float(leave[0]))
    nz = len(first)
    for slices in (first[nz // 4 : nz - nz // 4], first):
        found = slices[np.isfinite(slices)]
        if len(found):
            return float(np.median(found)) - size
    if moved:
        raise UserError("us: the probe hangs in air, no tissue lies before it; use a smaller offset_mm")
    return _nearest_tissue(volume, axis)


def _first_tissue(volume: Volume, start: np.ndarray, axis: Vector2, enter: float, leave: float) -> np.ndarray:
    """Range (mm) of the first tissue along the axis in each slice `[nz]`; inf where there is none."""
    ranges = np.arange(enter, leave, 0.25 * min(volume.grid.spacing[:2]))
    column = _sample(volume.top, volume.grid, start + ranges[:, None] * np.array(axis)) != 0
    return np.where(column.any(1), ranges[column.argmax(1)], np.inf)


def _nearest_tissue(volume: Volume, axis: Vector2) -> float:
    """Signed range (mm) from the grid's middle of the tissue that lies farthest against `axis`."""
    iy, ix = np.nonzero((volume.top != 0).any(0).cpu().numpy())
    if not len(iy):
        raise UserError("us: the volume holds nothing but air; a probe needs tissue to stand on")
    nx, ny, _ = volume.grid.size
    x, y = (ix - 0.5 * (nx - 1)) * volume.grid.spacing[0], (iy - 0.5 * (ny - 1)) * volume.grid.spacing[1]
    return float((x * axis[0] + y * axis[1]).min())


def _sample(array: torch.Tensor, grid: Grid, points: np.ndarray) -> np.ndarray:
    """Nearest values `[nz, n]` of `array` at in-plane points `[n, 2]`, clamped to the grid."""
    nx, ny, _ = grid.size
    index = np.rint(points / np.array(grid.spacing[:2]) + 0.5 * (np.array([nx, ny]) - 1)).astype(int)
    ix, iy = np.clip(index[:, 0], 0, nx - 1), np.clip(index[:, 1], 0, ny - 1)
    return array[:, torch.from_numpy(iy), torch.from_numpy(ix)].cpu().numpy()


def _check(volume: Volume, face: Vector2, axis: Vector2) -> None:
    """Refuse a face put by hand in air or in bone."""
    where = f"us: position_mm ({face[0]:g}, {face[1]:g})"
    enter, leave = crossing(volume.grid, np.array([face]), np.array([axis]))
    if leave[0] == 0.0:
        raise UserError(f"{where} looks past the volume; move the probe or turn it with rotation_deg")
    if enter[0] > GEL_MM:
        raise UserError(f"{where} hangs {enter[0]:.0f} mm from the volume; gel fills at most {GEL_MM:g} mm")
    middle = volume.grid.size[2] // 2
    if enter[0] == 0.0:
        tissue = volume.structures[int(_sample(volume.top, volume.grid, np.array([face]))[middle, 0])].tissue
        if impedance(tissue) > HARD_MRAYL:
            raise UserError(f"{where} is inside {tissue.name}, which no probe can be; move it to the skin")
    if is_gas(volume.structures[0].tissue):
        gap = np.median(_first_tissue(volume, np.array(face), axis, float(enter[0]), float(leave[0])))
        if gap > GEL_MM:
            far = "no tissue lies before it" if np.isinf(gap) else f"the skin is {gap:.0f} mm away"
            raise UserError(f"{where} hangs in air: {far}, and gel fills at most {GEL_MM:g} mm; move it to the skin")
