"""Heterogeneity within tissues: a reproducible random factor near 1 for every voxel.

Tissue is rough at every scale below its correlation length, so the variation is a Gaussian random field with
autocorrelation exp(-r / L) (Matern with smoothness 1/2; its power spectrum is 8 pi L^3 / (1 + (k L)^2)^2). Lengths are
in mm: a coarse voxel averages away what is finer than itself, and sees less variation.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch

from engine.grid import Grid
from engine.random import Stream
from engine.render.serial import serial
from engine.volume import Volume


@serial()
def heterogeneity(volume: Volume, deviations: Sequence[float], stream: Stream) -> torch.Tensor:
    """Factors 1 + sd * field, float32 `[z, y, x]`, never below 0.

    Args:
        deviations: relative standard deviation for each row of the volume's structures; the correlation length is the
            tissue's `texture_mm`, to the nearest half octave.
        stream: the field's randomness.
    """
    factor = torch.ones(volume.grid.shape, device=volume.top.device)
    lengths = [_half_octave(s.tissue.texture_mm) for s in volume.structures]
    wanted = sorted({length for length, sd in zip(lengths, deviations, strict=True) if sd > 0})
    if not wanted:
        return factor
    white = torch.fft.rfftn(stream.normal(volume.grid.shape))
    for length in wanted:
        share = volume.mix([sd if at == length else 0.0 for at, sd in zip(lengths, deviations, strict=True)])
        filtered = white * transfer(volume.grid, length).to(white.device)
        factor.addcmul_(share, carried(volume, torch.fft.irfftn(filtered, s=volume.grid.shape)))
    return factor.clamp_(min=0.0)


def carried(volume: Volume, field: torch.Tensor) -> torch.Tensor:
    """A field of phase 0 `[z, y, x]`, carried along with the tissue to the volume's phase.

    Each voxel takes the value of the nearest voxel to where its tissue was: interpolation would smooth the field, more
    in some phases than in others.
    """
    if volume.displacement is None:
        return field
    from_mm = torch.from_numpy(np.linalg.inv(volume.grid.axes).astype(np.float32)).to(field.device)
    steps = volume.displacement.to(field.device) @ from_mm.T
    index = []
    for axis, n in enumerate(field.shape):
        own = torch.arange(n, device=field.device).view([-1 if k == axis else 1 for k in range(3)])
        index.append((own + steps[..., 2 - axis].round().long()).clamp_(0, n - 1))
    return field[tuple(index)]


def _half_octave(length: float) -> float:
    return 2.0 ** (round(2.0 * math.log2(length)) / 2.0)


@functools.lru_cache(maxsize=8)
def transfer(grid: Grid, length: float) -> torch.Tensor:
    """Filter from white noise to the field, over `rfftn`'s frequencies, float32.

    Zero frequency is left out, so that a tissue that fills the grid keeps its mean.
    """
    nz, ny, nx = grid.shape
    dx, dy, dz = grid.spacing
    fz, fy, fx = np.fft.fftfreq(nz, dz)[:, None, None], np.fft.fftfreq(ny, dy)[:, None], np.fft.rfftfreq(nx, dx)
    k_squared = (2.0 * np.pi) ** 2 * (fz**2 + fy**2 + fx**2)
    amplitude = math.sqrt(8.0 * np.pi * length**3 / grid.voxel_volume) / (1.0 + k_squared * length**2)
    amplitude = amplitude * np.sinc(fz * dz) * np.sinc(fy * dy) * np.sinc(fx * dx)  # the average over a voxel
    amplitude[0, 0, 0] = 0.0
    return torch.from_numpy(amplitude.astype(np.float32))
