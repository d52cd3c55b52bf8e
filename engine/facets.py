"""The surface of a structure in each voxel that it crosses: a plane that cuts off the voxel's covered share exactly.

Interface reconstruction as in volume-of-fluid codes: the normal is the gradient of the coverage over 3 x 3 x 3 voxels
(Youngs 1984); the plane's offset a follows from the share of the unit cube where m . u < a, V(a) = (a^3 - sum max(a -
m_j, 0)^3 + sum max(a - 1 + m_j, 0)^3) / (6 m_x m_y m_z) (Scardovelli & Zaleski 2000, doi 10.1006/jcph.2000.6567); its
area is V'(a) |m / spacing| times the voxel's volume. Where a full voxel meets an empty one, the facet is the face
between them.

The edge of the grid is no surface: a structure that it cuts goes on beyond.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.grid import Vector

#: Weights of the gradient's stencil across its direction.
_SIDE = (0.25, 0.5, 0.25)
#: Slopes are kept from vanishing, so that V(a) stays well conditioned.
_LEAST = 1e-4
#: Halvings of the interval that holds the offset, and Newton's steps in it.
_HALVINGS, _STEPS = 8, 4


@dataclass(frozen=True)
class Facets:
    """Pieces of a surface, in the grid's own frame: mm along x, y, z from the centre of voxel (0, 0, 0).

    Args:
        voxel: int64 `[n, 3]`, the voxel (x, y, z) that each piece lies in; the full one of two that share a face.
        centre: float64 `[n, 3]`, mean of the piece's corners, mm.
        normal: float64 `[n, 3]`, outward and of unit length; zero where the coverage has no gradient.
        radius: float64 `[n]`, mean distance of the piece's corners from its centre, mm.
        area: float64 `[n]`, mm^2.
    """

    voxel: np.ndarray
    centre: np.ndarray
    normal: np.ndarray
    radius: np.ndarray
    area: np.ndarray

    def __len__(self) -> int:
        return len(self.area)


def facets(fraction: np.ndarray, spacing: Vector) -> Facets:
    """The surface of a structure.

    Args:
        fraction: float32 `[z, y, x]`, share of each voxel that the structure fills (`Volume.fraction`).
        spacing: mm between voxels along x, y, z.
    """
    pieces = [_planes(fraction, spacing), *(_faces(fraction, spacing, axis) for axis in range(3))]
    fields = zip(*((p.voxel, p.centre, p.normal, p.radius, p.area) for p in pieces), strict=True)
    return Facets(*(np.concatenate(field) for field in fields))


def _planes(fraction: np.ndarray, spacing: Vector) -> Facets:
    """One plane for each voxel that is neither full nor empty."""
    edges = np.asarray(spacing, float)
    voxel = np.argwhere((fraction > 0) & (fraction < 1))[:, ::-1]
    share = fraction[voxel[:, 2], voxel[:, 1], voxel[:, 0]].astype(float)
    outward = -_gradient(fraction, voxel)
    total = np.abs(outward).sum(axis=1, keepdims=True)
    known = total > 1e-6
    slope = np.where(known, np.abs(outward) / np.maximum(total, 1e-6), 1 / 3)
    slope = np.maximum(slope, _LEAST)
    slope /= slope.sum(axis=1, keepdims=True)
    offset = _offset(slope, share)
    side = np.where(outward < 0, -1.0, 1.0)
    radius, mean = _polygon(slope, offset, edges)
    normal = side * slope / edges
    steep = np.linalg.norm(normal, axis=1, keepdims=True)
    return Facets(
        voxel,
        (voxel + side * (mean - 0.5)) * edges,
        np.where(known, normal / steep, 0.0),
        radius,
        _share_slope(slope, offset) * steep[:, 0] * edges.prod(),
    )


def _faces(fraction: np.ndarray, spacing: Vector, axis: int) -> Facets:
    """The faces across x, y or z (axis 0, 1, 2) between full and empty voxels."""
    step = np.diff(np.moveaxis(fraction, 2 - axis, 0), axis=0)
    at = np.argwhere(np.abs(step) == 1)
    sign = -step[at[:, 0], at[:, 1], at[:, 2]].astype(float)
    below = np.insert(at[:, 1:], 2 - axis, at[:, 0], axis=1)[:, ::-1]
    along = np.eye(3, dtype=int)[axis]
    across = [s for i, s in enumerate(spacing) if i != axis]
    return Facets(
        np.where(sign[:, None] > 0, below, below + along),
        (below + 0.5 * along) * np.asarray(spacing, float),
        sign[:, None] * along,
        np.full(len(at), 0.5 * math.hypot(*across)),
        np.full(len(at), across[0] * across[1]),
    )


def _gradient(fraction: np.ndarray, voxel: np.ndarray) -> np.ndarray:
    """Change of the coverage per voxel along x, y, z at each of `voxel` `[n, 3]`; the edge of the grid repeats."""
    nz, ny, nx = fraction.shape
    near = [[np.clip(voxel[:, i] + d, 0, n - 1) for d in (-1, 0, 1)] for i, n in enumerate((nx, ny, nz))]
    flat, out = fraction.ravel(), np.zeros(voxel.shape)
    for k, j, i in np.ndindex(3, 3, 3):
        value = flat[(near[2][k] * ny + near[1][j]) * nx + near[0][i]].astype(float)
        out[:, 0] += value * (0.5 * (i - 1) * _SIDE[j] * _SIDE[k])
        out[:, 1] += value * (0.5 * (j - 1) * _SIDE[i] * _SIDE[k])
        out[:, 2] += value * (0.5 * (k - 1) * _SIDE[i] * _SIDE[j])
    return out


def _share(slope: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """V(a): share of the unit cube where slope . u < offset; slopes `[n, 3]` are positive and add up to 1."""
    cut = offset * offset * offset
    for m in slope.T:
        low, high = np.maximum(offset - m, 0), np.maximum(offset - 1 + m, 0)
        cut += high * high * high - low * low * low
    return cut / (6 * slope.prod(axis=1))


def _share_slope(slope: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """V'(a)."""
    cut = offset * offset
    for m in slope.T:
        low, high = np.maximum(offset - m, 0), np.maximum(offset - 1 + m, 0)
        cut += high * high - low * low
    return cut / (2 * slope.prod(axis=1))


