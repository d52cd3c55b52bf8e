"""Noise displacement: the surface moves in and out by OpenSimplex noise, d - A sum_k 2^-k n(2^k p / wavelength).

Lipschitz that of d + 3.2 A octaves / wavelength: every octave is as steep as the first.
"""

from typing import Annotated

import numpy as np
import taichi as ti
from pydantic import Field

from engine.nodes import Ball, Displacement, register
from engine.noise import PEAK, SLOPE, noise, permutation
from engine.vary import NonNegative, Positive, Seed, Varying

_HEAD = 2

Octaves = Annotated[int, Field(ge=1, le=8), Varying(low=1, high=8, whole=True)]


@register("noise")
class Noise(Displacement):
    """Bumps of `amplitude` mm, `wavelength` mm apart, with `octaves` finer layers (each half as high and wide)."""

    amplitude: NonNegative
    wavelength: Positive
    octaves: Octaves = 1
    seed: Seed = None

    @staticmethod
    @ti.func
    def displace(d: ti.f32, p, params: ti.template(), o: ti.i32) -> ti.f32:
        return d - params[o] * noise(params, o + _HEAD, p * params[o + 1])

    def layers(self) -> list[np.ndarray]:
        table = permutation(self.seed or 0)
        octaves = [0.5**k for k in range(self.octaves)]
        heads = [np.array([self.amplitude * half, 1 / (self.wavelength * half)], np.float32) for half in octaves]
        return [np.concatenate([head, table]) for head in heads]

    def grown(self, ball: Ball) -> Ball:
        return ball.grown(self.amplitude * PEAK * (2 - 0.5 ** (self.octaves - 1)))

    def lipschitz(self, inner: float) -> float:
        return inner + self.octaves * SLOPE * self.amplitude / self.wavelength

    @classmethod
    def example(cls) -> "Noise":
        return cls(amplitude=1.5, wavelength=12, octaves=2, seed=1)
