"""Folded sheet: a plate around the height field z = h(x, y), with the thickness measured across it.

    h(x, y) = A sin(theta) + sqrt(R^2 - x^2 - y^2) - R,   theta = k x + phase + sum_i b_i sin(q_i . (x, y) + phase_i)
    f(p)    = max(c |z - h| - t / 2, distance to the rectangle in x, y),   c = 1 / sqrt(1 + |grad h|^2)

Beyond the plate's rectangle h and c go on with the values of its nearest point. c |z - h| is the distance to first
order: |grad (z - h)| = 1 / c.

Lipschitz 1 + 0.3 t |h''|: the gradient of c adds at most |c (z - h)| |h''| / 2, because c^2 |grad h| <= 1 / 2; so
c |z - h| is followed up to 0.6 t (`REACH`) and goes on with the least c from there.
"""

import math
from typing import Literal

import numpy as np
import taichi as ti
from pydantic import model_validator

from engine.nodes import Ball, Shape, register
from engine.random import Stream
from engine.sine import cosine, sine
from engine.vary import Fraction, NonNegative, Positive, Seed

#: How far from the mid-surface, in thicknesses, the local slope counts; above 1/2.
REACH = 0.6
#: Slow waves that bend the crests.
WAVES = 3
#: Share of the folds' wave number by which the slow waves may change it: below 1, so that crests never close to rings.
BENT = 0.7
#: A dome's radius, at least, in half diagonals of the plate.
_DOME = 1.25
_HEAD = 8

vec2 = ti.math.vec2


@register("sheet")
class Sheet(Shape):
    """A plate of `size` (mm, along x and y) and `thickness` (mm), folded like bowel wall, cerebellar folia or cortex.

    `folds` is the height of the crests above the middle (mm), `wavelength` the distance from crest to crest (mm). They
    run along y: straight, or meandering with `wander` up to 1. With `dome` the sheet caps a sphere of that radius (mm),
    apex at the origin, as the diaphragm does. The same `seed` gives the same folds; where none is given the scene's own
    seed chooses.
    """

    kind: Literal["sheet"] = "sheet"
    size: tuple[Positive, Positive]
    thickness: Positive
    folds: NonNegative = 0.0
    wavelength: Positive = 20.0
    wander: Fraction = 0.5
    dome: Positive | None = None
    seed: Seed = None

    @staticmethod
    @ti.func
    def distance(p, params: ti.template(), o: ti.i32) -> ti.f32:
        half, amplitude, bend = vec2(params[o], params[o + 1]), params[o + 3], params[o + 5]
        p2 = vec2(p.x, p.y)
        at = ti.math.clamp(p2, -half, half)
        angle, turn = params[o + 4] * at.x + params[o + 7], vec2(params[o + 4], 0.0)
        for i in range(WAVES):
            w = o + _HEAD + 4 * i
            q = vec2(params[w], params[w + 1])
            phase = q.dot(at) + params[w + 2]
            angle += params[w + 3] * sine(phase)
            turn += params[w + 3] * cosine(phase) * q
        # the dome, of radius 1 / bend: its height is (s - 1) / bend, its slope -bend r / s
        s = ti.sqrt(1.0 - bend * bend * at.dot(at))
        height = amplitude * sine(angle) - bend * at.dot(at) / (1.0 + s)
        slope = amplitude * cosine(angle) * turn - at * (bend / s)
        c = 1.0 / ti.sqrt(1.0 + slope.dot(slope))
        thick, away = params[o + 2], ti.abs(p.z - height)
        near = ti.min(away, REACH * thick / c)
        across = near * c + (away - near) * params[o + 6] - 0.5 * thick
        return ti.max(across, (p2 - at).norm() + ti.min((ti.abs(p2) - half).max(), 0.0))

    @model_validator(mode="after")
    def _dome_is_wide(self):
        if isinstance(self.dome, (int, float)) and all(isinstance(v, (int, float)) for v in self.size):
            least = _DOME * math.hypot(*self.size) / 2
            if self.dome < least:
                raise ValueError(
                    f"dome is {self.dome:g} mm, too small for a sheet of {self.size[0]:g} x {self.size[1]:g} mm; "
                    f"use at least {least:.0f} mm"
                )
        return self

    def _waves(self) -> tuple[float, np.ndarray]:
        """A phase, and the slow waves (n, 4): wave vector (1/mm), phase, height (radians)."""
        rng = Stream.of(self.seed or 0, "sheet").generator()
        k = 2 * math.pi / self.wavelength
        phase, *phases = rng.uniform(0, 2 * math.pi, WAVES + 1)
        direction, pace = rng.uniform(0, math.pi, WAVES), k * rng.uniform(0.2, 0.5, WAVES)
        heights = self.wander * BENT * k / WAVES / pace
        return float(phase), np.column_stack([pace * np.cos(direction), pace * np.sin(direction), phases, heights])

    def _steepest(self) -> tuple[float, float]:
        """Bounds of |grad h| and of the second derivative |h''| (1/mm)."""
        k, (_, waves) = 2 * math.pi / self.wavelength, self._waves()
        pace = np.linalg.norm(waves[:, :2], axis=1)
        turn = k + float(waves[:, 3] @ pace)
        slope, curl = self.folds * turn, self.folds * (turn**2 + float(waves[:, 3] @ pace**2))
        if self.dome:
            x = math.hypot(*self.size) / 2 / self.dome
            slope, curl = slope + x / math.sqrt(1 - x * x), curl + 1 / self.dome / (1 - x * x) ** 1.5
        return slope, curl

    def pack(self) -> list[float]:
        (phase, waves), (slope, _) = self._waves(), self._steepest()
        x, y = self.size
        head = [x / 2, y / 2, self.thickness, self.folds, 2 * math.pi / self.wavelength]
        return [*head, 1 / self.dome if self.dome else 0.0, 1 / math.hypot(1.0, slope), phase, *waves.ravel().tolist()]

    def ball(self) -> Ball:
        slope, _ = self._steepest()
        edge = math.hypot(*self.size) / 2
        sag = self.dome - math.sqrt(self.dome**2 - edge**2) if self.dome else 0.0
        high = self.folds + self.thickness / 2 * math.hypot(1.0, slope)
        # over the plate the field rises by at least 1 / |(1, slope)|, beside it by 1, between by the lesser of both
        rise = 1.0 / math.hypot(1.0, math.hypot(1.0, slope))
        return Ball((0.0, 0.0, -sag / 2), math.hypot(edge, high + sag / 2), rise)

    def lipschitz(self) -> float:
        _, curl = self._steepest()
        return 1.0 + REACH * self.thickness * curl / 2

    @classmethod
    def example(cls) -> "Sheet":
        return cls(size=(30, 26), thickness=3, folds=3, wavelength=13, wander=0.6, dome=40, seed=2)
