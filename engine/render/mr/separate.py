"""Tables of two variables as short sums of products.

Exponentials and phases that vary over both tissue (or field) and k-space are smooth: a few products carry them, and
each costs one Fourier transform instead of one for every tissue.
"""

from __future__ import annotations

import numpy as np
import torch

from engine.render.serial import serial

#: Largest error, relative to the table's largest value.
TOLERANCE = 1e-4


def separate(table: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs (a, b) with the sum of a[i] b[j] equal to the complex `table[i, j]` within TOLERANCE; none where it is 0.

    The factor a of a table that does not depend on j is the table itself, and b is 1.
    """
    largest = np.abs(table).max(initial=0.0)
    if largest == 0:
        return []
    if np.ptp(table.real, axis=1).max() + np.ptp(table.imag, axis=1).max() < 1e-9 * largest:
        return [(table[:, 0], np.ones(table.shape[1]))]
    pairs, rest = [], table.astype(complex)
    for a, b in _by_size(rest):
        if np.abs(rest).max() < TOLERANCE * largest:
            break
        pairs.append((a, b))
        rest = rest - np.outer(a, b)
    return pairs


@serial()
def _by_size(table: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The products of the singular value decomposition, largest first, from the smaller of its two Gram matrices."""
    if table.shape[0] < table.shape[1]:
        return [(a, b) for b, a in _by_size(np.ascontiguousarray(table.T))]
    values = torch.from_numpy(table)
    vectors = torch.linalg.eigh(values.mH @ values).eigenvectors.flip(1)
    along = values @ vectors
    return [(a, b) for a, b in zip(along.T.numpy(), vectors.mH.resolve_conj().numpy(), strict=True)]
