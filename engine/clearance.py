"""Clearance: the distance to what neighbours fill, for relations that keep away from it.

A field may rise much more slowly than the distance (an ellipsoid's along its long axis, whatever is warped), and then
its levels lie too far out. Here the distance itself is sampled on a lattice when the scene is compiled. Cells that can
hold the surface are sought from coarse to fine by the field's Lipschitz bound; where the field changes its sign between
the centres of two of the finest, the secant gives a point of the surface; a node's distance is that to the nearest
point, with the field's sign.

The lattice is a box around what of a structure lies within reach. Its values rise to the reach towards its faces, and
go on beyond as those of a mesh do: nothing is near there. Between nodes they can be too large, above all around edges:
what the middle of a cell exceeds its distance by is taken off its corners. Parts of a neighbour that are thinner than a
quarter of the step may be missed.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree

from engine.device import device
from engine.program import Program, Span
from engine.shapes.mesh import Mesh
from engine.surface.slope import steepest

#: Nodes of a lattice at most, about; steps in the reach at most.
_NODES, _FINEST = 40_000, 4
#: Cells along the longest edge of a box in the first search, and how often they are halved to find the lattice's box.
_COARSE, _HALVINGS = 12, 2
#: Edge of the cells that hold the surface, in steps, and how many of them there are at most.
_CELL, _CELLS = 0.25, 200_000

_HALVES = np.array(list(itertools.product((-0.25, 0.25), repeat=3)))

Field = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Clearance:
    """Samples of a distance, in the form of a shape.

    Args:
        params: for `distance`, float32.
        shift: what the values exceed the distance by, mm.
        lipschitz: bound of their slope.
    """

    params: np.ndarray
    shift: float
    lipschitz: float

    distance = staticmethod(Mesh.distance)

    def pack(self) -> np.ndarray:
        return self.params


def clearance(program: Program, reach: float) -> Clearance | None:
    """The distance up to `reach` mm to what the second span of `program` fills, as far as the first span fills it.

    None where nothing is within reach.

    Args:
        program: one of its spans at least has an end.
    """
    tape = (part.cpu().numpy().tobytes() for part in (program.code, program.params))
    return _clearance(*tape, program.spans, reach)


@functools.lru_cache(maxsize=64)
def _clearance(code: bytes, params: bytes, spans: tuple[Span, Span], reach: float) -> Clearance | None:
    """`clearance` of a program's tape; all phases of a scene share it."""
    rows, tape = np.frombuffer(code, np.int32).reshape(-1, 2), np.frombuffer(params, np.float32)
    there, numbers = (torch.from_numpy(a.copy()).to(device()) for a in (rows, tape))
    program = Program(there, numbers, spans, torch.ones((1, 1), dtype=torch.bool))
    mine, other = (functools.partial(program.evaluate, span=k) for k in range(2))
    balls = spans[0].ball, spans[1].ball.grown(reach)
    low = np.max([np.subtract(ball.centre, ball.radius) for ball in balls], axis=0)
    high = np.min([np.add(ball.centre, ball.radius) for ball in balls], axis=0)
    box, edge = np.array([low, high]), float((high - low).max()) / _COARSE
    if edge <= 0 or (low >= high).any():
        return None
    cells = _tiles(box, edge)
    for _ in range(_HALVINGS + 1):
        cells = cells[other(cells) <= spans[1].lipschitz * (reach + edge)]
        cells = cells[mine(cells) <= spans[0].lipschitz * edge]
        if not len(cells):
            return None
        inner = np.array([cells.min(axis=0) - 0.5 * edge, cells.max(axis=0) + 0.5 * edge])
        cells, edge = _split(cells, edge)
    return _sampled(other, spans[1].lipschitz, inner, reach)


