"""Star-shaped blob: a sphere whose radius varies with direction by random real spherical harmonics.

    f(p) = |p| - R (1 + sum_lm c_lm Y_lm(p / |p|)),   l = 1..4

Near the centre, below `r0`, the harmonics are replaced by the solid ones, (|p| / r0)^l Y_lm, so that f stays smooth
there.

Lipschitz 1 + R / r0 sum_l |c_l| sqrt((l^2 + l (l + 1)) (2 l + 1) / 4 pi), by the addition theorem: sum_m Y_lm^2 =
(2 l + 1) / 4 pi and sum_m |grad Y_lm|^2 = l (l + 1) (2 l + 1) / 4 pi.
"""

import math
from typing import Literal

import numpy as np
import taichi as ti

from engine.nodes import ORIGIN, Ball, Shape, register
from engine.random import Stream
from engine.vary import Fraction, Positive, Seed

DEGREE = 4
_TERMS = (DEGREE + 1) ** 2 - 1


@ti.func
def _harmonics(u, params: ti.template(), o: ti.i32) -> ti.f32:
    """sum_lm c_lm S_lm(u) over the real solid harmonics of degree 1 to 4, coefficients at `params[o:]`."""
    x, y, z = u.x, u.y, u.z
    xx, yy, zz = x * x, y * y, z * z
    rr = xx + yy + zz
    s = 0.4886025 * (params[o] * y + params[o + 1] * z + params[o + 2] * x)
    s += 1.0925484 * (params[o + 3] * x * y + params[o + 4] * y * z + params[o + 6] * x * z)
    s += 0.3153916 * params[o + 5] * (3.0 * zz - rr) + 0.5462742 * params[o + 7] * (xx - yy)
    s += 0.5900436 * (params[o + 8] * y * (3.0 * xx - yy) + params[o + 14] * x * (xx - 3.0 * yy))
    s += 2.8906114 * params[o + 9] * x * y * z + 1.4453057 * params[o + 13] * z * (xx - yy)
    s += 0.4570458 * (5.0 * zz - rr) * (params[o + 10] * y + params[o + 12] * x)
    s += 0.3731763 * params[o + 11] * z * (5.0 * zz - 3.0 * rr)
    s += 2.5033430 * params[o + 15] * x * y * (xx - yy)
    s += 1.7701308 * z * (params[o + 16] * y * (3.0 * xx - yy) + params[o + 22] * x * (xx - 3.0 * yy))
    s += 0.9461747 * params[o + 17] * x * y * (7.0 * zz - rr)
    s += 0.6690465 * z * (7.0 * zz - 3.0 * rr) * (params[o + 18] * y + params[o + 20] * x)
    s += 0.1057855 * params[o + 19] * (35.0 * zz * zz - 30.0 * zz * rr + 3.0 * rr * rr)
    s += 0.4730873 * params[o + 21] * (xx - yy) * (7.0 * zz - rr)
    s += 0.6258357 * params[o + 23] * (xx * (xx - 3.0 * yy) - yy * (3.0 * xx - yy))
    return s


@register("blob")
class Blob(Shape):
    """A random star-shaped body of mean `radius` mm.

    `roughness` (0 sphere, 1 deeply lobed) scales the harmonics. The same `seed` gives the same blob; where none is
    given the scene's own seed chooses.
    """

    kind: Literal["blob"] = "blob"
    radius: Positive
    roughness: Fraction = 0.5
    seed: Seed = None

    @staticmethod
    @ti.func
    def distance(p, params: ti.template(), o: ti.i32) -> ti.f32:
        r = p.norm()
        return r - params[o] * (1.0 + _harmonics(p / ti.max(r, params[o + 1]), params, o + 2))

    def coefficients(self) -> list[np.ndarray]:
        """c_lm by degree l = 1..4; together they change the radius by at most 0.6 times the roughness."""
        rng = Stream.of(self.seed or 0, "blob").generator()
        raw = [rng.standard_normal(2 * n + 1) / (1 + n) ** 1.5 for n in range(1, DEGREE + 1)]
        bound = sum(np.linalg.norm(c) * math.sqrt((2 * n + 1) / (4 * math.pi)) for n, c in enumerate(raw, 1))
        return [0.6 * self.roughness / bound * c for c in raw]

    def _core(self) -> float:
        """r0: where the harmonics become solid; below the smallest radius there can be."""
        return 0.9 * self.radius * (1 - 0.6 * self.roughness)

    def pack(self) -> list[float]:
        return [self.radius, self._core(), *np.concatenate(self.coefficients()).tolist()]

    def ball(self) -> Ball:
        return Ball(ORIGIN, self.radius * (1 + 0.6 * self.roughness))

    def lipschitz(self) -> float:
        steep = sum(
            np.linalg.norm(c) * math.sqrt((n * n + n * (n + 1)) * (2 * n + 1) / (4 * math.pi))
            for n, c in enumerate(self.coefficients(), 1)
        )
        return 1.0 + float(steep) * self.radius / self._core()

    @classmethod
    def example(cls) -> "Blob":
        return cls(radius=12, roughness=0.6, seed=3)
