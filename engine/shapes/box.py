"""Box with rounded edges: the exact distance |max(q, 0)| + min(max(q), 0) - r with q = |p| - (h - r). Lipschitz 1."""

from typing import Literal

import taichi as ti
from pydantic import model_validator

from engine.nodes import ORIGIN, Ball, Shape, register
from engine.vary import NonNegative, PositiveVec3


@register("box")
class Box(Shape):
    """A box with edges of `size` mm along x, y, z, and edges rounded by `round` mm."""

    kind: Literal["box"] = "box"
    size: PositiveVec3
    round: NonNegative = 0.0

    @staticmethod
    @ti.func
    def distance(p, params: ti.template(), o: ti.i32) -> ti.f32:
        h = ti.math.vec3(params[o], params[o + 1], params[o + 2])
        q = ti.abs(p) - h
        return ti.max(q, 0.0).norm() + ti.min(q.max(), 0.0) - params[o + 3]

    @model_validator(mode="after")
    def _round_fits(self):
        numbers = [v for v in (*self.size, self.round) if isinstance(v, (int, float))]
        if len(numbers) == 4 and self.round > min(self.size) / 2:
            raise ValueError(f"round is {self.round:g} mm, more than half of the thinnest side ({min(self.size):g} mm)")
        return self

    def pack(self) -> list[float]:
        return [s / 2 - self.round for s in self.size] + [self.round]

    def ball(self) -> Ball:
        inner = [s / 2 - self.round for s in self.size]
        return Ball(ORIGIN, sum(v * v for v in inner) ** 0.5 + self.round)

    @classmethod
    def example(cls) -> "Box":
        return cls(size=(22, 16, 12), round=2)
