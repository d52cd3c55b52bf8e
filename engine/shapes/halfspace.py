"""Half-space: everything behind a plane, p . n, exact. It has no end. Lipschitz 1."""

import math
from typing import Literal

import numpy as np
import taichi as ti
from pydantic import model_validator

from engine.nodes import ORIGIN, Ball, Shape, register
from engine.vary import Vec3


@register("halfspace")
class Halfspace(Shape):
    """All that lies behind the plane through the position; `direction` points out of it.

    It has no end: clip it with `inside` or `intersect`.
    """

    kind: Literal["halfspace"] = "halfspace"
    direction: Vec3 = (0.0, 0.0, 1.0)

    @staticmethod
    @ti.func
    def distance(p, params: ti.template(), o: ti.i32) -> ti.f32:
        return p.dot(ti.math.vec3(params[o], params[o + 1], params[o + 2]))

    @model_validator(mode="after")
    def _points_somewhere(self):
        if self.direction == (0, 0, 0):
            raise ValueError("direction must not be [0, 0, 0]")
        return self

    def pack(self) -> list[float]:
        outward = np.asarray(self.direction, float)
        outward = outward / np.abs(outward).max()  # very short and very long ones keep their direction
        return (outward / np.linalg.norm(outward)).tolist()

    def ball(self) -> Ball:
        return Ball(ORIGIN, math.inf)

    @classmethod
    def example(cls) -> "Halfspace":
        return cls(direction=(1, 2, 3))
