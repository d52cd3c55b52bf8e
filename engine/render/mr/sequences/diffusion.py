"""Diffusion weighting: a spin echo between two strong gradients (Stejskal and Tanner 1965, doi 10.1063/1.1695690)."""

from __future__ import annotations

import numpy as np

from engine.render.mr.sequence import Order, Sequence, Timing, echo_before_repetition, register
from engine.render.mr.sequences import spin_echo
from engine.render.mr.spins import Spins

#: Strongest gradient of a clinical scanner, T/m, and gamma, rad/(s T).
GRADIENT_T_M = 0.08
GAMMA = 2.6752218744e8


def signal(spins: Spins, timing: Timing) -> np.ndarray:
    """A spin echo times exp(-b D); b in s/mm^2 is 1e-3 ms/um^2."""
    return spin_echo.signal(spins, timing) * np.exp(-1e-3 * (timing.b_s_mm2 or 0.0) * spins.diffusion_um2_ms)[:, None]


def shortest_te_ms(b_s_mm2: float) -> float:
    """Echo time that gradients of 80 mT/m need at least: b = (gamma G d)^2 2 d / 3 with two lobes of d = TE/2."""
    return 2e3 * (1.5e6 * b_s_mm2 / (GAMMA * GRADIENT_T_M) ** 2) ** (1.0 / 3.0)


def orders(timing: Timing) -> list[Order]:
    """The echo must fit into TR and the gradients into TE."""
    needed = shortest_te_ms(timing.b_s_mm2 or 0.0)
    return [*echo_before_repetition(timing), ("what b_s_mm2 needs at 80 mT/m", needed, "te_ms", timing.te_ms)]


register(Sequence("dwi", signal, Timing(tr_ms=5000.0, te_ms=75.0, b_s_mm2=800.0), orders=orders, fat_saturation=1.0))
