"""Smooth intersection: max(a, b) + k h^2 / 4 with h = max(k - |a - b|, 0) / k.

Lipschitz: the greater bound of a and b.
"""

import taichi as ti

from engine.nodes import Ball, Combine, register


@register("intersect")
class Intersect(Combine):
    """Keeps what lies both in the part and in what stands before it; `smooth` mm of rounding at the rim."""

    @staticmethod
    @ti.func
    def combine(a: ti.f32, b: ti.f32, k: ti.f32) -> ti.f32:
        h = ti.max(k - ti.abs(a - b), 0.0) / ti.max(k, 1e-6)
        return ti.max(a, b) + h * h * k * 0.25

    @staticmethod
    def ball(a: Ball, b: Ball, smooth: float) -> Ball:
        return min(a, b, key=lambda ball: ball.radius)
