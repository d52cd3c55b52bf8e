"""Twist about the z axis: the plane at height z turns by `rate` * z.

Lipschitz (s + sqrt(s^2 + 4)) / 2 with s = rate * r: the Jacobian is a rotation times a shear of s, so its determinant
is 1.
"""

import math

import taichi as ti

from engine.nodes import ORIGIN, Ball, Warp, register, shear_stretch
from engine.sine import cosine, sine
from engine.vary import Number


@register("twist")
class Twist(Warp):
    """Turns the shape about its z axis by `rate` degrees per mm."""

    keeps_volume = True

    rate: Number

    @staticmethod
    @ti.func
    def warp(p, params: ti.template(), o: ti.i32):
        c, s = cosine(params[o] * p.z), sine(params[o] * p.z)
        return ti.math.vec3(c * p.x + s * p.y, -s * p.x + c * p.y, p.z)

    def pack(self) -> list[float]:
        return [math.radians(self.rate)]

    def deformed(self, ball: Ball) -> Ball:
        return Ball(ORIGIN, ball.reach)

    def lipschitz(self, ball: Ball) -> float:
        return shear_stretch(1.0, math.radians(self.rate) * ball.reach, 1.0)

    @classmethod
    def example(cls) -> "Twist":
        return cls(rate=3)
