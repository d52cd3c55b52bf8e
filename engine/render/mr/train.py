"""A train of refocused echoes, by extended phase graphs.

States are F+, F- (conjugate) and Z of order 0, 1, ...; a refocusing pulse mixes the three of one order, and half an
echo spacing of gradient and relaxation on either side of it moves F by one order. Hennig 1988, J Magn Reson 78:397;
Weigel 2015, doi 10.1002/jmri.24619.

Pulses turn about the axis that the excited magnetisation lies along (CPMG), so there are two systems that never meet:
what was excited, which has real F, imaginary Z and makes the echoes; and what recovers meanwhile, which has real Z and
imaginary F and is what the next excitation finds.
"""

from __future__ import annotations

from math import cos, radians, sin

import numpy as np


def echoes(t1_ms: np.ndarray, t2_ms: np.ndarray, refocus_deg: float, count: int, spacing_ms: float) -> np.ndarray:
    """Amplitudes of the echoes after a 90 degree pulse on unit magnetisation, `[tissue, echo]`."""
    graph = _Graph(t1_ms, t2_ms, refocus_deg, count, spacing_ms, sign=1.0)
    graph.plus[:, 0] = 1.0
    amplitudes = np.empty((len(t1_ms), count))
    for echo in range(count):
        graph.advance()
        amplitudes[:, echo] = graph.plus[:, 0]
    return amplitudes


def left_over(t1_ms: np.ndarray, t2_ms: np.ndarray, refocus_deg: float, count: int, spacing_ms: float) -> np.ndarray:
    """Longitudinal magnetisation of unit equilibrium at the end of the train, whatever was excited, `[tissue]`."""
    graph = _Graph(t1_ms, t2_ms, refocus_deg, count, spacing_ms, sign=-1.0)
    for _ in range(count):
        graph.advance()
    return graph.z[:, 0]


class _Graph:
    """One of the two systems: `sign` is 1 where F is real, -1 where Z is real and recovers."""

    def __init__(
        self, t1_ms: np.ndarray, t2_ms: np.ndarray, refocus_deg: float, count: int, spacing_ms: float, sign: float
    ) -> None:
        orders = count + 2  # higher ones cannot come back to an echo within the train
        self.plus, self.minus, self.z = (np.zeros((len(t1_ms), orders)) for _ in range(3))
        self._e1 = np.exp(-0.5 * spacing_ms / t1_ms)[:, None]
        self._e2 = np.exp(-0.5 * spacing_ms / t2_ms)[:, None]
        self._cos, self._sin = cos(radians(refocus_deg)), sign * sin(radians(refocus_deg))
        self._sign = sign

    def advance(self) -> None:
        """From one echo to the next."""
        self._half_a_spacing()
        plus, minus, z, c, s = self.plus, self.minus, self.z, self._cos, self._sin
        self.plus = 0.5 * (1 + c) * plus + 0.5 * (1 - c) * minus + s * z
        self.minus = 0.5 * (1 - c) * plus + 0.5 * (1 + c) * minus - s * z
        self.z = 0.5 * s * (minus - plus) + c * z
        self._half_a_spacing()

    def _half_a_spacing(self) -> None:
        self.z *= self._e1
        if self._sign < 0:
            self.z[:, 0] += 1.0 - self._e1[:, 0]
        self.plus[:, 1:] = self.plus[:, :-1].copy()
        self.minus[:, :-1] = self.minus[:, 1:].copy()
        self.minus[:, -1] = 0.0
        self.plus[:, 0] = self._sign * self.minus[:, 0]
        self.plus *= self._e2
        self.minus *= self._e2
