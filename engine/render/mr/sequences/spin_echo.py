"""Spin echo, 90 - TE/2 - 180 - TE/2 - echo, in its three usual weightings."""

from __future__ import annotations

from math import exp

from engine.render.mr.sequence import Timing, register


def signal(t1_ms: float, t2_ms: float, pd: float, timing: Timing) -> float:
    """S = PD (1 - 2 exp(-(TR - TE/2) / T1) + exp(-TR / T1)) exp(-TE / T2) in the steady state, with ideal pulses.

    The term with TR - TE/2 is the longitudinal magnetisation that the 180 degree pulse inverts. Bernstein, King and
    Zhou, Handbook of MRI Pulse Sequences (2004), section 14.3.
    """
    tr, te = timing.tr_ms, timing.te_ms
    longitudinal = 1.0 - 2.0 * exp(-(tr - te / 2.0) / t1_ms) + exp(-tr / t1_ms)
    return pd * longitudinal * exp(-te / t2_ms)


register("t1w", signal, Timing(tr_ms=500.0, te_ms=10.0))
register("t2w", signal, Timing(tr_ms=4000.0, te_ms=90.0))
register("pd", signal, Timing(tr_ms=4000.0, te_ms=15.0))
