"""Sine and cosine as a polynomial, for kernels: unlike the C library's, loops over them become vector instructions."""

import math

import numpy as np
import taichi as ti


def _coefficients(degree: int) -> list[float]:
    """Of the odd polynomial in t nearest to sin(2 pi t) on [0, 1/4], lowest power first; off by at most 4e-9."""
    t = 0.125 * (1 - np.cos(np.linspace(0, math.pi, 400)))
    powers = np.stack([t**k for k in range(1, degree + 1, 2)], axis=1)
    return [float(c) for c in np.linalg.lstsq(powers, np.sin(2 * math.pi * t), rcond=None)[0]]


_C = _coefficients(9)


@ti.func
def sine(x: ti.f32) -> ti.f32:
    """sin(x), x in radians; off by less than 1e-6 + 2e-7 |x|."""
    turns = x * ti.static(1.0 / (2.0 * math.pi))
    turns -= ti.floor(turns + 0.5)
    quarter = ti.min(ti.abs(turns), 0.5 - ti.abs(turns))
    square = quarter * quarter
    value = 0.0
    for c in ti.static(_C[::-1]):
        value = value * square + c
    return ti.select(turns < 0.0, -value, value) * quarter


@ti.func
def cosine(x: ti.f32) -> ti.f32:
    """cos(x), x in radians; as exact as `sine`."""
    return sine(x + ti.static(0.5 * math.pi))
