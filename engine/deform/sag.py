"""Sag: a soft organ lies on its lower end and is flattened by its own weight.

    H = h0 + w (t + g t^2 / 2),   X = x / s,   s^2 = 1 + g t,   t = (h - h1) / w in [0, 1]

is the undeformed place of what stands at h along gravity and x across. As dH / dh = s^2, the determinant is
s^2 / s^2 = 1: volume is kept. The upper end, at H = h0, keeps its width. For an organ of height H1 that loses the share
a of it, w = (1 - a) H1, and g = 2 a / (1 - a) makes both ends fit. Above and below the organ s goes on as it is at the
ends.

Lipschitz the largest singular value of [[1 + g, 0], [r g / 2 w, 1]]: along and across, at distance r from the axis, the
Jacobian is [[s^2, 0], [-r g / (2 w s^3), 1 / s]].
"""

import math
from typing import Annotated

import taichi as ti
from pydantic import Field, model_validator

from engine.nodes import Ball, Warp, register, shear_stretch
from engine.vary import Positive, Varying, Vec3

Loss = Annotated[float, Field(ge=0, le=0.5), Varying(low=0, high=0.5)]


@register("sag")
class Sag(Warp):
    """Flattens a soft organ `height` mm high (its middle at the local origin) by `amount`, a share of that height.

    The end that `direction` points to stays and widens most; the other one comes down to it. `direction` is that of
    gravity in the shape's own frame: +y is the back of a patient on their back. `rotate` turns it with the shape.
    """

    keeps_volume = True

    amount: Loss
    height: Positive
    direction: Vec3 = (0.0, 1.0, 0.0)

    @staticmethod
    @ti.func
    def warp(p, params: ti.template(), o: ti.i32):
        down = ti.math.vec3(params[o], params[o + 1], params[o + 2])
        above, top, w, g = params[o + 3], params[o + 4], params[o + 5], params[o + 6]
        h = p.dot(down)
        t = ti.math.clamp((h - top) / w, 0.0, 1.0)
        square = 1.0 + g * t
        height = above + w * t * (1.0 + 0.5 * g * t) + (h - top - w * t) * square
        return down * height + (p - down * h) / ti.sqrt(square)

    @model_validator(mode="after")
    def _has_direction(self):
        if all(isinstance(v, (int, float)) for v in self.direction) and not any(self.direction):
            raise ValueError("sag: direction is [0, 0, 0], which points nowhere; use [0, 1, 0] for the patient's back")
        return self

    def pack(self) -> list[float]:
        flat = (1 - self.amount) * self.height
        return [*self._down(), -self.height / 2, self.height / 2 - flat, flat, self._widening()]

    def deformed(self, ball: Ball) -> Ball:
        down = self._down()
        along = sum(c * d for c, d in zip(ball.centre, down, strict=True))
        across = math.dist(ball.centre, [along * d for d in down])
        # whatever is higher sinks more: the ends of the ball bound how far its points go
        most, least = self._sinks(along - ball.radius), self._sinks(along + ball.radius)
        x, y, z = (c + d * (most + least) / 2 for c, d in zip(ball.centre, down, strict=True))
        wider = (math.sqrt(1 + self._widening()) - 1) * (across + ball.radius)
        return Ball((x, y, z), ball.radius + math.hypot((most - least) / 2, wider))

    def lipschitz(self, ball: Ball) -> float:
        # each entry at its largest, s^2 at the lower end and the others at the upper one
        shear = ball.reach * self._widening() / (2 * (1 - self.amount) * self.height)
        return shear_stretch(1 + self._widening(), shear, 1.0)

    def _down(self) -> tuple[float, float, float]:
        length = math.hypot(*self.direction)
        x, y, z = (v / length for v in self.direction)
        return x, y, z

    def _widening(self) -> float:
        """g: the lower end's cross-section grows by this share."""
        return 2 * self.amount / (1 - self.amount)

    def _sinks(self, before: float) -> float:
        """How far what stood at H = `before` mm along gravity moves down, mm."""
        top, flat, g = -self.height / 2, (1 - self.amount) * self.height, self._widening()
        inside = min(max(before - top, 0.0), self.height)
        t = 2 * inside / (flat * (1 + math.sqrt(1 + 2 * g * inside / flat)))  # w (t + g t^2 / 2) = inside
        after = self.height / 2 - flat + flat * t + (before - top - inside) / (1 + g * t)
        return after - before

    @classmethod
    def example(cls) -> "Sag":
        return cls(amount=0.25, height=26)
