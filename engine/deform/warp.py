"""Random warp: six shears p -> p + a sin(k . p + phi) with a at right angles to k, one after the other.

A shear leaves k . p as it is, so its inverse is p - a sin(k . p + phi) and its determinant 1: however strong, the warp
cannot fold, and every organ keeps its volume. The directions of k and a are the edges of two randomly turned frames,
(e1, e2), (e2, e3), (e3, e1), so that no direction is preferred. With six random phases the displacement's mean square
is sum |a|^2 / 2, and its largest value twice its root mean square.

Lipschitz the largest norm of a product of I + c a k' with |c| <= 1, the Jacobian. It is affine in each c, its norm
convex, so the largest is reached where every c is 1 or -1: among those 64.
"""

import functools
import itertools
import math

import numpy as np
import taichi as ti
from pydantic import model_validator

from engine.nodes import Ball, Warp, register
from engine.random import Stream
from engine.sine import sine
from engine.vary import NonNegative, Positive, Seed

_SHEARS = 6
#: Shears' wavelengths lie within this factor of the typical one.
_SPREAD = 1.2
#: The largest amplitude, in wavelengths; with stronger shears the Lipschitz bound prunes next to nothing.
_MOST = 0.2
_CORNERS = np.array(list(itertools.product((-1.0, 1.0), repeat=_SHEARS)))


@register("warp")
class RandomWarp(Warp):
    """Moves every point by about `amplitude` mm (root mean square), differently `wavelength` mm away; keeps volumes.

    A tenth of the wavelength varies an organ as people do; a fifth, the most allowed, makes deep lobes.
    """

    everywhere = True
    keeps_volume = True

    amplitude: NonNegative
    wavelength: Positive
    seed: Seed = None

    @staticmethod
    @ti.func
    def warp(p, params: ti.template(), o: ti.i32):
        q = p
        for m in ti.static(range(_SHEARS)):
            s = o + 7 * m
            phase = params[s] * q.x + params[s + 1] * q.y + params[s + 2] * q.z + params[s + 3]
            q += ti.math.vec3(params[s + 4], params[s + 5], params[s + 6]) * sine(phase)
        return q

    @model_validator(mode="after")
    def _useful(self):
        amplitude, wavelength = self.amplitude, self.wavelength
        numbers = isinstance(amplitude, (int, float)) and isinstance(wavelength, (int, float))
        if numbers and amplitude > _MOST * wavelength:
            raise ValueError(
                f"warp: amplitude is {amplitude:g} mm, more than a fifth of the wavelength ({wavelength:g} mm); use an "
                f"amplitude of at most {_MOST * wavelength:g} mm or a wavelength of at least {amplitude / _MOST:g} mm"
            )
        return self

    def shears(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """k (6, 3) in radians per mm, phi (6,) in radians, a (6, 3) in mm."""
        return _shears(self.amplitude, self.wavelength, self.seed or 0)

    def pack(self) -> np.ndarray:
        k, phi, a = self.shears()
        return np.concatenate([k, phi[:, None], a], axis=1).ravel()

    def deformed(self, ball: Ball) -> Ball:
        return ball.grown(2 * self.amplitude)

    def lipschitz(self, ball: Ball) -> float:
        return _stretch(self.amplitude, self.wavelength, self.seed or 0)

    @classmethod
    def example(cls) -> "RandomWarp":
        return cls(amplitude=3, wavelength=30, seed=4)


@functools.lru_cache(maxsize=1024)
def _shears(amplitude: float, wavelength: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = Stream.of(seed, "warp").generator()
    frames = np.linalg.qr(rng.standard_normal((_SHEARS // 3, 3, 3)))[0]
    wavelengths = wavelength * _SPREAD ** rng.uniform(-1, 1, _SHEARS)
    k = np.concatenate(frames) * (2 * math.pi / wavelengths)[:, None]
    a = np.roll(frames, -1, axis=1).reshape(-1, 3)
    return k, rng.uniform(0, 2 * math.pi, _SHEARS), a * amplitude * math.sqrt(2 / _SHEARS)


@functools.lru_cache(maxsize=1024)
def _stretch(amplitude: float, wavelength: float, seed: int) -> float:
    k, _, a = _shears(amplitude, wavelength, seed)
    jacobian = np.eye(3)
    for m in range(_SHEARS):
        jacobian = jacobian + _CORNERS[:, m, None, None] * a[m][:, None] * (k[m] @ jacobian)[..., None, :]
    return float(np.linalg.norm(jacobian, 2, axis=(1, 2)).max())
