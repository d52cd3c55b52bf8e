"""The scanner of fidelity `projection`: its geometry, what it corrects, and what is wrong with it."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from engine.errors import UserError
from engine.grid import Grid
from engine.render.ct.backproject import WINDOWS
from engine.render.ct.dose import SOURCE_MM
from engine.render.ct.geometry import Rays
from engine.strict import Strict
from engine.vary import NonNegative, Varying, numbers_only

GeometryName = Annotated[Literal["parallel", "fan", "cone"], Varying()]
WindowName = Annotated[Literal[tuple(WINDOWS)], Varying()]  # type: ignore[valid-type]
Views = Annotated[int, Field(ge=16, le=7200), Varying(low=16, high=7200, whole=True)]
Pitch = Annotated[float, Field(ge=0.1, le=5), Varying(low=0.1, high=5)]
Distance = Annotated[float, Field(ge=200, le=2000), Varying(low=200, high=2000)]
FieldOfView = Annotated[float, Field(ge=20, le=1000), Varying(low=20, high=1000)]
Diameter = Annotated[float, Field(ge=0, le=600), Varying(low=0, high=600)]
Gain = Annotated[float, Field(ge=0, le=0.2), Varying(low=0, high=0.2)]
Travel = Annotated[float, Field(ge=0, le=50), Varying(low=0, high=50)]

#: Detector elements that one rotation may take: what fits in memory for a few slices at a time.
MOST_SAMPLES = 1 << 24
#: A fan wider than this to either side is no scanner's, degrees.
WIDEST_DEG = 60.0
#: A cone that opens more than this to either side is no scanner's: half its height over the focus's distance.
STEEPEST = 0.3


class Scanner(Strict):
    """Rays, detectors, bow-tie and corrections."""

    geometry: GeometryName = Field(
        "fan", description="rays: a fan or a cone over a whole turn, or parallel over half a one"
    )
    views: Views | None = Field(None, description="projections in the turn; by default as many as the detectors need")
    detector_mm: Pitch | None = Field(
        None, description="detector pitch at the axis, mm; by default half a voxel, 0.4 to 1 mm"
    )
    source_mm: Distance = Field(SOURCE_MM, description="focus to axis, mm")
    fov_mm: FieldOfView | None = Field(
        None, description="diameter that is measured, mm; what lies outside is truncated; by default the whole grid"
    )
    bowtie_mm: Diameter = Field(
        250.0, description="water cylinder that the aluminium bow-tie evens out, diameter in mm; 0 for none"
    )
    window: WindowName | None = Field(
        None, description="window of the ramp filter, instead of the reconstruction kernel's own"
    )
    water_correction: bool = Field(True, description="correct beam hardening as if all were water")
    electronic_quanta: NonNegative = Field(5.0, description="sd of the electronics' noise, in photons of mean energy")
    rings: Gain = Field(0.0, description="sd of the detectors' gain that calibration has missed, relative")
    motion_mm: Travel = Field(0.0, description="how far the patient moves during the turn, mm")

    @model_validator(mode="after")
    def _possible(self) -> Scanner:
        known = numbers_only(self) and self.geometry != "parallel" and self.fov_mm is not None
        if known and _too_wide(0.5 * self.fov_mm, self.source_mm):  # type: ignore[operator]
            raise ValueError(_misfit(f"fov_mm: {self.fov_mm:g}", self.source_mm))
        return self

    def rays(self, grid: Grid) -> Rays:
        """The rays that scan `grid`; UserError where no scanner could."""
        nx, ny, _ = grid.size
        dx, dy, _ = grid.spacing
        whole = math.hypot(nx * dx, ny * dy)
        pitch = self.detector_mm or min(max(0.5 * min(dx, dy), 0.4), 1.0)
        radius = 0.5 * (min(self.fov_mm, whole) if self.fov_mm else whole)
        source = None if self.geometry == "parallel" else self.source_mm
        row = radius
        if source is not None:
            if _too_wide(0.5 * whole, source):
                raise UserError(f"ct: {_misfit(f'a grid that is {whole:.0f} mm across', source)}")
            row = radius / math.sqrt(1.0 - (radius / source) ** 2)
        height, most = grid.extent[2], 2.0 * STEEPEST * self.source_mm
        if self.geometry == "cone" and height > most:
            raise UserError(
                f"ct: a grid that is {height:.0f} mm long does not fit a cone from a focus {self.source_mm:g} mm from "
                f"the axis, at most {most:.0f} mm do; use geometry: fan or fewer slices"
            )
        detectors = 2 * math.ceil(row / pitch) + 2
        # samples on the outermost circle about as dense as along the detector
        views = self.views or min(
            max(2 * math.ceil((0.55 if source else 0.4) * detectors), 360 if source else 180), 1600
        )
        millions = detectors * views / 1e6
        if millions > MOST_SAMPLES / 1e6:
            raise UserError(
                f"ct: {views} views of {detectors} detectors are {millions:.0f} million samples a slice; "
                f"at most {MOST_SAMPLES / 1e6:.0f} are taken: use fewer views or a larger detector_mm"
            )
        return Rays(views, detectors, pitch, source)


def _too_wide(radius: float, source: float) -> bool:
    return radius >= source * math.sin(math.radians(WIDEST_DEG))


def _misfit(what: str, source: float) -> str:
    return (
        f"{what} does not fit a fan from a focus {source:g} mm from the axis; "
        "use a larger source_mm, a smaller field or geometry: parallel"
    )
