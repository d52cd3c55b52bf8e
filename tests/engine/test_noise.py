"""OpenSimplex noise against the package."""

import numpy as np
import pytest
import taichi as ti
import torch
from opensimplex import OpenSimplex

from engine.device import kernel
from engine.noise import PEAK, SLOPE, noise, permutation


@kernel
def _sample(
    out: ti.types.ndarray(ti.f32, ndim=1), p: ti.types.ndarray(ti.f32, ndim=2), table: ti.types.ndarray(ti.f32, ndim=1)
):
    for i in out:
        out[i] = noise(table, 0, ti.math.vec3(p[i, 0], p[i, 1], p[i, 2]))


def sample(points: np.ndarray, seed: int) -> np.ndarray:
    out = torch.empty(len(points))
    _sample(out, torch.from_numpy(points.astype(np.float32)), torch.from_numpy(permutation(seed)))
    return out.numpy()


@pytest.mark.parametrize("seed", [0, 3, 12345, -7])
def test_equals_the_package(seed):
    points = np.random.default_rng(seed & 0xFF).uniform(-20, 20, (3000, 3)).astype(np.float32)
    reference = OpenSimplex(seed)
    expected = [reference.noise3(*map(float, p)) for p in points]
    assert np.abs(sample(points, seed) - expected).max() < 1e-5


def test_slope_and_peak_are_bounds():
    points = np.random.default_rng(1).uniform(0, 200, (200_000, 3)).astype(np.float32)
    step, slope = 1e-2, 0.0
    here = sample(points, 9)
    for axis in range(3):
        moved = points.copy()
        moved[:, axis] += step
        slope = slope + ((sample(moved, 9) - here) / step) ** 2
    assert np.sqrt(slope).max() < SLOPE
    assert np.abs(here).max() < PEAK