def _offset(slope: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The offset a with V(a) = share, by bisection and then Newton's method, kept within the interval."""
    low, high = np.zeros_like(share), np.ones_like(share)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        less = _share(slope, middle) < share
        low, high = np.where(less, middle, low), np.where(less, high, middle)
    offset = 0.5 * (low + high)
    for _ in range(_STEPS):
        step = (_share(slope, offset) - share) / np.maximum(_share_slope(slope, offset), 1e-9)
        offset = np.clip(offset - step, low, high)
    return offset


def _polygon(slope: np.ndarray, offset: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean distance (mm) of the corners of the cut through the unit cube from their mean, and that mean `[n, 3]`."""
    corners = np.zeros((12, *slope.shape))
    cut = np.zeros((12, len(slope)), bool)
    for n in range(12):
        axis, k = divmod(n, 4)
        one, two = (j for j in range(3) if j != axis)
        position = (offset - (k & 1) * slope[:, one] - (k >> 1) * slope[:, two]) / slope[:, axis]
        corners[n, :, one], corners[n, :, two], corners[n, :, axis] = k & 1, k >> 1, np.clip(position, 0, 1)
        cut[n] = (position >= 0) & (position <= 1)
    weight = cut / np.maximum(cut.sum(axis=0), 1)
    mean = np.einsum("kn,kni->ni", weight, corners)
    return (weight * np.linalg.norm((corners - mean) * edges, axis=2)).sum(axis=0), mean
