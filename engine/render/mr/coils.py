"""Receive coils: loops around the body, and what parallel imaging with them costs."""

from __future__ import annotations

import math

import numpy as np
import torch

from engine.device import device
from engine.grid import Grid
from engine.render.serial import serial

#: Loops on one ring around the body.
RING = 8
#: Points along each axis that the noise of parallel imaging is worked out at; it is smooth.
COARSE = 20


class Coils:
    """Sensitivities of loops on rings around a grid, relative to their root sum of squares.

    A loop sees |s| = (1 + d^2 / a^2)^(-3/2) at the distance d from its middle (the field on a loop's axis), with the
    direction to it as its phase; a is 0.4 of the field of view. The sum of squares is 1 everywhere, as scanners
    normalise it; shading that remains is `bias`.
    """

    def __init__(self, grid: Grid, channels: int) -> None:
        self.channels = channels
        self._grid = grid
        x, y, z = (0.5 * edge for edge in grid.extent)
        rings = math.ceil(channels / RING)
        self._loops = []
        for k in range(channels):
            on_ring = len(range(k % rings, channels, rings))
            angle = 2.0 * math.pi * ((k // rings) + 0.5 * (k % rings)) / on_ring
            height = z * ((k % rings + 0.5) / rings * 2.0 - 1.0) if rings > 1 else 0.0
            self._loops.append((1.05 * x * math.sin(angle), -1.05 * y * math.cos(angle), height))
        self._reach = 0.8 * max(x, y)
        self._scale: torch.Tensor | None = None

    @serial()
    def sensitivity(self, channel: int) -> torch.Tensor:
        """Complex sensitivity of a channel, `[z, y, x]`."""
        axes = self._axes()
        if self._scale is None:
            power: torch.Tensor | float = 0.0
            for loop in self._loops:
                power = power + self._size(loop, *axes) ** 2
            self._scale = torch.as_tensor(power).rsqrt()
        size = self._size(self._loops[channel], *axes) * self._scale
        return torch.polar(size, self._phase(self._loops[channel], *axes).expand_as(size).contiguous())

    def noise(self, acceleration: int, phase_axis: int, share: float = 1.0) -> torch.Tensor:
        """How much parallel imaging raises the noise: sqrt(R) g, `[z, y, x]`, for SENSE with R-fold undersampling.

        g = sqrt([(S^H S)^-1]_ii [S^H S]_ii) of the sensitivities S at the R places that alias (Pruessmann et al. 1999,
        doi 10.1002/(SICI)1522-2594(199911)42:5<952::AID-MRM16>3.0.CO;2-S).

        Args:
            acceleration: R, at most the number of channels.
            phase_axis: 0 for x, 1 for y.
            share: of the grid's extent that the field of view covers along it.
        """
        counts = [min(n, COARSE) for n in self._grid.size]
        points = np.meshgrid(*(self._coarse(axis, n) for axis, n in enumerate(counts)), indexing="ij")
        folded = self._grid.extent[phase_axis] * share
        places = []
        for fold in range(acceleration):
            place = list(points)
            moved = place[phase_axis] + fold * folded / acceleration
            inside = np.abs(place[phase_axis]) <= 0.5 * folded + 1e-9
            wrapped = np.mod(moved + 0.5 * folded, folded) - 0.5 * folded
            place[phase_axis] = np.where(inside, wrapped if fold else moved, moved)
            places.append(self._all(*place))
        s = np.stack(places, axis=-1)  # [channel, x, y, z, place]
        product = np.einsum("c...i,c...j->...ij", s.conj(), s)
        inverse = np.linalg.inv(product + 1e-9 * np.eye(acceleration))
        g = np.sqrt(np.maximum(inverse[..., 0, 0].real * product[..., 0, 0].real, 1.0))
        coarse = torch.from_numpy(math.sqrt(acceleration) * g.transpose(2, 1, 0).astype(np.float32)).to(device())
        size = self._grid.shape
        return torch.nn.functional.interpolate(coarse[None, None], size=size, mode="trilinear", align_corners=True)[
            0, 0
        ]

    def _all(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Sensitivities at points, `[channel, ...]`."""
        places = [torch.from_numpy(a) for a in (x, y, z)]
        sizes = torch.stack([self._size(loop, *places) for loop in self._loops])
        sizes = sizes / sizes.square().sum(dim=0).sqrt()
        phases = torch.stack([self._phase(loop, *places) for loop in self._loops])
        return torch.polar(sizes, phases).numpy()

    def _size(
        self, loop: tuple[float, float, float], x: torch.Tensor, y: torch.Tensor, z: torch.Tensor
    ) -> torch.Tensor:
        a, b, c = loop
        return (1.0 + ((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / self._reach**2).pow(-1.5)

    def _phase(
        self, loop: tuple[float, float, float], x: torch.Tensor, y: torch.Tensor, z: torch.Tensor
    ) -> torch.Tensor:
        return torch.atan2(y - loop[1], x - loop[0]) + 0.0 * z

    def _coarse(self, axis: int, count: int) -> np.ndarray:
        last = 0.5 * (self._grid.size[axis] - 1) * self._grid.spacing[axis]
        return np.linspace(-last, last, count)

    def _axes(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Positions of voxels in mm from the grid's middle, ready to broadcast over `[z, y, x]`."""
        x, y, z = (
            torch.from_numpy(self._coarse(axis, n).astype(np.float32)).to(device())
            for axis, n in enumerate(self._grid.size)
        )
        return x.view(1, 1, -1), y.view(1, -1, 1), z.view(-1, 1, 1)
