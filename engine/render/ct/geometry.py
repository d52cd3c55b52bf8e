"""Rays of a scan: where views look from and where detectors stand."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from engine.device import device


@dataclass(frozen=True)
class Rays:
    """A parallel beam over half a turn, or a fan over a whole one, with a flat detector drawn through the axis.

    View v looks along (-sin a, cos a) with its detectors along (cos a, sin a), a = v / views of the turn; detector d
    stands (d - (detectors - 1) / 2) pitch from the axis.

    Args:
        views: over the turn.
        detectors: in a row.
        pitch_mm: between detectors, at the axis.
        source_mm: from the focus to the axis; None for parallel rays.
    """

    views: int
    detectors: int
    pitch_mm: float
    source_mm: float | None

    @property
    def curvature(self) -> float:
        """1 / source_mm; 0 for parallel rays."""
        return 1.0 / self.source_mm if self.source_mm else 0.0

    @property
    def turn(self) -> float:
        """The angle that views are spread over, radians."""
        return 2.0 * math.pi if self.source_mm else math.pi

    def angles(self) -> np.ndarray:
        """Angle of each view, radians."""
        return np.arange(self.views) * (self.turn / self.views)

    def directions(self) -> torch.Tensor:
        """(cos, sin) of each view's angle, float32 `[view, 2]`."""
        angles = self.angles()
        return torch.from_numpy(np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)).to(device())

    def places(self) -> np.ndarray:
        """Where each detector stands, mm from the axis."""
        return (np.arange(self.detectors) - 0.5 * (self.detectors - 1)) * self.pitch_mm

    def obliquity(self) -> np.ndarray:
        """Cosine of each ray's angle to its view's central one."""
        return 1.0 / np.sqrt(1.0 + (self.places() * self.curvature) ** 2)

    def reach_mm(self) -> float:
        """Radius of the circle that every view sees all of."""
        t = 0.5 * (self.detectors - 1) * self.pitch_mm
        return t / math.sqrt(1.0 + (t * self.curvature) ** 2)
