"""Fast spin echo: a train of echoes after each excitation, each one line of k-space; the middle line's time is TE."""

from __future__ import annotations

import numpy as np

from engine.render.mr import flow, train
from engine.render.mr.sequence import Order, Sequence, Timing, register
from engine.render.mr.spins import Spins


def prepared(spins: Spins, timing: Timing) -> np.ndarray:
    """Longitudinal magnetisation before the 90 degree pulse in the steady state, `[tissue]`.

    What the train leaves over recovers for the rest of TR; with an inversion pulse it first recovers for
    TR - TI - train, is inverted and recovers for TI.
    """
    left = train.left_over(spins.t1_ms, spins.t2_ms, refocusing(timing), timing.echoes, spacing(timing))
    length = timing.echoes * spacing(timing)
    inversion = timing.ti_ms or 0.0
    rested = 1.0 - (1.0 - left) * np.exp(-(timing.tr_ms - inversion - length) / spins.t1_ms)
    return rested if timing.ti_ms is None else 1.0 - (1.0 + rested) * np.exp(-timing.ti_ms / spins.t1_ms)


def signal(spins: Spins, timing: Timing) -> np.ndarray:
    """The train's echoes by extended phase graphs (`engine.render.mr.train`), after perfect spoiling between trains.

    Flowing blood loses what `flow.echo` says by the refocusing pulse before each.
    """
    amplitudes = train.echoes(spins.t1_ms, spins.t2_ms, refocusing(timing), timing.echoes, spacing(timing))
    refocused_ms = spacing(timing) * (np.arange(timing.echoes) + 0.5)
    return prepared(spins, timing)[:, None] * amplitudes * flow.echo(spins.speed[:, None], refocused_ms, spins.slice_mm)


def spacing(timing: Timing) -> float:
    """Echo spacing, ms; a single echo comes at TE."""
    return timing.te_ms if timing.echoes == 1 or timing.echo_spacing_ms is None else timing.echo_spacing_ms


def refocusing(timing: Timing) -> float:
    """Angle of the refocusing pulses, degrees."""
    return 180.0 if timing.refocus_deg is None else timing.refocus_deg


def middle(timing: Timing) -> int:
    """The echo (from 0) nearest to the echo time asked for."""
    return round(timing.te_ms / spacing(timing)) - 1


def orders(timing: Timing) -> list[Order]:
    """The train must fit into TR and the echo time into the train."""
    length, step = timing.echoes * spacing(timing), spacing(timing)
    name = "te_ms" if timing.echoes == 1 else "echo_train x echo_spacing_ms"
    busy = (name, length) if timing.ti_ms is None else (f"ti_ms + {name}", timing.ti_ms + length)
    return [
        ("half of echo_spacing_ms", 0.5 * step, "te_ms", timing.te_ms),
        ("te_ms", timing.te_ms, "the end of the echo train", length + 0.5 * step),
        (*busy, "tr_ms", timing.tr_ms),
    ]


usual = Timing(tr_ms=4000.0, te_ms=90.0, refocus_deg=150.0, echo_train=16, echo_spacing_ms=10.0)
register(Sequence("fse", signal, usual, orders=orders, middle=middle))
