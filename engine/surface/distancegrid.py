"""A closed surface as samples of its signed distance on a lattice, and the bound that their interpolation keeps.

Nodes near the surface get the exact distance and closest point (libigl's AABB tree) and a sign by the generalised
winding number, inside where |w| > 1/2 (Barill et al. 2018, doi 10.1145/3197517.3201337). The others take the sign of
the nearest such node, since no surface can lie between the two, and the distance to its closest point or to one of its
neighbours' that is nearer: at most some tenths of a step too long.

Within a cell |grad| of the trilinear interpolant is largest in a corner, since its square is convex along each axis. So
the steepest pair of differences at any node, sqrt(sum_axis max(forward^2, backward^2)) / h, bounds all of the field.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import igl
import numpy as np
from scipy.ndimage import distance_transform_edt

from engine.surface.slope import steepest
from engine.surface.solid import solid

#: Cells between the surface's box and the lattice's edge.
_MARGIN = 3
#: Cells from the surface within which nodes are exact; corners of cells that the surface crosses lie within sqrt(3).
_BAND = 2.0
#: Nodes along the edge of the largest blocks that are looked at as one.
_BLOCK = 16


@dataclass(frozen=True)
class DistanceGrid:
    """Signed distances, negative inside, in the units of the mesh.

    Args:
        values: float32 `[z, y, x]`.
        origin: position of node (0, 0, 0).
        step: distance between nodes.
        lipschitz: bound of the trilinear interpolant's slope.
        centre, radius: a ball that holds all points where it is negative.
    """

    values: np.ndarray
    origin: np.ndarray
    step: float
    lipschitz: float
    centre: np.ndarray
    radius: float


@functools.lru_cache(maxsize=64)
def distance_grid(path: Path, digest: str, part: str | None, resolution: int) -> DistanceGrid:
    """The distances to the surface in a file, with `resolution` nodes along the longest edge; see `solid`."""
    mesh = solid(path, digest, part)
    low, high = mesh.bounds
    step = float((high - low).max()) / (resolution - 1 - 2 * _MARGIN)
    cells = np.ceil((high - low) / step).astype(int) + 2 * _MARGIN
    origin = (low + high) / 2 - 0.5 * step * cells
    values = _signed_distance(np.asarray(mesh.vertices), np.asarray(mesh.faces), origin, step, cells + 1)
    if not (values < 0).any():
        raise ValueError(
            f"mesh file '{path}' has no inside, or one that is thinner than a cell of its distance grid "
            f"({step:.3g} units) everywhere; raise resolution"
        )
    centre = (low + high) / 2
    radius = float(np.linalg.norm(mesh.vertices - centre, axis=1).max()) + 3**0.5 * step
    return DistanceGrid(values, origin, step, steepest(values, step), centre, radius)


def _signed_distance(
    vertices: np.ndarray, faces: np.ndarray, origin: np.ndarray, step: float, size: np.ndarray
) -> np.ndarray:
    """Float32 `[z, y, x]` distances on the lattice of `size` nodes (x, y, z)."""
    vertices, faces = np.asfortranarray(vertices, float), np.asfortranarray(faces, np.int64)
    node, distance, closest = _band(vertices, faces, origin, step, size)
    inside = np.abs(igl.fast_winding_number(vertices, faces, origin + step * node)) > 0.5
    near = tuple(node.T[::-1])
    exact = np.zeros(size[::-1], bool)
    exact[near] = True
    number = np.zeros(exact.shape, np.int32)
    number[near] = np.arange(len(node))
    nearest = distance_transform_edt(~exact, return_distances=False, return_indices=True)
    number = number[tuple(nearest)]
    negative = inside[number]
    values = np.empty(exact.shape, np.float32)
    place = ((closest - origin) / step).astype(np.float32)
    for z in (*range(size[2]), *reversed(range(size[2]))):
        values[z] = _improved(number, z, place)
    values *= step
    values[near] = distance
    return np.where(negative, -values, values)


def _improved(number: np.ndarray, z: int, place: np.ndarray) -> np.ndarray:
    """Distances (steps) of slice `z` to the closest points numbered by its nodes or, where nearer, by their neighbours.

    Args:
        number: of the closest point of each node; that of the slice's nodes is replaced by the nearest one.
        z: of the slice.
        place: float32 (n, 3) x, y, z of the closest points, in steps.
    """
    ny, nx = number.shape[1:]
    y, x = np.arange(ny, dtype=np.float32)[:, None], np.arange(nx, dtype=np.float32)
    least = np.full((ny, nx), np.inf, np.float32)
    sides = [np.roll(number[z], by, axis) for axis in (0, 1) for by in (-1, 1)]
    best = number[z]
    for candidate in (number[z].copy(), number[max(z - 1, 0)], number[min(z + 1, len(number) - 1)], *sides):
        point = place[candidate]
        square = (point[..., 0] - x) ** 2 + (point[..., 1] - y) ** 2 + (point[..., 2] - np.float32(z)) ** 2
        nearer = square < least
        np.copyto(least, square, where=nearer)
        np.copyto(best, candidate, where=nearer)
    return np.sqrt(least)


def _band(
    vertices: np.ndarray, faces: np.ndarray, origin: np.ndarray, step: float, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes (n, 3; x, y, z) near the surface with their distances and closest points, found block by block."""
    tree = igl.AABB()
    tree.init(vertices, faces)
    corner = np.stack(np.meshgrid(*(np.arange(0, n, _BLOCK) for n in size), indexing="ij"), -1).reshape(-1, 3)
    edge = _BLOCK
    while True:
        middle = origin + step * (corner + 0.5 * (edge - 1))
        square, _, closest = tree.squared_distance(vertices, faces, np.asfortranarray(middle))
        distance = np.sqrt(square)
        near = distance <= step * (_BAND + 3**0.5 * 0.5 * (edge - 1))
        if edge == 1:
            return corner[near], distance[near], closest[near]
        edge //= 2
        halves = edge * np.stack(np.meshgrid(*[[0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)
        corner = (corner[near][:, None] + halves).reshape(-1, 3)
        corner = corner[(corner < size).all(axis=1)]
