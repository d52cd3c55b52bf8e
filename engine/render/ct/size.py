"""The patient's size, slice by slice, as the beam feels it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from engine.render.serial import serial


@dataclass(frozen=True)
class Size:
    """What of each slice attenuates: its water-equivalent diameter and the ellipse that has its moments.

    Args:
        water_mm: D_w = 2 sqrt(A / pi), where A is the sum of mu / mu_water times the pixel's area (AAPM report 220).
        middle: centre of gravity `[z, 2]` (x, y), mm from the grid's middle.
        spread: covariance `[z, 2, 2]`, mm^2; a uniform ellipse with semi-axis a has a^2 / 4 along it.
    """

    water_mm: np.ndarray
    middle: np.ndarray
    spread: np.ndarray

    @classmethod
    @serial()
    def of(cls, relative: torch.Tensor, spacing: tuple[float, float, float]) -> Size:
        """The size of `relative` `[z, y, x]`, attenuation over that of water."""
        x, y = in_plane(relative, spacing)
        across, down = relative.sum(1, dtype=torch.float64), relative.sum(2, dtype=torch.float64)
        total = across.sum(1)
        mass = total.clamp(min=1e-9)
        cx, cy = across @ x / mass, down @ y / mass
        xx, yy = across @ (x * x) / mass - cx * cx, down @ (y * y) / mass - cy * cy
        xy = ((relative.double() @ x) @ y) / mass - cx * cy
        spread = torch.stack([torch.stack([xx, xy], -1), torch.stack([xy, yy], -1)], -2)
        water = 2.0 * torch.sqrt(total * spacing[0] * spacing[1] / np.pi)
        return cls(water.cpu().numpy(), torch.stack([cx, cy], -1).cpu().numpy(), spread.cpu().numpy())


def in_plane(data: torch.Tensor, spacing: tuple[float, float, float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Places of the columns (x) and rows (y) of `data` `[z, y, x]`, mm from the grid's middle, float64."""
    _, ny, nx = data.shape
    steps = [torch.arange(n, dtype=torch.float64, device=data.device) - 0.5 * (n - 1) for n in (nx, ny)]
    return steps[0] * spacing[0], steps[1] * spacing[1]
