"""Inversion recovery with a spin-echo readout, 180 - TI - 90 - TE/2 - 180 - TE/2 - echo; FLAIR nulls fluid with it."""

from __future__ import annotations

from math import exp

from engine.render.mr.sequence import Timing, register


def signal(t1_ms: float, t2_ms: float, pd: float, timing: Timing) -> float:
    """S = PD (1 - 2 exp(-TI / T1) + 2 exp(-(TR - TE/2) / T1) - exp(-TR / T1)) exp(-TE / T2), with ideal pulses.

    This is the steady state. TR runs from inversion to inversion. Negative where the tissue has not recovered through
    zero yet. Bernstein, King and Zhou, Handbook of MRI Pulse Sequences (2004), section 14.2.
    """
    if timing.ti_ms is None:
        raise ValueError("inversion recovery needs an inversion time")
    tr, te, ti = timing.tr_ms, timing.te_ms, timing.ti_ms
    recovered = 1.0 - 2.0 * exp(-ti / t1_ms) + 2.0 * exp(-(tr - te / 2.0) / t1_ms) - exp(-tr / t1_ms)
    return pd * recovered * exp(-te / t2_ms)


register("flair", signal, Timing(tr_ms=9000.0, te_ms=120.0, ti_ms=2500.0))
