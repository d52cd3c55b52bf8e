"""Tube along a Catmull-Rom spline: min over its pieces of |p - a - t (b - a)| - lerp(r_a, r_b, t), see segments.py.

Lipschitz 1 + the steepest taper, mm of radius per mm of length.
"""

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from engine.nodes import register
from engine.shapes.segments import Chain
from engine.vary import Positive, Profile, Vec3

#: Straight pieces between two points of the spline.
PIECES = 6


@register("tube")
class Tube(Chain):
    """A tube through `points` (mm) with rounded ends.

    `radius` is one number, or one for each point. A single point with a `length` is a straight tube along z,
    centred on the point.
    """

    kind: Literal["tube"] = "tube"
    points: list[Vec3] = Field(min_length=1)
    radius: Profile
    length: Positive | None = None

    @model_validator(mode="after")
    def _complete(self):
        if (len(self.points) == 1) != (self.length is not None):
            raise ValueError("a tube needs two or more points, or one point and a length")
        if isinstance(self.radius, list) and len(self.radius) != len(self.points):
            raise ValueError(f"radius lists {len(self.radius)} values for {len(self.points)} points")
        return self

    def segments(self) -> np.ndarray:
        """Straight pieces (n, 2, 4): both ends' x, y, z and radius."""
        points, radii = np.asarray(self.points, float), np.broadcast_to(self.radius, len(self.points))
        if self.length is not None:
            half = np.array([0.0, 0.0, self.length / 2])
            points, radii = np.stack([points[0] - half, points[0] + half]), np.repeat(radii, 2)
        knots = np.column_stack([points, radii])
        path = knots if len(knots) == 2 else catmull_rom(knots, PIECES)
        path[:, 3] = np.clip(path[:, 3], knots[:, 3].min(), knots[:, 3].max())
        return np.stack([path[:-1], path[1:]], axis=1)

    @classmethod
    def example(cls) -> "Tube":
        return cls(points=[(-12, -6, -10), (0, 6, 0), (10, -4, 12)], radius=[3, 5, 4])


def catmull_rom(knots: np.ndarray, pieces: int) -> np.ndarray:
    """Points on the uniform Catmull-Rom spline through `knots` (n, d), `pieces` between two knots."""
    ends = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    t = np.linspace(0, 1, pieces, endpoint=False)[:, None]
    out = []
    for a, b, c, d in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
        out.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.concatenate([*out, knots[-1:]])
