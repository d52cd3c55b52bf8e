"""A mechanical 3-D sweep: the probe's frame is tilted about a line behind its face, and the fan of frames assembled.

The axis of tilt is parallel to the face, p behind it. In the frame at angle phi, the point (u, v) of the probe's plane
lies at

    u across,   (v + p) cos(phi) - p deep,   (v + p) sin(phi) along z

from the middle of the face. Acoustic maps are looked up there, frames are made as those of a linear sweep are, and each
voxel of the grid takes its value between the frames on both sides of its own angle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from engine.grid import Grid
from engine.render.serial import serial
from engine.render.us.acoustics import Medium
from engine.render.us.placement import Pose

#: Fewest and most frames of a sweep.
FEWEST, MOST = 8, 400


@dataclass(frozen=True)
class Fan:
    """Frames at equal steps of angle, on the in-plane voxels of the volume's grid.

    Args:
        grid: the volume's.
        pose: the probe's, in the middle frame, which lies in the middle of the grid.
        angle: between the outer frames, radians.
        pivot_mm: how far behind the face the axis of tilt lies.
        frames: how many.
    """

    grid: Grid
    pose: Pose
    angle: float
    pivot_mm: float
    frames: int

    @classmethod
    def of(cls, grid: Grid, pose: Pose, angle_deg: float, pivot_mm: float, depth_mm: float) -> Fan:
        """A fan whose frames lie a slice of the grid apart at half the depth."""
        angle = math.radians(angle_deg)
        frames = math.ceil(angle * (0.5 * depth_mm + pivot_mm) / grid.spacing[2]) + 1
        return cls(grid, pose, angle, pivot_mm, int(np.clip(frames, FEWEST, MOST)))

    @property
    def step(self) -> float:
        """Angle between frames, radians."""
        return self.angle / (self.frames - 1)

    def spacing(self, range_mm: np.ndarray) -> np.ndarray:
        """Distance (mm) between neighbouring frames at each range."""
        return (range_mm + self.pivot_mm) * self.step

    def stack(self, depth_mm: float) -> Grid:
        """The grid of the frames, as far apart as they are at half the depth."""
        apart = (0.5 * depth_mm + self.pivot_mm) * self.step
        return Grid.centred((*self.grid.size[:2], self.frames), (*self.grid.spacing[:2], apart))

    def look(self, medium: Medium) -> Medium:
        """The acoustic maps in the planes of the frames."""
        x, y = self._plane()
        u, v = self.pose.to_probe(x, y)
        phi = (np.arange(self.frames) * self.step - 0.5 * self.angle)[:, None, None]
        deep = (v + self.pivot_mm) * np.cos(phi) - self.pivot_mm
        across = np.broadcast_to(u, deep.shape)
        plane = self.pose.to_plane(np.stack([across, deep], -1)) + np.array(self.pose.face)
        at = self._index(plane[..., 0], plane[..., 1], (v + self.pivot_mm) * np.sin(phi))
        maps = {name: value for name, value in vars(medium).items() if value is not None}
        return replace(medium, **{name: _interpolate(value, at, "border") for name, value in maps.items()})

    def assemble(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames `[frame, y, x]` put together on the volume's grid, 0 between which none lies."""
        x, y = self._plane()
        u, v = self.pose.to_probe(x, y)
        nz = self.grid.size[2]
        z = ((np.arange(nz) - 0.5 * (nz - 1)) * self.grid.spacing[2])[:, None, None]
        deep = np.hypot(v + self.pivot_mm, z) - self.pivot_mm
        phi = np.arctan2(np.broadcast_to(z, deep.shape), v + self.pivot_mm)
        across = np.broadcast_to(u, deep.shape)
        plane = self.pose.to_plane(np.stack([across, deep], -1)) + np.array(self.pose.face)
        at = self._index(plane[..., 0], plane[..., 1], np.zeros_like(deep))
        at[..., 2] = 2.0 * phi / self.angle
        seen = torch.from_numpy(np.abs(at[..., 2]) <= 1.0).to(frames.device)
        return _interpolate(frames, at, "zeros") * seen

    def _plane(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions (x, y) in mm of the voxels of a slice, each broadcast to `[y, x]`."""
        nx, ny, _ = self.grid.size
        x = (np.arange(nx) - 0.5 * (nx - 1)) * self.grid.spacing[0]
        y = (np.arange(ny) - 0.5 * (ny - 1)) * self.grid.spacing[1]
        both = np.broadcast_arrays(x[None, :], y[:, None])
        return both[0], both[1]

    def _index(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Positions in mm from the grid's middle, from -1 to 1 between the middles of its outer voxels."""
        half = [0.5 * max(n - 1, 1) * step for n, step in zip(self.grid.size, self.grid.spacing, strict=True)]
        return np.stack([x / half[0], y / half[1], z / half[2]], -1).astype(np.float32)


@serial()
def _interpolate(values: torch.Tensor, at: np.ndarray, outside: str) -> torch.Tensor:
    where = torch.from_numpy(at).to(values.device)
    found = torch.nn.functional.grid_sample(
        values[None, None], where[None], mode="bilinear", padding_mode=outside, align_corners=True
    )
    return found[0, 0].contiguous()
