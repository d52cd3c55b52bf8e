"""Slab: the space between two parallel planes, |p_axis| - t / 2, exact. It has no end across its axis. Lipschitz 1."""

import math
from typing import Literal

import taichi as ti

from engine.nodes import ORIGIN, Ball, Shape, register
from engine.vary import AXES, Axis, Positive


@register("slab")
class Slab(Shape):
    """A plate of `thickness` mm at right angles to `axis`, without end; clip it with `inside` or `intersect`."""

    kind: Literal["slab"] = "slab"
    axis: Axis = "z"
    thickness: Positive

    @staticmethod
    @ti.func
    def distance(p, params: ti.template(), o: ti.i32) -> ti.f32:
        return ti.abs(p[int(params[o])]) - params[o + 1]

    def pack(self) -> list[float]:
        return [float(AXES.index(self.axis)), self.thickness / 2]

    def ball(self) -> Ball:
        return Ball(ORIGIN, math.inf)

    @classmethod
    def example(cls) -> "Slab":
        return cls(axis="z", thickness=9)
