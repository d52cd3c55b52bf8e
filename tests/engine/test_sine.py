"""The sine of kernels against NumPy's."""

import numpy as np
import taichi as ti
import torch

from engine.device import kernel
from engine.sine import sine


@kernel
def _sample(out: ti.types.ndarray(ti.f32, ndim=1), x: ti.types.ndarray(ti.f32, ndim=1)):
    for i in out:
        out[i] = sine(x[i])


def test_equals_numpys():
    x = np.random.default_rng(0).uniform(-40, 40, 100_000).astype(np.float32)
    out = torch.empty(len(x))
    _sample(out, torch.from_numpy(x))
    error = np.abs(out.numpy() - np.sin(x.astype(float)))
    assert (error < 1e-6 + 1e-7 * np.abs(x)).all()
