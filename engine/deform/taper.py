"""Taper: the cross-section at height z is scaled by f(z), which goes linearly from `low` to `high`.

    (x, y, z) comes from (x / f, y / f, z)

Lipschitz the largest singular value of [[1 / f, r f' / f^2], [0, 1]], the Jacobian across and along at distance r from
the axis; around it the Jacobian is 1 / f.
"""

import math
from typing import Annotated

import taichi as ti
from pydantic import Field

from engine.nodes import Ball, Warp, register, shear_stretch
from engine.vary import Positive, Varying

Factor = Annotated[float, Field(ge=0.05, le=20), Varying(low=0.05, high=20)]


@register("taper")
class Taper(Warp):
    """Scales across the z axis: by `low` at z = -length / 2 and below, `high` at length / 2 and above, linear between.

    `length` is in mm, and both factors lie between 0.05 and 20.
    """

    low: Factor = 1.0
    high: Factor = 1.0
    length: Positive

    @staticmethod
    @ti.func
    def warp(p, params: ti.template(), o: ti.i32):
        low, slope, half = params[o], params[o + 1], params[o + 2]
        f = low + slope * (ti.math.clamp(p.z, -half, half) + half)
        return ti.math.vec3(p.x / f, p.y / f, p.z)

    def factor(self, z: float) -> float:
        """f at height `z` mm."""
        share = min(max(z / self.length + 0.5, 0.0), 1.0)
        return self.low + (self.high - self.low) * share

    def pack(self) -> list[float]:
        return [self.low, (self.high - self.low) / self.length, self.length / 2]

    def deformed(self, ball: Ball) -> Ball:
        x, y, z = ball.centre
        widest = max(self.factor(z - ball.radius), self.factor(z + ball.radius), 1.0)
        return Ball((0.0, 0.0, z), (math.hypot(x, y) + ball.radius) * widest)

    def lipschitz(self, ball: Ball) -> float:
        x, y, z = ball.centre
        narrowest = min(self.factor(z - ball.radius), self.factor(z + ball.radius))
        slope = (self.high - self.low) / self.length
        shear = (math.hypot(x, y) + ball.radius) * slope / narrowest**2
        return shear_stretch(1 / narrowest, shear, 1.0)

    @classmethod
    def example(cls) -> "Taper":
        return cls(low=1.3, high=0.6, length=24)
