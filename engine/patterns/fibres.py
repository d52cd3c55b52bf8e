"""Fibres: a Gaussian random field that is correlated far along a direction and little across it.

    C(a, c) = exp(-sqrt((a / L)^2 + (c / W)^2))

over distances a along and c across; its power spectrum is 8 pi L W^2 / (1 + (k_a L)^2 + (k_c W)^2)^2.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, field_validator

from engine.pattern import Correlated, has_direction, register
from engine.vary import Positive, Vec3


@register("fibres")
class Fibres(Correlated):
    """Bundles along a direction: muscle, tendon, tracts of white matter."""

    kind: Literal["fibres"] = "fibres"
    direction: Vec3 = Field(description="along the fibres, LPS axes")
    length: Positive = Field(description="distance along the fibres at which correlation falls to 1/e, mm")
    width: Positive = Field(description="the same across the fibres, mm")

    _direction = field_validator("direction")(has_direction)

    def spectrum(self, kx: Any, ky: Any, kz: Any) -> Any:
        norm = math.hypot(*self.direction)
        ux, uy, uz = (v / norm for v in self.direction)
        along = (ux * kx + uy * ky + uz * kz) ** 2
        across = kx**2 + ky**2 + kz**2 - along
        peak = 8.0 * math.pi * self.length * self.width**2
        return peak / (1.0 + along * self.length**2 + across * self.width**2) ** 2

    @classmethod
    def example(cls) -> Fibres:
        return cls.model_validate({"direction": (1.0, 1.0, 2.0), "length": 15.0, "width": 2.0})
