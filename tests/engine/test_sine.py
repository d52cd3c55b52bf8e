"""The sine of kernels against NumPy's."""

import numpy as np
import taichi as ti
import torch

from engine.device import kernel
from engine.sine import cosine, sine


@kernel
def _sample(out: ti.types.ndarray(ti.f32, ndim=2), x: ti.types.ndarray(ti.f32, ndim=1)):
    for i in x:
        out[0, i] = sine(x[i])
        out[1, i] = cosine(x[i])


def test_equal_numpys():
    x = np.random.default_rng(0).uniform(-40, 40, 100_000).astype(np.float32)
    out = torch.empty(2, len(x))
    _sample(out, torch.from_numpy(x))
    error = np.abs(out.numpy() - [np.sin(x.astype(float)), np.cos(x.astype(float))])
    assert (error < 1e-6 + 2e-7 * np.abs(x)).all()
