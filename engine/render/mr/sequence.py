"""What a pulse sequence is, and the table of those that exist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.tissue import Tissue


@dataclass(frozen=True)
class Timing:
    """When things happen, ms: repetition time, echo time, inversion time (None without an inversion pulse)."""

    tr_ms: float
    te_ms: float
    ti_ms: float | None = None


#: Transverse magnetisation at the echo, relative to water's proton density and signed, of (t1_ms, t2_ms, pd, timing).
Signal = Callable[[float, float, float, Timing], float]


@dataclass(frozen=True)
class Sequence:
    """A signal equation with the timing that gives it its usual contrast.

    Args:
        name: as protocols write it.
        signal: the equation.
        timing: what is used where a protocol leaves times out; `ti_ms` says whether there is an inversion pulse.
    """

    name: str
    signal: Signal
    timing: Timing

    def of(self, tissue: Tissue, field_t: float, timing: Timing) -> float:
        """The signal of a tissue at a field strength in tesla."""
        return self.signal(tissue.t1_ms[field_t], tissue.t2_ms[field_t], tissue.pd, timing)


SEQUENCES: dict[str, Sequence] = {}


def register(name: str, signal: Signal, timing: Timing) -> None:
    """Make a sequence known to protocols as `name`."""
    if name in SEQUENCES:
        raise ValueError(f"sequence '{name}' is registered twice")
    SEQUENCES[name] = Sequence(name, signal, timing)
