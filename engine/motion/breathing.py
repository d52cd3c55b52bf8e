"""Breathing: the diaphragm pushes what lies in a region down and its front forward, by Lujan's waveform.

The stroke is cos^2n(pi (t - 1/2)), 0 at the end of expiration (phase 0), 1 at the end of inspiration (Lujan et al.
1999, doi 10.1118/1.598577). With the smooth step S(s) = 3 s^2 - 2 s^3 on [0, 1], rho the distance from the region's
centre in units of its radii and v how far in front of it (the same in y alone), the backward map is

    psi(p) = p + stroke (0, anterior B S(v / core), amplitude B),    B = S((1 - rho) / (1 - core)) C,

where C rises from 0 to 1 over `fade` mm around the column that stays. What lies in the core moves as one piece.

Lipschitz 1 + stroke |(amplitude |grad B|, anterior (|grad B| + 1.5 / (core r_y)))|.
"""

import math

import numpy as np
import taichi as ti
from pydantic import Field

from engine.motion.window import Core, smooth_step
from engine.nodes import Motion, register
from engine.strict import Strict
from engine.vary import NonNegative, Number, Positive, PositiveVec3, Vec3, Whole4

#: Steepest slope of the smooth step.
_SLOPE = 1.5


class Column(Strict):
    """A column along z that stays: the spine and what hangs on it."""

    at: tuple[Number, Number] = Field(description="x and y of its middle, mm")
    radius: NonNegative = Field(description="mm")
    fade: Positive = Field(description="mm from its surface to tissue that moves in full")


@register("breathing")
class Breathing(Motion):
    """Moves an ellipsoidal region's organs towards the feet by `amplitude` mm, its front forward by `anterior` mm."""

    amplitude: NonNegative = Field(default=15.0, description="mm towards the feet, at the end of inspiration")
    anterior: NonNegative = Field(default=4.0, description="mm forward, at the front of the region's core")
    centre: Vec3 = Field(description="middle of the region, mm")
    radii: PositiveVec3 = Field(description="where the region ends and nothing moves any more, mm")
    core: Core = 0.5
    still: Column | None = Field(default=None, description="what does not move within the region")
    waveform: Whole4 = Field(
        default=2, description="n of cos^2n: the larger, the longer the rest at the end of expiration"
    )

    @staticmethod
    @ti.func
    def warp(p, params: ti.template(), o: ti.i32):
        centre = ti.math.vec3(params[o], params[o + 1], params[o + 2])
        local = (p - centre) * ti.math.vec3(params[o + 3], params[o + 4], params[o + 5])
        core = params[o + 6]
        away = ti.math.vec2(p.x - params[o + 7], p.y - params[o + 8]).norm() - params[o + 9]
        share = smooth_step((1.0 - local.norm()) / (1.0 - core)) * smooth_step(away * params[o + 10])
        front = share * smooth_step(-local.y / core)
        return p + ti.math.vec3(0.0, params[o + 11] * front, params[o + 12] * share)

    def wave(self, phase: float) -> float:
        return math.sin(math.pi * phase) ** (2 * self.waveform)

    def pack(self, stroke: float) -> list[float]:
        column = [*self.still.at, self.still.radius, 1.0 / self.still.fade] if self.still else [0.0, 0.0, -1.0, 1.0]
        inverse = [1.0 / radius for radius in self.radii]
        return [*self.centre, *inverse, self.core, *column, stroke * self.anterior, stroke * self.amplitude]

    def reach(self, stroke: float) -> float:
        return stroke * math.hypot(self.amplitude, self.anterior)

    def strain(self, stroke: float) -> float:
        edge = 1.0 / ((1.0 - self.core) * min(self.radii))
        slope = _SLOPE * edge if self.still is None else _product_slope(edge, 1.0 / self.still.fade)
        front = slope + _SLOPE / (self.core * self.radii[1])
        return stroke * math.hypot(self.amplitude * slope, self.anterior * front)

    def remedy(self) -> str:
        return "reduce amplitude or anterior, or let it fade over more mm: larger radii, a smaller core, more fade"

    @classmethod
    def example(cls) -> "Breathing":
        still = Column(at=(0, 22), radius=4, fade=12)
        return cls(amplitude=4, anterior=2, centre=(0, 0, 2), radii=(36, 32, 40), core=0.4, still=still)


def _product_slope(a: float, b: float) -> float:
    """A bound of the slope of S(f) S(g), where f and g have slopes `a` and `b`.

    The bound a S'(s) S(t) + b S(s) S'(t) is taken on a lattice; between its points it grows by at most half a step
    times its own slope, at most 6 + 1.5^2 for each of s and t.
    """
    steps = 200
    s = np.linspace(0.0, 1.0, steps + 1)
    value, slope = s * s * (3.0 - 2.0 * s), 6.0 * s * (1.0 - s)
    most = (a * np.outer(slope, value) + b * np.outer(value, slope)).max()
    return float(most) + (a + b) * (6.0 + _SLOPE**2) / steps
