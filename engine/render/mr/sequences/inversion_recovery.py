"""Inversion recovery with spin echoes, 180 - TI - 90 - echo or train: FLAIR nulls fluid with it, STIR fat."""

from __future__ import annotations

import numpy as np

from engine.render.mr import flow
from engine.render.mr.sequence import Sequence, Timing, register
from engine.render.mr.sequences import fast_spin_echo
from engine.render.mr.spins import Spins


def signal(spins: Spins, timing: Timing) -> np.ndarray:
    """S = (1 - 2 exp(-TI / T1) + 2 exp(-(TR - TE/2) / T1) - exp(-TR / T1)) exp(-TE / T2), with ideal pulses.

    This is the steady state of a single echo (Bernstein, King and Zhou, Handbook of MRI Pulse Sequences (2004), section
    14.2); a train of several follows `fast_spin_echo`. TR runs from inversion to inversion. Negative where the tissue
    has not recovered through zero yet.
    """
    if timing.ti_ms is None:
        raise ValueError("inversion recovery needs an inversion time")
    if timing.echoes > 1:
        return fast_spin_echo.signal(spins, timing)
    tr, te, t1 = timing.tr_ms, timing.te_ms, spins.t1_ms
    recovered = 1.0 - 2.0 * np.exp(-timing.ti_ms / t1) + 2.0 * np.exp(-(tr - te / 2.0) / t1) - np.exp(-tr / t1)
    left = flow.echo(spins.speed, te / 2.0, spins.slice_mm)
    return (left * recovered * np.exp(-te / spins.t2_ms))[:, None]


def _register(name: str, tr_ms: float, te_ms: float, ti_ms: float, nulls: str | None) -> None:
    usual = Timing(tr_ms, te_ms, ti_ms, refocus_deg=180.0, echo_train=1, echo_spacing_ms=10.0)
    make = Sequence(name, signal, usual, orders=fast_spin_echo.orders, middle=fast_spin_echo.middle, nulls=nulls)
    register(make)


_register("flair", 9000.0, 120.0, 2500.0, nulls=None)
_register("stir", 4000.0, 40.0, 230.0, nulls="adipose")
