"""The smooth shading that a receive coil leaves on an image."""

from __future__ import annotations

import numpy as np
import torch

from engine.device import device
from engine.grid import Grid
from engine.random import Stream
from engine.render.serial import serial

#: Highest total degree of the polynomials.
DEGREE = 3


@serial()
def shading(grid: Grid, amplitude: float, stream: Stream) -> torch.Tensor:
    """Factors 1 + amplitude * p(x, y, z), float32 `[z, y, x]`, with a random polynomial p whose largest size is 1.

    p is a sum of products of Legendre polynomials of total degree 1 to 3 over the grid, with normal coefficients that
    fall with the degree (the model that bias-field correction usually assumes; Van Leemput et al. 1999, doi
    10.1109/42.811268).
    """
    rng = stream.generator()
    degree = np.add.outer(np.add.outer(np.arange(DEGREE + 1), np.arange(DEGREE + 1)), np.arange(DEGREE + 1))
    weights = np.where(
        (degree >= 1) & (degree <= DEGREE), rng.standard_normal(degree.shape) / np.maximum(degree, 1), 0.0
    )
    z, y, x = (np.polynomial.legendre.legvander(_unit_axis(n), DEGREE) for n in grid.shape)
    plane = np.einsum("zi,yj,ijk->zyk", z, y, weights)
    field = _on_device(plane) @ _on_device(x.T)
    largest = float(field.abs().max())
    return field.mul_(amplitude / largest if largest > 0 else 0.0).add_(1.0)


def _on_device(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(device())


def _unit_axis(count: int) -> np.ndarray:
    """Positions of `count` voxels in [-1, 1]."""
    return np.linspace(-1.0, 1.0, count) if count > 1 else np.zeros(1)