def _sampled(field: Field, bound: float, inner: np.ndarray, reach: float) -> Clearance:
    """Sample the distance within `reach` mm of what `field` fills; beyond the box `inner` (2, 3) it ends."""
    step = max(reach / _FINEST, float(np.prod(np.ptp(inner, axis=0) + 2.0 * reach) / _NODES) ** (1 / 3))
    depth, most = max(2.0 * step - reach, 0.0), reach + 2.0 * step
    origin = inner[0] - (reach + depth + step)
    size = np.ceil((inner[1] + (reach + depth + step) - origin) / step).astype(int) + 1
    points = _surface(field, bound, np.array([origin - most, origin + step * size + most]), _CELL * step)
    tree = cKDTree(points)
    nodes = (origin + step * np.moveaxis(np.indices(size[::-1]), 0, -1)[..., ::-1]).reshape(-1, 3)
    away = np.minimum(tree.query(nodes, distance_upper_bound=most)[0], most)
    beyond = np.linalg.norm(np.maximum(np.maximum(inner[0] - nodes, nodes - inner[1]), 0.0), axis=1)
    values = np.maximum(np.where(field(nodes) < 0, -away, away), beyond - depth)
    values = np.clip(values, -depth, most).reshape(size[::-1]).astype(np.float32)

    def distance(cells: np.ndarray) -> np.ndarray:
        centres = origin + step * (cells + 0.5)
        outside = ((centres < inner[0]) | (centres > inner[1])).any(axis=1)
        return np.where(outside, np.inf, tree.query(centres)[0])

    values -= _excess(values, reach, distance, step)
    params = np.concatenate([np.array([*size, step, *origin], np.float32), (values + np.float32(depth)).ravel()])
    return Clearance(params, depth, max(1.0, steepest(values, step)))


def _excess(values: np.ndarray, level: float, distance: Field, step: float) -> np.ndarray:
    """What each node exceeds the distance by in the middle of one of its cells, where the values are near `level`.

    Args:
        distance: in the middle of cells (n, 3), which are numbered along x, y, z.
    """
    cells = [tuple(slice(k, k - 1 or None) for k in corner) for corner in np.ndindex(2, 2, 2)]
    middles = np.mean([values[cell] for cell in cells], axis=0)
    near = np.argwhere(np.abs(middles - level) < step)
    over, out = np.zeros_like(middles), np.zeros_like(values)
    over[tuple(near.T)] = np.maximum(middles[tuple(near.T)] - distance(near[:, ::-1]), 0.0)
    for cell in cells:
        out[cell] = np.maximum(out[cell], over)
    return out


def _surface(field: Field, bound: float, box: np.ndarray, finest: float) -> np.ndarray:
    """Points (n, 3) of the surface of `field` in `box`, no more than about `finest` mm apart.

    A cell is kept while |field| is within its edge times the bound, so that of two neighbouring centres of different
    sign both are there.
    """
    edge = finest * 2.0 ** np.ceil(np.log2(max(1.0, float(np.ptp(box, axis=0).max()) / _COARSE / finest)))
    cells = _tiles(box, edge)
    while True:
        values = field(cells)
        near = np.abs(values) <= bound * edge
        cells, values = cells[near], values[near]
        if edge <= finest or 8 * len(cells) > _CELLS:
            break
        cells, edge = _split(cells, edge)
    if not len(cells):
        return cells
    place = np.rint((cells - cells.min(axis=0)) / edge).astype(np.int64)
    stride = np.cumprod([1, *(place.max(axis=0)[:2] + 2)])
    key = place @ stride
    order = np.argsort(key)
    points = []
    for axis in range(3):
        at = np.minimum(np.searchsorted(key, key + stride[axis], sorter=order), len(key) - 1)
        other = order[at]
        crossed = (key[other] == key + stride[axis]) & ((values < 0) != (values[other] < 0))
        a, b = values[crossed], values[other][crossed]
        share = (a / (a - b)).astype(float)
        points.append(cells[crossed] + share[:, None] * edge * np.eye(3)[axis])
    return np.concatenate(points)


def _tiles(box: np.ndarray, edge: float) -> np.ndarray:
    """Centres (n, 3) of the cells that cover `box`."""
    steps = [low + edge * (np.arange(max(1, np.ceil((high - low) / edge))) + 0.5) for low, high in box.T]
    return np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 3)


def _split(cells: np.ndarray, edge: float) -> tuple[np.ndarray, float]:
    """Centres and edge of the eight halves of each cell."""
    return (cells[:, None] + _HALVES * edge).reshape(-1, 3), edge / 2
