"""Where a drawn scene is looked at from: a scan of one structure, near enough to see it well.

A scene's own grid shows everything in it, an organ in a few voxels. Scanners look closer: their field of view is set
about what matters, slices are thicker than pixels are wide, and planes are tilted.
"""

from __future__ import annotations

import math

import numpy as np

from engine.compile import compile_scene
from engine.grid import Grid
from engine.scene import Scene

_LEAST_MM = 3.0  # smaller structures are not worth a scan of their own
_WIDER = (1.2, 3.5)  # field of view over the structure's diameter
_NARROWEST_MM = 20.0
_THICKER = (1.0, 6.0)  # slice thickness over the pixels' edge
_THICKEST_MM = 8.0
_FEWEST = 8  # slices
_PLANES = ((0, 1, 2), (0, 2, 1), (1, 2, 0))  # world axes along columns, rows and slices: axial, coronal, sagittal
_SHARES = (0.6, 0.2, 0.2)
_TILTED, _TILT = 0.4, math.radians(25.0)


def close_up(drawn: Scene, pixels: int, rng: np.random.Generator) -> Grid | None:
    """A grid of `pixels` x `pixels` voxels a slice about a structure of a drawn scene; None where there is none to see.

    Structures come up equally often, whatever their size; those larger than half the scene never do. The structure's
    middle lies anywhere in the middle third of the grid.
    """
    program, _ = compile_scene(drawn)
    extent = np.array(drawn.grid.grid().extent)
    seen = [
        span
        for span in program.spans
        if _LEAST_MM <= span.ball.radius <= 0.5 * extent.max() and (np.abs(span.ball.centre) < 0.5 * extent).all()
    ]
    if not seen:
        return None
    rows = sorted({span.row for span in seen})
    row = rows[rng.integers(len(rows))]
    spans = [span for span in seen if span.row == row]
    ball = spans[rng.integers(len(spans))].ball
    edge = float(np.clip(2.0 * ball.radius * _between(_WIDER, rng), _NARROWEST_MM, extent.max()))
    fine = edge / pixels
    thick = min(fine * _between(_THICKER, rng), max(_THICKEST_MM, fine))
    count = int(np.clip(round(edge / thick), _FEWEST, pixels))
    size, spacing = (pixels, pixels, count), (fine, fine, thick)
    turn = _orientation(rng)
    middle = np.array(ball.centre) + turn @ (np.array(size) * spacing * rng.uniform(-1 / 6, 1 / 6, 3))
    first = middle - turn @ (0.5 * (np.array(size) - 1.0) * spacing)
    x, y, z = map(float, first)
    return Grid(size, spacing, (x, y, z), tuple(map(float, turn.ravel())))


def _between(ends: tuple[float, float], rng: np.random.Generator) -> float:
    """A number between two others, evenly in its logarithm."""
    low, high = ends
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _orientation(rng: np.random.Generator) -> np.ndarray:
    """A right-handed 3 x 3 matrix whose columns are the directions of a grid's x, y and z."""
    matrix = np.eye(3)[:, list(_PLANES[rng.choice(3, p=_SHARES)])]
    if rng.random() < _TILTED:
        about = rng.normal(size=3)
        about /= np.linalg.norm(about)
        angle = rng.uniform(-_TILT, _TILT)
        cross = np.array([[0, -about[2], about[1]], [about[2], 0, -about[0]], [-about[1], about[0], 0]])
        matrix = (np.eye(3) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * cross @ cross) @ matrix
    matrix[:, 2] *= np.sign(np.linalg.det(matrix))
    return matrix
