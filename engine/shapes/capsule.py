"""Capsule: |p - a - t (b - a)| - lerp(r_a, r_b, t) with a + t (b - a) the point between a and b nearest to p.

A chain of one segment, see segments.py.

Lipschitz 1 + |r_b - r_a| / |b - a|.
"""

import math
from typing import Literal

import numpy as np
from pydantic import model_validator

from engine.nodes import register
from engine.shapes.segments import Chain
from engine.vary import Profile, Vec3


@register("capsule")
class Capsule(Chain):
    """A straight rod with round ends around the points `ends` (mm). `radius` is one number, or one for each end."""

    kind: Literal["capsule"] = "capsule"
    ends: tuple[Vec3, Vec3]
    radius: Profile

    @model_validator(mode="after")
    def _has_two_ends(self):
        radii = self.radius if isinstance(self.radius, list) else [self.radius] * 2
        if len(radii) != 2:
            raise ValueError(f"radius lists {len(radii)} values for 2 ends")
        if all(isinstance(v, (int, float)) for v in (*self.ends[0], *self.ends[1], *radii)):
            apart, taper = math.dist(*self.ends), abs(radii[1] - radii[0])
            if apart <= taper:
                raise ValueError(
                    f"one end lies within the other: the centres are {apart:g} mm apart, the radii differ by "
                    f"{taper:g} mm; use a sphere"
                )
        return self

    def segments(self) -> np.ndarray:
        """The one segment (1, 2, 4): both ends' x, y, z and radius."""
        return np.column_stack([self.ends, np.broadcast_to(self.radius, 2)])[None]

    @classmethod
    def example(cls) -> "Capsule":
        return cls(ends=((-9, -4, -6), (8, 5, 7)), radius=[4, 7])
