"""Balanced steady-state free precession: all gradients rewound, pulses of alternating sign."""

from __future__ import annotations

import numpy as np

from engine.render.mr.sequence import Sequence, Timing, register
from engine.render.mr.spins import Spins


def signal(spins: Spins, timing: Timing) -> np.ndarray:
    """S = sin a (1 - E1) (1 - E2 exp(-i p)) / (C cos p + D) exp(-TE / T2 + i (p - pi) TE / TR), p = 2 pi f TR + pi.

    C = E2 (E1 - 1) (1 + cos a), D = 1 - E1 cos a - (E1 - cos a) E2^2. Dark bands lie where f TR is odd halves.
    Freeman and Hill 1971, doi 10.1016/0022-2364(71)90066-1; Hargreaves et al. 2001, doi 10.1002/mrm.1170.
    """
    angle, tr, te = timing.flip, timing.tr_ms, timing.te_ms
    e1, e2 = np.exp(-tr / spins.t1_ms), np.exp(-tr / spins.t2_ms)
    turn = 2e-3 * np.pi * spins.off_hz * tr + np.pi
    c = e2 * (e1 - 1.0) * (1.0 + np.cos(angle))
    d = 1.0 - e1 * np.cos(angle) - (e1 - np.cos(angle)) * e2**2
    after_pulse = np.sin(angle) * (1.0 - e1) * (1.0 - e2 * np.exp(-1j * turn)) / (c * np.cos(turn) + d)
    return (after_pulse * np.exp(-te / spins.t2_ms + 2e-3j * np.pi * spins.off_hz * te))[:, None]


register(Sequence("bssfp", signal, Timing(tr_ms=4.0, te_ms=2.0, flip_deg=50.0)))
