"""Spoiled gradient echo, angle - TE - echo, with weighting by T1 (`spgr`) or by T2* (`t2star`)."""

from __future__ import annotations

import numpy as np

from engine.render.mr import flow
from engine.render.mr.sequence import Sequence, Timing, register
from engine.render.mr.spins import Spins


def signal(spins: Spins, timing: Timing) -> np.ndarray:
    """S = sin a (1 - E1) / (1 - E1 cos a) exp(-TE / T2* + 2 pi i f TE) with E1 = exp(-TR / T1).

    Flowing blood comes in fresh, see `flow.freshened`.

    The steady state with no transverse magnetisation left from repetition to repetition; RF spoiling comes within 4 %
    of that in tissue, not in fluid. Ernst and Anderson 1966, doi 10.1063/1.1719961.
    """
    angle = timing.flip
    e1 = np.exp(-timing.tr_ms / spins.t1_ms)
    steady = (1.0 - e1) / (1.0 - e1 * np.cos(angle))
    longitudinal = flow.freshened(steady, angle, e1, timing.tr_ms, spins.speed, spins.slice_mm)
    return (np.sin(angle) * longitudinal * decay(spins, timing.te_ms))[:, None]


def decay(spins: Spins, te_ms: float) -> np.ndarray:
    """What is left of unit transverse magnetisation at the echo: exp(-TE / T2* + 2 pi i f TE)."""
    return np.exp(-te_ms / spins.t2star_ms + 2e-3j * np.pi * spins.off_hz * te_ms)


register(Sequence("spgr", signal, Timing(tr_ms=120.0, te_ms=4.6, flip_deg=70.0), refocused=False))
register(Sequence("t2star", signal, Timing(tr_ms=600.0, te_ms=20.0, flip_deg=20.0), refocused=False))
