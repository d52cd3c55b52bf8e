"""Blood that flows through the slice: voids in spin echoes, fresh magnetisation in gradient echoes.

A spin echo comes only from blood that meets both pulses. Laminar flow of the mean speed v has speeds spread evenly over
0 to 2 v, of which the share

    w = 1 - u / 2 for u < 1, else 1 / (2 u),    u = 2 v t / S

is still in a slice of thickness S a time t after its excitation (Bradley and Waluch 1985, Radiology 154:443). What is
left turns by gamma m1 times its speed between the crushers of the refocusing pulse, whose first moment is m1: over
speeds of the variance v^2 / 3 it keeps exp(-(gamma m1 v)^2 / 6).

In a gradient echo blood that has met n pulses since it entered, n = 0, 1, ..., has magnetisation M_n = 1 - (1 - M_(n-1)
cos a) E1 with M_0 = 1; a share v TR / S of the slice is of each n until all is (Haacke et al. 1999, Magnetic Resonance
Imaging: Physical Principles and Sequence Design, chapter 24).
"""

from __future__ import annotations

import numpy as np

#: Thickness of a slice where a protocol leaves it out, mm.
SLICE_MM = 5.0
#: First moment of the crushers around a refocusing pulse, T s^2/m: 20 mT/m for 2 ms, 4 ms apart. Assumed.
CRUSHER_T_S2_M = 0.02 * 0.002 * 0.004
#: rad/(s T).
GAMMA = 2.6752218744e8


def stays(speed_mm_s: np.ndarray, ms: np.ndarray | float, slice_mm: float) -> np.ndarray:
    """Share of laminar flow that is still in the slice after a time."""
    u = 2e-3 * speed_mm_s * ms / slice_mm
    return np.where(u < 1.0, 1.0 - 0.5 * u, 0.5 / np.maximum(u, 1.0))


def coherent(speed_mm_s: np.ndarray) -> np.ndarray:
    """What crushers leave of laminar flow's signal."""
    turn = GAMMA * CRUSHER_T_S2_M * 1e-3 * speed_mm_s
    return np.exp(-(turn**2) / 6.0)


def echo(speed_mm_s: np.ndarray, ms: np.ndarray | float, slice_mm: float) -> np.ndarray:
    """What is left of a spin echo, `ms` being the time from excitation to the refocusing pulse before it."""
    return stays(speed_mm_s, ms, slice_mm) * coherent(speed_mm_s)


def freshened(
    steady: np.ndarray, angle: float, e1: np.ndarray, tr_ms: float, speed_mm_s: np.ndarray, slice_mm: float
) -> np.ndarray:
    """Longitudinal magnetisation before a gradient echo's pulses, mean over the slice.

    M_n - steady falls by cos a E1 from pulse to pulse, and n runs to N = S / (v TR), the last in part.

    Args:
        steady: that of tissue at rest, (1 - E1) / (1 - E1 cos a).
        angle: flip angle, radians.
        e1: exp(-TR / T1).
    """
    pulses = slice_mm / np.maximum(1e-3 * speed_mm_s * tr_ms, 1e-9)
    keep = np.cos(angle) * e1
    whole = np.floor(pulses)
    power = np.sign(keep) ** whole * np.abs(keep) ** np.minimum(whole, 1e4)
    mean = ((1.0 - power) / (1.0 - keep) + (pulses - whole) * power) / pulses
    return steady + (1.0 - steady) * np.where(speed_mm_s > 0, mean, 0.0)
