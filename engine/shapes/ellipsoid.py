"""Ellipsoid: (|p / r| - 1) min(r). Lipschitz 1.

The usual k0 (k0 - 1) / k1 is closer to the distance, but towards the centre it tends to -r_i along axis i: it has no
Lipschitz bound, and culling with it loses voxels.
"""

from typing import Literal

import taichi as ti

from engine.nodes import ORIGIN, Ball, Shape, register
from engine.vary import Radii


@register("ellipsoid")
class Ellipsoid(Shape):
    """An ellipsoid with semi-axes `radii` (mm; one number for all three).

    What acts by distance, such as `shell` or `grow`, acts r / min(radii) times as far along an axis of radius r.
    """

    kind: Literal["ellipsoid"] = "ellipsoid"
    radii: Radii

    @staticmethod
    @ti.func
    def distance(p, params: ti.template(), o: ti.i32) -> ti.f32:
        r = ti.math.vec3(params[o], params[o + 1], params[o + 2])
        return ((p / r).norm() - 1.0) * r.min()

    def pack(self) -> list[float]:
        return list(self.radii) if isinstance(self.radii, tuple) else [self.radii] * 3

    def ball(self) -> Ball:
        radii = self.pack()
        return Ball(ORIGIN, max(radii), min(radii) / max(radii))

    @classmethod
    def example(cls) -> "Ellipsoid":
        return cls(radii=(16, 10, 7))
