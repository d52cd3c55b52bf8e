"""Truncated cone with rounded edges: the exact distance to a smaller cone, less the rounding. Lipschitz 1.

It is the distance of (|p_xy|, z) to a trapezium, that of Quilez' capped cone,
https://iquilezles.org/articles/distfunctions.
"""

import math
from typing import Literal

import taichi as ti
from pydantic import model_validator

from engine.nodes import Ball, Shape, register
from engine.vary import NonNegative, Positive

vec2 = ti.math.vec2


@register("cone")
class Cone(Shape):
    """A cone along z, `height` mm high, whose `radii` (mm) are those of its lower and its upper end; equal ones make a
    cylinder, 0 a tip. Edges and tips are rounded by `round` mm.
    """

    kind: Literal["cone"] = "cone"
    radii: tuple[NonNegative, NonNegative]
    height: Positive
    round: NonNegative = 0.0

    @staticmethod
    @ti.func
    def distance(p, params: ti.template(), o: ti.i32) -> ti.f32:
        low, high, half = params[o], params[o + 1], params[o + 2]
        q = vec2(vec2(p.x, p.y).norm(), p.z - params[o + 3])
        cap = vec2(q.x - ti.min(q.x, low if q.y < 0.0 else high), ti.abs(q.y) - half)
        tip, side = vec2(high, half), vec2(high - low, 2.0 * half)
        wall = q - tip + side * ti.math.clamp((tip - q).dot(side) / side.dot(side), 0.0, 1.0)
        sign = -1.0 if wall.x < 0.0 and cap.y < 0.0 else 1.0
        return sign * ti.sqrt(ti.min(cap.dot(cap), wall.dot(wall))) - params[o + 4]

    @model_validator(mode="after")
    def _has_a_core(self):
        if any(not isinstance(v, (int, float)) for v in (*self.radii, self.height, self.round)):
            return self
        if max(self.radii) == 0:
            raise ValueError("both radii are 0 mm; one end needs a radius")
        low, high, half, _ = self._core()
        if half <= 0 or max(low, high) <= 0:
            raise ValueError(f"round is {self.round:g} mm, more than this cone has room for; use less")
        return self

    def _core(self) -> tuple[float, float, float, float]:
        """The cone that stays when `round` mm are taken off every side: both radii, half its height, its middle."""
        slope = (self.radii[1] - self.radii[0]) / self.height
        middle = sum(self.radii) / 2 - self.round * math.hypot(1.0, slope)
        low, high = (s * (self.height / 2 - self.round) for s in (-1, 1))
        # the core may end in a tip, where middle + slope z = 0
        if middle + slope * high < 0:
            high = -middle / slope if slope else low
        if middle + slope * low < 0:
            low = -middle / slope if slope else high
        radii = (max(middle + slope * z, 0.0) for z in (low, high))
        return *radii, (high - low) / 2, (high + low) / 2  # type: ignore[return-value]

    def pack(self) -> list[float]:
        return [*self._core(), self.round]

    def ball(self) -> Ball:
        low, high, half, middle = self._core()
        return Ball((0.0, 0.0, middle), math.hypot(max(low, high), half) + self.round)

    @classmethod
    def example(cls) -> "Cone":
        return cls(radii=(12, 5), height=22, round=1.5)
