"""Superellipsoid (Barr 1981, doi 10.1109/MCG.1981.1673799): (N(p / r) - 1) min(r) with the norm

    N(q) = (((|x|^(2/e2) + |y|^(2/e2))^(e2/2))^(2/e1) + |z|^(2/e1))^(e1/2)

Lipschitz max(1, 2^(e1/2 - 1/2)) max(1, 2^(e2/2 - 1/2)): up to e = 2 both levels are p-norms with p = 2 / e >= 1, so N
is convex; its gradient has length 1 in the dual norm, and at most 2^(1/p - 1/2) in the Euclidean one for each level
with p < 2. Beyond 2 the gradient has no bound.
"""

import math
from typing import Annotated, Literal

import taichi as ti
from pydantic import Field

from engine.nodes import ORIGIN, Ball, Shape, register
from engine.vary import Radii, Varying

#: 0.1 is nearly a box, 1 an ellipsoid, 2 an octahedron.
Exponent = Annotated[float, Field(ge=0.1, le=2), Varying(low=0.1, high=2)]


@ti.func
def _norm(a: ti.f32, b: ti.f32, p: ti.f32) -> ti.f32:
    """(a^p + b^p)^(1/p) for a, b >= 0, scaled so that no power overflows."""
    most = ti.max(a, b, 1e-9)
    return most * ((a / most) ** p + (b / most) ** p) ** (1.0 / p)


@register("superellipsoid")
class Superellipsoid(Shape):
    """An ellipsoid with semi-axes `radii` (mm; one number for all three) that is boxier or more pointed.

    `exponents` are those of the outline from pole to pole (z) and of the cross-section (x, y): 0.1 square, 1 round,
    2 diamond.
    """

    kind: Literal["superellipsoid"] = "superellipsoid"
    radii: Radii
    exponents: tuple[Exponent, Exponent] = (1.0, 1.0)

    @staticmethod
    @ti.func
    def distance(p, params: ti.template(), o: ti.i32) -> ti.f32:
        r = ti.math.vec3(params[o], params[o + 1], params[o + 2])
        q = ti.abs(p / r)
        return (_norm(_norm(q.x, q.y, params[o + 4]), q.z, params[o + 3]) - 1.0) * r.min()

    def pack(self) -> list[float]:
        radii = list(self.radii) if isinstance(self.radii, tuple) else [self.radii] * 3
        return [*radii, *(2 / e for e in self.exponents)]

    def ball(self) -> Ball:
        x, y, z, outline, section = self.pack()
        reach = _reach(_reach(x, y, section), z, outline)
        return Ball(ORIGIN, reach, min(x, y, z) / reach)  # N(p / r) is at least |p| / reach

    def lipschitz(self) -> float:
        return math.prod(max(1.0, 2 ** (e / 2 - 0.5)) for e in self.exponents)

    @classmethod
    def example(cls) -> "Superellipsoid":
        return cls(radii=(15, 11, 8), exponents=(0.5, 1.6))


def _reach(a: float, b: float, p: float) -> float:
    """The largest |(a x, b y)| where |x|^p + |y|^p = 1, by Hoelder's inequality."""
    most = max(a, b)
    if p <= 2:
        return most
    s = 2 * p / (p - 2)
    return most * ((a / most) ** s + (b / most) ** s) ** (1 / s)
