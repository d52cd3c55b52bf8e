"""Tables of two variables as short sums of products.

Exponentials and phases that vary over both tissue (or field) and k-space are smooth: a few products carry them, and
each costs one Fourier transform instead of one for every tissue.
"""

from __future__ import annotations

import numpy as np

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
    left, sizes, right = np.linalg.svd(table, full_matrices=False)
    pairs, rest = [], table.astype(complex)
    for a, size, b in zip(left.T, sizes, right, strict=True):
        if np.abs(rest).max() < TOLERANCE * largest:
            break
        pairs.append((a * size, b))
        rest = rest - np.outer(a * size, b)
    return pairs
