"""How steep a sampled distance is."""

import numpy as np


def steepest(values: np.ndarray, step: float) -> float:
    """The largest slope of the trilinear interpolant of `values`."""
    square = np.zeros(values.shape, np.float32)
    for axis in range(3):
        rise = np.abs(np.diff(values, axis=axis))
        none = [(int(a == axis), 0) for a in range(3)]
        after = np.pad(rise, [(0, before) for before, _ in none])
        square += np.maximum(after, np.pad(rise, none)) ** 2
    return float(np.sqrt(square.max())) / step
