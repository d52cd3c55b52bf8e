"""Sphere: |p| - r, exact. Lipschitz 1."""

from typing import Literal

import taichi as ti

from engine.nodes import ORIGIN, Ball, Shape, register
from engine.vary import Positive


@register("sphere")
class Sphere(Shape):
    """A sphere of `radius` mm around its position."""

    kind: Literal["sphere"] = "sphere"
    radius: Positive

    @staticmethod
    @ti.func
    def distance(p, params: ti.template(), o: ti.i32) -> ti.f32:
        return p.norm() - params[o]

    def pack(self) -> list[float]:
        return [self.radius]

    def ball(self) -> Ball:
        return Ball(ORIGIN, self.radius)

    @classmethod
    def example(cls) -> "Sphere":
        return cls(radius=12)
