"""Bend: the z axis becomes an arc of given radius, curving towards x.

    (x, z) comes from (R - r, R phi), (r, phi) polar around (R, 0)

Lipschitz R / (R - reach): lengths along the arc are stretched by r / R. So is volume: the shape's becomes 1 - x / R
times what it was, x being its centroid's, by Pappus's theorem.
"""

import math

import taichi as ti

from engine.nodes import ORIGIN, Ball, Warp, register
from engine.vary import Positive

#: A shape may reach this share of the radius: nearer to the arc's centre the map folds.
_MOST = 0.9


@register("bend")
class Bend(Warp):
    """Bends the shape's z axis into an arc of `radius` mm whose centre lies on its positive x axis."""

    radius: Positive

    @staticmethod
    @ti.func
    def warp(p, params: ti.template(), o: ti.i32):
        radius = params[o]
        across = radius - p.x
        return ti.math.vec3(radius - ti.math.vec2(across, p.z).norm(), p.y, radius * ti.atan2(p.z, across))

    def pack(self) -> list[float]:
        return [self.radius]

    def deformed(self, ball: Ball) -> Ball:
        # the chord of the arc is shorter than the arc, and both coordinates reach at most as far as the ball
        reach = ball.reach * math.sqrt(2)
        if reach > _MOST * self.radius:
            raise ValueError(
                f"bend: radius is {self.radius:g} mm, but the shape reaches {ball.reach:.0f} mm from its origin; "
                f"use a radius of at least {reach / _MOST:.0f} mm, or a tube along points"
            )
        return Ball(ORIGIN, reach)

    def lipschitz(self, ball: Ball) -> float:
        return self.radius / (self.radius - ball.reach)

    @classmethod
    def example(cls) -> "Bend":
        return cls(radius=40)
