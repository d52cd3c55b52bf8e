"""How motions fade: full in the core of a region, nothing at its edge."""

from typing import Annotated

import taichi as ti
from pydantic import Field

from engine.vary import Varying

Core = Annotated[
    float,
    Field(ge=0.1, le=0.9, description="share of the region's radii up to which it moves in full"),
    Varying(low=0.1, high=0.9),
]


@ti.func
def smooth_step(s: ti.f32) -> ti.f32:
    """S(s) = 3 s^2 - 2 s^3, from 0 to 1 on [0, 1], constant outside."""
    t = ti.math.clamp(s, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)
