"""Contact: max(u, -b, a - k) with u the smooth union of a and b, and k its radius.

The fillet that a smooth union adds beside b is given to a, and b is cut away: both then share one surface. In the
middle of a cleft w mm wide u = w / 2 - k / 4, so clefts narrower than k / 2 are filled. The fillet ends where a = k:
the last term takes nothing from it and keeps the field from vanishing along the rest of b's surface.

Lipschitz: the greater bound of a and b.
"""

import taichi as ti

from engine.nodes import Ball, Combine, register


@register("touch")
class Touch(Combine):
    """Lets what stands before it meet the part along one surface; clefts narrower than `smooth` / 2 mm are filled."""

    creases = True

    @staticmethod
    @ti.func
    def combine(a: ti.f32, b: ti.f32, k: ti.f32) -> ti.f32:
        h = ti.max(k - ti.abs(a - b), 0.0) / ti.max(k, 1e-6)
        return ti.max(ti.min(a, b) - h * h * k * 0.25, -b, a - k)

    @staticmethod
    def ball(a: Ball, b: Ball, smooth: float) -> Ball:
        return a.grown(smooth)
