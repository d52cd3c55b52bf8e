"""Beam patterns of a focused aperture, by summing the waves of its parts (Huygens), side lobes included.

A line aperture of width D with weights w(a), focused at depth F, makes at depth r and lateral offset x the amplitude

    t(x) = | sum w(a) cos^1.5(theta(a)) exp(2 pi i / lambda (sqrt((x - a)^2 + r^2) - sqrt(a^2 + F^2))) |

and, focused at every depth as in receive, the cosine transform of the weights over sin(theta) / lambda, -6 dB wide at
0.6035 lambda / sin(theta_D), where theta_D is half the angle under which the point sees the aperture. cos^1.5 is the
obliquity of a line source, cos(theta) / sqrt(distance). An echo is the product of both.
"""

from __future__ import annotations

import math

import numpy as np

#: Points that the aperture is summed over: waves of neighbours differ by less than half a turn.
POINTS = 96


def window(kind: str, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Positions in (-1/2, 1/2) across an aperture and its weights there, which add up to 1."""
    a = (np.arange(points) + 0.5) / points - 0.5
    floor = {"rect": 1.0, "hamming": 0.54, "hann": 0.5}[kind]
    weight = floor + (1.0 - floor) * np.cos(2.0 * math.pi * a)
    return a, weight / weight.sum()


def fixed(
    aperture_mm: float, focus_mm: float, wave_mm: float, kind: str, range_mm: np.ndarray, lateral_mm: np.ndarray
) -> np.ndarray:
    """Amplitude of a beam of fixed focus at ranges `[n]` and lateral offsets `[n, m]`, one-way, `[n, m]`."""
    a, weight = window(kind)
    a = a * aperture_mm
    far = np.hypot(lateral_mm[..., None] - a, range_mm[:, None, None]) - np.hypot(a, focus_mm)
    turns = (far / wave_mm).astype(np.float64)
    angle = (2.0 * math.pi) * (turns - np.rint(turns)).astype(np.float32)
    heard = (weight * _obliquity(a, range_mm)).astype(np.float32)[..., None]
    return np.hypot((np.cos(angle) @ heard)[..., 0], (np.sin(angle) @ heard)[..., 0])


def dynamic(
    aperture_mm: np.ndarray, wave_mm: float, kind: str, range_mm: np.ndarray, lateral_mm: np.ndarray
) -> np.ndarray:
    """Signed amplitude, focused at every range, for an aperture `[n]` that grows with range: one-way, `[n, m]`."""
    a, weight = window(kind)
    a = aperture_mm[:, None] * a
    per_mm = 2.0 * math.pi / wave_mm * a / np.hypot(range_mm[:, None], a)
    angle = (lateral_mm[..., None] * per_mm[:, None, :]).astype(np.float32)
    heard = (weight * _obliquity(a, range_mm)).astype(np.float32)[..., None]
    return (np.cos(angle) @ heard)[..., 0]


def _obliquity(a: np.ndarray, range_mm: np.ndarray) -> np.ndarray:
    """What a part at `a` sends to the axis, cos(theta) / sqrt(distance) over that of the middle, `[n, points]`."""
    return (range_mm[:, None] / np.hypot(a, range_mm[:, None])) ** 1.5


def width(lateral_mm: np.ndarray, amplitude: np.ndarray) -> np.ndarray:
    """-6 dB full widths `[n]` of symmetric patterns `[n, m]` given from the axis outwards."""
    share = amplitude / amplitude.max(1, keepdims=True)
    m = share.shape[1]
    last = np.minimum(m - 1 - np.argmax(share[:, ::-1] >= 0.5, axis=1), m - 2)
    row = np.arange(len(share))
    inner, outer = share[row, last], share[row, last + 1]
    between = np.clip((inner - 0.5) / np.maximum(inner - outer, 1e-9), 0.0, 1.0)
    x = lateral_mm[row, last]
    return 2.0 * (x + between * (lateral_mm[row, last + 1] - x))
