"""Grow: the surface moves out by a given length, d - g. Lipschitz as d."""

import taichi as ti

from engine.nodes import Ball, Displacement, register
from engine.vary import Number


@register("grow")
class Grow(Displacement):
    """Moves the surface out by `by` mm, or in where it is negative; exact where the shape's field is the distance."""

    by: Number

    @staticmethod
    @ti.func
    def displace(d: ti.f32, p, params: ti.template(), o: ti.i32) -> ti.f32:
        return d - params[o]

    def pack(self) -> list[float]:
        return [self.by]

    def grown(self, ball: Ball) -> Ball:
        return ball.grown(max(self.by, 0.0))  # lowered fields reach farther; raised ones stay in the ball

    def lipschitz(self, inner: float) -> float:
        return inner

    @classmethod
    def example(cls) -> "Grow":
        return cls(by=2)
