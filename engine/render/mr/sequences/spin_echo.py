"""Spin echo, 90 - TE/2 - 180 - TE/2 - echo, in its three usual weightings."""

from __future__ import annotations

import numpy as np

from engine.render.mr import flow
from engine.render.mr.sequence import Sequence, Timing, register
from engine.render.mr.spins import Spins


def signal(spins: Spins, timing: Timing) -> np.ndarray:
    """S = (1 - 2 exp(-(TR - TE/2) / T1) + exp(-TR / T1)) exp(-TE / T2) in the steady state, with ideal pulses.

    The term with TR - TE/2 is the longitudinal magnetisation that the 180 degree pulse inverts. Bernstein, King and
    Zhou, Handbook of MRI Pulse Sequences (2004), section 14.3. Flowing blood loses what `flow.echo` says.
    """
    tr, te = timing.tr_ms, timing.te_ms
    longitudinal = 1.0 - 2.0 * np.exp(-(tr - te / 2.0) / spins.t1_ms) + np.exp(-tr / spins.t1_ms)
    left = flow.echo(spins.speed, te / 2.0, spins.slice_mm)
    return (left * longitudinal * np.exp(-te / spins.t2_ms))[:, None]


register(Sequence("t1w", signal, Timing(tr_ms=500.0, te_ms=10.0)))
register(Sequence("t2w", signal, Timing(tr_ms=4000.0, te_ms=90.0)))
register(Sequence("pd", signal, Timing(tr_ms=4000.0, te_ms=15.0)))
