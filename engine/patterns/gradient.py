"""A straight trend across a structure: 1 + c (p - mean p) / extent, p the position along a direction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from pydantic import Field, field_validator

from engine.grid import Grid
from engine.pattern import Canvas, Pattern, has_direction, register
from engine.vary import Number, Vec3

if TYPE_CHECKING:
    from engine.volume import Volume


@register("gradient")
class Gradient(Pattern):
    """A trend along a direction, about the mean of each structure: dependent lung, uneven perfusion."""

    kind: Literal["gradient"] = "gradient"
    signal: Number = Field(0.0, description="relative change of MR signal and scatterers along the direction")
    density: Number = Field(0.0, description="relative change of mass density along the direction")
    direction: Vec3 = Field(description="towards which the values grow, LPS axes")
    per: Literal["structure", "cm"] = Field(
        "structure", description="the change is that from end to end of the structure, as far as it is in the volume"
    )

    _direction = field_validator("direction")(has_direction)

    def variation(self, volume: Volume, amounts: Sequence[float], canvas: Canvas) -> torch.Tensor:
        along, reach = self._positions(canvas.grid)
        along = along.to(volume.top.device)
        slopes, offsets = self._lines(volume.still, amounts, along, reach)
        if volume.displacement is not None:
            unit = torch.tensor(self.direction, dtype=torch.float32) / math.hypot(*self.direction)
            along = along + volume.displacement @ unit.to(along.device)
        return volume.mix(slopes).mul_(along).add_(volume.mix(offsets))

    def _lines(
        self, volume: Volume, amounts: Sequence[float], along: torch.Tensor, reach: float
    ) -> tuple[list[float], list[float]]:
        """Slope (1/mm) and offset of the trend in each row's structure, as it lies in `volume`."""
        slopes, offsets = [0.0] * len(amounts), [0.0] * len(amounts)
        for row, amount in enumerate(amounts):
            if not amount:
                continue
            share = volume.mix([float(row == other) for other in range(len(amounts))])
            own = along[share > 0.5]
            if own.numel():
                extent = 10.0 if self.per == "cm" else float(own.max() - own.min()) + reach
                weight = float(share.sum(dtype=torch.float64))
                middle = float((share * along).sum(dtype=torch.float64)) / weight
                slopes[row] = amount / extent
                offsets[row] = -slopes[row] * middle
        return slopes, offsets

    def _positions(self, grid: Grid) -> tuple[torch.Tensor, float]:
        """Position of each voxel along the direction, mm, float32 `[z, y, x]`; and a voxel's length along it."""
        step = np.asarray(self.direction) / math.hypot(*self.direction) @ grid.axes
        x, y, z = (s * (np.arange(n) - 0.5 * (n - 1)) for s, n in zip(step, grid.size, strict=True))
        along: Any = z[:, None, None] + y[:, None] + x
        return torch.from_numpy(along.astype(np.float32)), math.hypot(*step)

    @classmethod
    def example(cls) -> Gradient:
        return cls.model_validate({"direction": (0.0, 1.0, 0.0), "signal": 0.2, "density": 0.2})
