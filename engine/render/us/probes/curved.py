"""Curved (convex) array: beams leave a circular face at right angles; the field of view is a sector of a ring."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from engine.render.us.probe import Probe, register
from engine.vary import Positive, Varying


@register("curved")
class Curved(Probe):
    """An array on an arc of `radius_mm` over `angle_deg`, as used for the abdomen."""

    kind: Literal["curved"] = "curved"
    radius_mm: Positive = Field(60.0, description="radius of the face, mm")
    angle_deg: Annotated[float, Field(gt=0, le=160), Varying(low=0, high=160, open=True)] = Field(
        70.0, description="angle between the outer beams, degrees"
    )
    aperture_mm: Positive = Field(20.0, description="widest active aperture in the scan plane, mm")
    elevation_mm: Positive = Field(11.0, description="height of the elements, mm")
    elevation_focus_mm: Positive = Field(80.0, description="depth of the elevation lens's focus, mm")

    def rays(self, fraction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        angle = (fraction - 0.5) * np.deg2rad(self.angle_deg)
        direction = np.stack([np.sin(angle), np.cos(angle)], -1)
        return self.radius_mm * (direction - (0.0, 1.0)), direction

    def locate(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        along = v + self.radius_mm
        return np.arctan2(u, along) / np.deg2rad(self.angle_deg) + 0.5, np.hypot(u, along) - self.radius_mm

    def spread(self, range_mm: np.ndarray) -> np.ndarray:
        return (range_mm + self.radius_mm) * np.deg2rad(self.angle_deg)

    def view(self) -> dict[str, Any]:
        return {"apex_mm": [0.0, -self.radius_mm], "angles_deg": [-0.5 * self.angle_deg, 0.5 * self.angle_deg]}

    @classmethod
    def example(cls) -> Curved:
        return cls.model_validate({})
