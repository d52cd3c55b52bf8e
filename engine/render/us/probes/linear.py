"""Linear array: parallel beams under a flat face; the field of view is a rectangle."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from engine.render.us.probe import Probe, register
from engine.vary import Positive


@register("linear")
class Linear(Probe):
    """A flat array `width_mm` wide, as used for vessels, thyroid, breast and muscle."""

    kind: Literal["linear"] = "linear"
    width_mm: Positive = Field(50.0, description="length of the face, mm")
    aperture_mm: Positive = Field(20.0, description="widest active aperture in the scan plane, mm")
    elevation_mm: Positive = Field(5.0, description="height of the elements, mm")
    elevation_focus_mm: Positive = Field(25.0, description="depth of the elevation lens's focus, mm")

    def rays(self, fraction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u = (fraction - 0.5) * self.width_mm
        zero = np.zeros_like(u)
        return np.stack([u, zero], -1), np.stack([zero, zero + 1.0], -1)

    def locate(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return u / self.width_mm + 0.5, v

    def spread(self, range_mm: np.ndarray) -> np.ndarray:
        return np.full_like(range_mm, self.width_mm)

    def view(self) -> dict[str, Any]:
        return {"lateral_mm": [-0.5 * self.width_mm, 0.5 * self.width_mm]}

    @classmethod
    def example(cls) -> Linear:
        return cls.model_validate({})
