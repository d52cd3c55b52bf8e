"""Random closed shapes in the plane, as distances: what both generators grow their structures from."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_WAVES = 6


def outline(size: int, rng: np.random.Generator, radius: tuple[float, float] = (0.06, 0.3)) -> np.ndarray:
    """Signed distance (pixels, negative inside) `[size, size]` of a random shape, not empty.

    A star shape r(phi) = R (1 + sum_k c_k cos(k phi + p_k)), c_k falling with k, stretched and turned; a third of them
    lose a bite, which makes them concave.

    Args:
        radius: least and largest R, as shares of `size`.
    """
    while True:
        mask = _star(size, rng, radius)
        if rng.random() < 1 / 3:
            mask &= ~_star(size, rng, (0.5 * radius[0], 0.5 * radius[1]))
        if mask.any() and not mask.all():
            return ndimage.distance_transform_edt(~mask) - ndimage.distance_transform_edt(mask)


def _star(size: int, rng: np.random.Generator, radius: tuple[float, float]) -> np.ndarray:
    large = size * float(np.exp(rng.uniform(*np.log(radius))))
    row, column = rng.uniform(0.2, 0.8, 2) * size
    y, x = np.mgrid[:size, :size] + 0.5
    turn, stretch = rng.uniform(0.0, np.pi), float(np.exp(rng.uniform(-0.6, 0.6)))
    u = (np.cos(turn) * (x - column) + np.sin(turn) * (y - row)) * stretch
    v = (np.cos(turn) * (y - row) - np.sin(turn) * (x - column)) / stretch
    phi, rough = np.arctan2(v, u), rng.uniform(0.0, 0.35)
    reach = np.ones_like(phi)
    for k in range(2, 2 + _WAVES):
        reach += rough * rng.normal() / k * np.cos(k * phi + rng.uniform(0.0, 2.0 * np.pi))
    return np.hypot(u, v) < large * np.maximum(reach, 0.15)
