"""Torus around the z axis: |(|p_xy| - R, p_z)| - r, exact. Lipschitz 1."""

from typing import Literal

import taichi as ti

from engine.nodes import ORIGIN, Ball, Shape, register
from engine.vary import Positive


@register("torus")
class Torus(Shape):
    """A ring of `radius` mm around z, `thickness` mm thick (the tube's radius)."""

    kind: Literal["torus"] = "torus"
    radius: Positive
    thickness: Positive

    @staticmethod
    @ti.func
    def distance(p, params: ti.template(), o: ti.i32) -> ti.f32:
        ring = ti.math.vec2(ti.math.vec2(p.x, p.y).norm() - params[o], p.z)
        return ring.norm() - params[o + 1]

    def pack(self) -> list[float]:
        return [self.radius, self.thickness]

    def ball(self) -> Ball:
        return Ball(ORIGIN, self.radius + self.thickness)

    @classmethod
    def example(cls) -> "Torus":
        return cls(radius=10, thickness=4)
