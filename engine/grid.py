"""The sampling grid: size, spacing, origin and direction of a volume.

Arrays are indexed `[z, y, x]`; a grid speaks `x, y, z` as ITK does. World coordinates are millimetres on LPS+ axes
(x to the patient's left, y to the back, z to the head). This is the one place that says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Vector = tuple[float, float, float]
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Grid:
    """A regular lattice of voxels.

    Args:
        size: voxels along x, y, z.
        spacing: mm between voxel centres along x, y, z.
        origin: world position (mm, LPS+) of the centre of voxel (0, 0, 0).
        direction: row-major 3x3 matrix whose columns are the world directions of x, y, z.
    """

    size: tuple[int, int, int]
    spacing: Vector
    origin: Vector
    direction: tuple[float, ...] = IDENTITY

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise ValueError(f"a grid needs at least one voxel along each axis, got {self.size}")
        if not all(s > 0 and math.isfinite(s) for s in self.spacing):
            raise ValueError(f"spacing must be above 0 mm, got {self.spacing}")

    @classmethod
    def centred(cls, size: tuple[int, int, int], spacing: Vector) -> Grid:
        """The grid whose centre is the world's origin, as a scene has it."""
        origin = tuple(-0.5 * (n - 1) * s for n, s in zip(size, spacing, strict=True))
        return cls(tuple(size), tuple(spacing), origin)  # type: ignore[arg-type]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Array shape `(nz, ny, nx)`."""
        nx, ny, nz = self.size
        return nz, ny, nx

    @property
    def extent(self) -> Vector:
        """Edge lengths in mm along x, y, z."""
        x, y, z = (n * s for n, s in zip(self.size, self.spacing, strict=True))
        return x, y, z

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel in mm^3."""
        return math.prod(self.spacing)

    @property
    def axes(self) -> np.ndarray:
        """3x3 matrix from voxel indices (x, y, z) to mm, without the origin."""
        return np.asarray(self.direction, float).reshape(3, 3) * np.asarray(self.spacing, float)

    @property
    def affine_lps(self) -> np.ndarray:
        """4x4 matrix from voxel index (x, y, z) to world mm, LPS+ (ITK's convention)."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.axes
        matrix[:3, 3] = self.origin
        return matrix

    @property
    def affine_ras(self) -> np.ndarray:
        """4x4 matrix from voxel index (x, y, z) to world mm, RAS+ (NIfTI's convention)."""
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ self.affine_lps

    def to_world(self, index: np.ndarray) -> np.ndarray:
        """World positions (..., 3) in mm of continuous voxel indices (..., 3), both ordered x, y, z."""
        return np.asarray(index, float) @ self.axes.T + np.asarray(self.origin)

    def to_index(self, world: np.ndarray) -> np.ndarray:
        """Continuous voxel indices (..., 3) of world positions (..., 3) in mm, both ordered x, y, z."""
        return (np.asarray(world, float) - np.asarray(self.origin)) @ np.linalg.inv(self.axes).T

    def resized(self, n: int) -> Grid:
        """The same field of view with `n` voxels along its longest axis and isotropic-as-before proportions."""
        factor = n / max(self.size)
        size = tuple(max(1, round(s * factor)) for s in self.size)
        spacing = tuple(e / s for e, s in zip(self.extent, size, strict=True))
        corner = self.to_world(np.full(3, -0.5))
        half = np.asarray(self.direction).reshape(3, 3) @ (0.5 * np.asarray(spacing))
        return Grid(size, spacing, tuple(map(float, corner + half)), self.direction)  # type: ignore[arg-type]
