"""What a pulse sequence is, and the table of those that exist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from math import radians

import numpy as np

from engine.render.mr.spins import Spins


@dataclass(frozen=True)
class Timing:
    """When things happen and how strong the pulses are; None where a sequence has no such thing.

    Args:
        tr_ms, te_ms, ti_ms: repetition, echo and inversion time. The echo time of a train is that of the echo in the
            middle of k-space, the inversion time of a train of gradient echoes runs to its middle pulse.
        flip_deg: excitation angle; None is 90 degrees.
        refocus_deg: angle of the refocusing pulses.
        echo_train: echoes after each excitation (or inversion), one line of k-space each.
        echo_spacing_ms: from one to the next.
        b_s_mm2: diffusion weighting, s/mm^2.
    """

    tr_ms: float
    te_ms: float
    ti_ms: float | None = None
    flip_deg: float | None = None
    refocus_deg: float | None = None
    echo_train: int | None = None
    echo_spacing_ms: float | None = None
    b_s_mm2: float | None = None

    def with_changes(self, given: dict[str, float | int | None]) -> Timing:
        """This timing with the values that are not None."""
        return replace(self, **{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]

    @property
    def echoes(self) -> int:
        """Echoes of a train, 1 where there is none."""
        return self.echo_train or 1

    @property
    def spacing_ms(self) -> float:
        """Between the echoes of a train, 0 where there is none."""
        return self.echo_spacing_ms or 0.0

    @property
    def train_ms(self) -> float:
        """How long a train takes."""
        return self.echoes * self.spacing_ms

    @property
    def flip(self) -> float:
        """Excitation angle in radians."""
        return radians(90.0 if self.flip_deg is None else self.flip_deg)


#: Names of what a timing consists of, in order.
TIMES = tuple(field.name for field in fields(Timing))
#: Transverse magnetisation at each echo, complex `[tissue, echo]`, relative to equilibrium's.
Signal = Callable[[Spins, Timing], np.ndarray]
#: What must come before what: (name, ms, name of the longer one, ms).
Order = tuple[str, float, str, float]


def echo_before_repetition(timing: Timing) -> list[Order]:
    """A single echo: it (and the inversion) must fit into the repetition time."""
    if timing.ti_ms is None:
        return [("te_ms", timing.te_ms, "tr_ms", timing.tr_ms)]
    return [("ti_ms + te_ms", timing.ti_ms + timing.te_ms, "tr_ms", timing.tr_ms)]


@dataclass(frozen=True)
class Sequence:
    """A signal equation with the timing that gives it its usual contrast.

    Args:
        name: as protocols write it.
        signal: the equation.
        timing: what is used where a protocol leaves times out; those that are None do not exist here.
        refocused: whether differences of resonance within a voxel leave no mark: spin echoes and bSSFP.
        orders: what must come before what.
        middle: the echo (from 0) that is taken in the middle of k-space.
        nulls: tissue whose signal the usual inversion time nulls, instead of that of `timing`.
        fat_saturation: share of fat's signal that is usually taken away.
    """

    name: str
    signal: Signal
    timing: Timing
    refocused: bool = True
    orders: Callable[[Timing], list[Order]] = echo_before_repetition
    middle: Callable[[Timing], int] = lambda timing: 0
    nulls: str | None = None
    fat_saturation: float = 0.0


SEQUENCES: dict[str, Sequence] = {}


def register(sequence: Sequence) -> None:
    """Make a sequence known to protocols by its name."""
    if sequence.name in SEQUENCES:
        raise ValueError(f"sequence '{sequence.name}' is registered twice")
    SEQUENCES[sequence.name] = sequence
