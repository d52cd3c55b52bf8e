"""Phased array: beams leave the middle of a small flat face, steered by delays; the field of view is a sector.

Steered by theta, the aperture looks cos(theta) as wide, which widens the beam, and each element of width w sends and
receives cos(theta) sinc(w sin(theta) / lambda) of the amplitude: a strip in a soft baffle.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from engine.render.us.probe import Probe, register
from engine.vary import Positive, Varying


@register("phased")
class Phased(Probe):
    """A flat array small enough to look between ribs, as used for the heart."""

    kind: Literal["phased"] = "phased"
    angle_deg: Annotated[float, Field(gt=0, le=120), Varying(low=0, high=120, open=True)] = Field(
        90.0, description="angle between the outer beams, degrees"
    )
    aperture_mm: Positive = Field(20.0, description="length of the array, all of it active, mm")
    pitch: Annotated[float, Field(gt=0, le=0.5), Varying(low=0, high=0.5, open=True)] = Field(
        0.5, description="width of an element in wavelengths; half or less sends no grating lobes"
    )
    elevation_mm: Positive = Field(13.0, description="height of the elements, mm")
    elevation_focus_mm: Positive = Field(80.0, description="depth of the elevation lens's focus, mm")

    def rays(self, fraction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        angle = self._angle(fraction)
        direction = np.stack([np.sin(angle), np.cos(angle)], -1)
        return np.zeros_like(direction), direction

    def locate(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.arctan2(u, v) / np.deg2rad(self.angle_deg) + 0.5, np.hypot(u, v)

    def spread(self, range_mm: np.ndarray) -> np.ndarray:
        return range_mm * np.deg2rad(self.angle_deg)

    def foreshortening(self, fraction: np.ndarray) -> np.ndarray:
        return np.cos(self._angle(fraction))

    def element(self, fraction: np.ndarray) -> np.ndarray:
        angle = self._angle(fraction)
        return np.cos(angle) * np.sinc(self.pitch * np.sin(angle))

    def view(self) -> dict[str, Any]:
        return {"apex_mm": [0.0, 0.0], "angles_deg": [-0.5 * self.angle_deg, 0.5 * self.angle_deg]}

    def _angle(self, fraction: np.ndarray) -> np.ndarray:
        return (np.asarray(fraction) - 0.5) * np.deg2rad(self.angle_deg)

    @classmethod
    def example(cls) -> Phased:
        return cls.model_validate({})
