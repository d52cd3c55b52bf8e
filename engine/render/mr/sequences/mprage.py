"""Inversion, then a train of spoiled gradient echoes, each one line of k-space (MPRAGE)."""

from __future__ import annotations

import numpy as np

from engine.render.mr.sequence import Order, Sequence, Timing, register
from engine.render.mr.sequences.gradient_echo import decay
from engine.render.mr.spins import Spins


def signal(spins: Spins, timing: Timing) -> np.ndarray:
    """Longitudinal magnetisation before each pulse, times sin a exp(-TE / T2* + 2 pi i f TE).

    From pulse to pulse M becomes 1 - (1 - M cos a) exp(-spacing / T1); from the inversion to the first pulse and from
    the last to the next inversion it recovers freely. Every step is a + b M, so the steady state follows from one
    cycle. Mugler and Brookeman 1990, doi 10.1002/mrm.1910150117.
    """
    angle, count = timing.flip, timing.echoes
    before, after = _gaps(timing)
    wait, step, rest = (np.exp(-ms / spins.t1_ms) for ms in (before, timing.spacing_ms, after))
    constant, slope = (
        np.zeros_like(wait),
        np.ones_like(wait),
    )  # magnetisation = constant + slope x (that before inversion)
    constant, slope = 1.0 - (1.0 + constant) * wait, -slope * wait
    seen = []
    for _ in range(count):
        seen.append((constant, slope))
        constant, slope = 1.0 - (1.0 - constant * np.cos(angle)) * step, slope * np.cos(angle) * step
    steady = (1.0 - (1.0 - constant) * rest) / (1.0 - slope * rest)
    longitudinal = np.stack([a + b * steady for a, b in seen], axis=1)
    return np.sin(angle) * longitudinal * decay(spins, timing.te_ms)[:, None]


def middle(timing: Timing) -> int:
    """The pulse that TI runs to."""
    return timing.echoes // 2


def _gaps(timing: Timing) -> tuple[float, float]:
    """Free recovery before the first pulse and after the last one's repetition, ms."""
    before = (timing.ti_ms or 0.0) - middle(timing) * timing.spacing_ms
    return before, timing.tr_ms - before - timing.train_ms


def orders(timing: Timing) -> list[Order]:
    """The first half of the train must fit into TI, all of it into TR, and an echo into the spacing."""
    half = middle(timing) * timing.spacing_ms
    return [
        ("te_ms", timing.te_ms, "echo_spacing_ms", timing.spacing_ms),
        ("the first half of the echo train", half, "ti_ms", timing.ti_ms or 0.0),
        (
            "ti_ms + the second half of the echo train",
            (timing.ti_ms or 0.0) + timing.train_ms - half,
            "tr_ms",
            timing.tr_ms,
        ),
    ]


usual = Timing(2300.0, 3.0, 900.0, flip_deg=9.0, echo_train=176, echo_spacing_ms=7.0)
register(Sequence("mprage", signal, usual, refocused=False, orders=orders, middle=middle))
