"""Multi-scale Gaussian texture: white noise, smoothed at several scales and added."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage


def texture(shape: Sequence[int], rng: np.random.Generator, scales: Sequence[float] = (1.0, 3.0, 9.0)) -> np.ndarray:
    """A field of mean 0 and standard deviation 1 whose scales (pixels) weigh at random."""
    total = np.zeros(tuple(shape), np.float32)
    for scale, weight in zip(scales, rng.dirichlet(np.ones(len(scales))), strict=True):
        smooth = ndimage.gaussian_filter(rng.standard_normal(total.shape, np.float32), scale, mode="wrap")
        total += np.float32(weight) * smooth / max(float(smooth.std()), 1e-6)
    return (total - total.mean()) / max(float(total.std()), 1e-6)
