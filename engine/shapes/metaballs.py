"""Metaballs: -k log sum_i exp(-(|p - c_i| - r_i) / k), the smooth minimum of the distances to several balls.

Lipschitz 1: the gradient is a weighted mean of unit vectors. The order of the balls does not matter. With
k = smooth / (4 log 2) two balls that meet swell by smooth / 4 between them, as in a smooth union; n balls swell by at
most k log n.
"""

import math
from typing import Literal

import numpy as np
import taichi as ti
from pydantic import Field, model_validator

from engine.nodes import Ball, Shape, register
from engine.vary import NonNegative, Profile, Vec3

_HEAD = 2


@register("metaballs")
class Metaballs(Shape):
    """A lobed body: balls around `centres` (mm) that flow together, with `smooth` mm of fillet where they meet.

    `radius` is one number, or one for each centre.
    """

    kind: Literal["metaballs"] = "metaballs"
    centres: list[Vec3] = Field(min_length=1)
    radius: Profile
    smooth: NonNegative = 3.0

    @staticmethod
    @ti.func
    def distance(p, params: ti.template(), o: ti.i32) -> ti.f32:
        # the sum is kept relative to its largest term, that of the nearest ball
        k, near, total = params[o + 1], 1e9, 0.0
        for i in range(int(params[o])):
            q = o + _HEAD + 4 * i
            d = (p - ti.math.vec3(params[q], params[q + 1], params[q + 2])).norm() - params[q + 3]
            nearer = ti.min(near, d)
            total = total * ti.exp((nearer - near) / k) + ti.exp((nearer - d) / k)
            near = nearer
        return near - k * ti.log(total)

    @model_validator(mode="after")
    def _complete(self):
        if isinstance(self.radius, list) and len(self.radius) != len(self.centres):
            raise ValueError(f"radius lists {len(self.radius)} values for {len(self.centres)} centres")
        return self

    def _softness(self) -> float:
        """k, mm."""
        return max(self.smooth, 1e-3) / (4 * math.log(2))

    def _balls(self) -> np.ndarray:
        """Centres and radii (n, 4)."""
        return np.column_stack([self.centres, np.broadcast_to(self.radius, len(self.centres))])

    def pack(self) -> list[float]:
        return [float(len(self.centres)), self._softness(), *self._balls().ravel().tolist()]

    def ball(self) -> Ball:
        swell = self._softness() * math.log(len(self.centres))
        return Ball.around([Ball((x, y, z), r) for x, y, z, r in self._balls().tolist()]).grown(swell)

    @classmethod
    def example(cls) -> "Metaballs":
        return cls(centres=[(-7, 0, 0), (5, 6, 2), (4, -6, -4), (1, 0, 9)], radius=[7, 6, 8, 5], smooth=4)
