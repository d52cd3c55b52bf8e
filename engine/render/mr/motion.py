"""Motion during the scan: a line that is encoded after the body has moved on leaves ghosts along the phase axis."""

from __future__ import annotations

import numpy as np


def encoding(count: int, lines: np.ndarray, shift: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """The Fourier transform along the phase axis of a body that moves, complex64 `[phase, voxel]`, unitary at rest.

    E[k, y] = exp(-2 pi i k (y + w(y) d(k)) / n) / sqrt(n): w is how far the voxel follows the motion d.

    Args:
        count: n, voxels along the axis.
        lines: frequencies k that are measured; other rows are 0.
        shift: d of each line, voxels.
        moving: w of each voxel, 0 to 1.
    """
    place = np.arange(count) + moving * shift[:, None]
    out = np.zeros((count, count), np.complex64)
    out[lines] = np.exp(-2j * np.pi * lines[:, None] * place / count) / np.sqrt(count)
    return out
