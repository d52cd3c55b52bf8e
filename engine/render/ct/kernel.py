"""Reconstruction kernels: how sharp an image is in its plane, and along z."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import lambertw


@dataclass(frozen=True)
class Kernel:
    """A modulation transfer function MTF(f) = (1 + b u^2) exp(-u^2), u = f / f_c.

    Args:
        f50_per_mm: frequency in cycles/mm where it has fallen to one half.
        boost: b, above 1 for kernels that enhance edges (their MTF rises over 1 before it falls).
    """

    f50_per_mm: float
    boost: float

    @property
    def cutoff_per_mm(self) -> float:
        """f_c in cycles/mm, from MTF(f50) = 1/2."""
        if self.boost == 0.0:
            return self.f50_per_mm / math.sqrt(math.log(2.0))
        b = self.boost
        u_squared = -lambertw(-math.exp(-1.0 / b) / (2.0 * b), -1).real - 1.0 / b
        return self.f50_per_mm / math.sqrt(u_squared)

    def mtf(self, frequency: np.ndarray) -> np.ndarray:
        """MTF at spatial frequencies in cycles/mm."""
        u_squared = (frequency / self.cutoff_per_mm) ** 2
        return (1.0 + self.boost * u_squared) * np.exp(-u_squared)

    @property
    def noise_gain(self) -> float:
        """Integral of f^2 MTF(f)^2 over all frequencies from 0 on, 1/mm^3: what the ramp filter makes of white noise.

        By the moments of a Gaussian, f_c^3 sqrt(pi / 2) (1/8 + 3 b / 16 + 15 b^2 / 128).
        """
        b = self.boost
        return self.cutoff_per_mm**3 * math.sqrt(math.pi / 2.0) * (1.0 / 8.0 + 3.0 * b / 16.0 + 15.0 * b * b / 128.0)


#: Assumed, of the order of what body scanners show for soft, medium and sharp kernels.
KERNELS = {"smooth": Kernel(0.30, 0.0), "standard": Kernel(0.42, 0.6), "bone": Kernel(0.75, 1.6)}


def slice_profile(count: int, spacing: float, slice_mm: float) -> np.ndarray | None:
    """Weights `[slice, source]` that thicken `count` slices `spacing` mm apart to `slice_mm`; None where they are not
    thinner.

    A box of the slice's thickness has variance slice^2 / 12, of which the voxel has spacing^2 / 12 already; the rest is
    Gaussian. Rows add up to 1.
    """
    if slice_mm <= spacing:
        return None
    sigma = math.sqrt((slice_mm**2 - spacing**2) / 12.0) / spacing
    steps = np.arange(count)
    weights = np.exp(-0.5 * ((steps[:, None] - steps) / sigma) ** 2)
    return weights / weights.sum(axis=1, keepdims=True)
