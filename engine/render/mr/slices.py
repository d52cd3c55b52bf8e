"""Slices: how much of each plane of the grid a selective pulse of finite length picks."""

from __future__ import annotations

import numpy as np
from scipy.special import erf

#: Width of an edge from 10 to 90 % relative to the thickness, of a 90 degree Hann-windowed sinc of four zero crossings
#: (time-bandwidth product 4) by the Bloch equations; a Shinnar-Le Roux pulse of that length would have 0.25.
EDGE = 0.36
_ERF_10_90 = 1.8124  # distance between 10 and 90 % of (1 + erf(x)) / 2


def profile(distance_mm: np.ndarray, slice_mm: float) -> np.ndarray:
    """Share of the signal at a distance from the slice's middle; full width at half maximum `slice_mm`.

    (erf((z + T/2) / s) - erf((z - T/2) / s)) / 2, the shape of a box smoothed by the pulse's finite length.
    """
    s = EDGE * slice_mm / _ERF_10_90
    return 0.5 * (erf((distance_mm + 0.5 * slice_mm) / s) - erf((distance_mm - 0.5 * slice_mm) / s))


def weights(planes: int, spacing_mm: float, slice_mm: float, gap_mm: float | None) -> np.ndarray:
    """What each plane of the image takes from each plane of the volume, `[image, volume]`, rows adding up to 1.

    Without a gap (None) every plane of the image is a slice of its own, overlapping its neighbours where `slice_mm` is
    more than the spacing. With one, slices lie slice + gap apart, centred on the grid, and a plane shows the nearest.
    """
    z = spacing_mm * (np.arange(planes) - 0.5 * (planes - 1))
    centre = z
    if gap_mm is not None:
        pitch = slice_mm + gap_mm
        count = max(1, round(planes * spacing_mm / pitch))
        centres = pitch * (np.arange(count) - 0.5 * (count - 1))
        centre = centres[np.abs(z[:, None] - centres[None, :]).argmin(axis=1)]
    within = np.linspace(-0.5, 0.5, 9)[1::2] * spacing_mm  # the profile's mean over a plane's thickness
    table = profile(z[None, :, None] + within - centre[:, None, None], slice_mm).mean(axis=-1)
    return table / table.sum(axis=1, keepdims=True)
