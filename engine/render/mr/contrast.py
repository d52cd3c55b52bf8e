"""The signal of each tissue in a sequence: water and fat, scaled to the table's brightest."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from engine.render.mr.flow import SLICE_MM
from engine.render.mr.sequence import Sequence, Timing
from engine.render.mr.spins import FAT_PPM, HZ_T_PPM, Spins
from engine.tissue import Tissue, load_table

#: The brightest tissue of the table has this signal, whatever the sequence.
BRIGHTEST = 1000.0
Part = Literal["water", "fat"]


@dataclass(frozen=True)
class Contrast:
    """A sequence with its timing, at a field strength in tesla; `fat_saturation` takes away that share of fat's signal,
    and blood flows through slices of `slice_mm`.

    Fat and water of one tissue relax alike, with the tissue's times.
    """

    sequence: Sequence
    timing: Timing
    field_t: float
    fat_saturation: float = 0.0
    slice_mm: float = SLICE_MM

    @property
    def fat_hz(self) -> float:
        """Fat's resonance relative to water's."""
        return FAT_PPM * HZ_T_PPM * self.field_t

    def echoes(self, tissues: Many[Tissue], part: Part, off_hz: float = 0.0) -> np.ndarray:
        """Complex signal `[tissue, echo]` of one part of each tissue where the field is off by `off_hz`."""
        spins = Spins.of(tissues, self.field_t, self.slice_mm).at(off_hz + self._shift(part))
        return self._density(tissues, part)[:, None] * self.sequence.signal(spins, self.timing).astype(complex)

    def whole(self, tissues: Many[Tissue]) -> np.ndarray:
        """Complex signal `[tissue, echo]` of water and fat together."""
        return self.echoes(tissues, "water") + self.echoes(tissues, "fat")

    def signals(self, tissues: Many[Tissue]) -> list[float]:
        """Signal of each tissue in the middle of k-space; signed where all are real, else the magnitude."""
        values = self.whole(tissues)[:, self.sequence.middle(self.timing)]
        real = np.abs(values.imag).max(initial=0.0) < 1e-9 * max(np.abs(values).max(initial=0.0), 1e-30)
        return (values.real if real else np.abs(values)).tolist()

    def response(self, tissues: Many[Tissue], part: Part, at_hz: np.ndarray) -> np.ndarray:
        """What multiplies the signal of each tissue where the field is off by `at_hz`, complex `[tissue, field]`.

        For a single echo it is the signal itself; of a train of gradient echoes it is the turn until the echo.
        """
        if self.timing.echoes == 1:
            return self._density(tissues, part)[:, None] * self._over_field(tissues, part, at_hz)
        turn = np.zeros(len(at_hz)) if self.sequence.refocused else 2e-3 * np.pi * self.timing.te_ms * at_hz
        return np.tile(np.exp(1j * turn), (len(tissues), 1))

    def _over_field(self, tissues: Many[Tissue], part: Part, at_hz: np.ndarray) -> np.ndarray:
        spins = Spins.of(tissues, self.field_t, self.slice_mm).every(at_hz + self._shift(part))
        return self.sequence.signal(spins, self.timing).reshape(len(tissues), len(at_hz)).astype(complex)

    def _shift(self, part: Part) -> float:
        return self.fat_hz if part == "fat" else 0.0

    def _density(self, tissues: Many[Tissue], part: Part) -> np.ndarray:
        """Scaled proton density of a part of each tissue."""
        fat = np.array([t.fat_fraction for t in tissues])
        share = fat * (1.0 - self.fat_saturation) if part == "fat" else 1.0 - fat
        return self.scale * share * [t.pd for t in tissues]

    @cached_property
    def scale(self) -> float:
        """Signal units for one unit of magnetisation."""
        unscaled = _Unscaled(self.sequence, self.timing, self.field_t, self.fat_saturation)
        brightest = np.abs(unscaled.whole(list(load_table().values()))[:, self.sequence.middle(self.timing)]).max()
        return BRIGHTEST / float(brightest)


class _Unscaled(Contrast):
    scale = 1.0  # type: ignore[assignment]


def nulling_ti(tissue: Tissue, field_t: float, tr_ms: float, busy_ms: float) -> float:
    """Inversion time that nulls a tissue, T1 ln(2 / (1 + exp(-(TR - busy) / T1))); `busy_ms` of readout saturate it."""
    t1 = tissue.t1_ms[field_t]
    return float(t1 * np.log(2.0 / (1.0 + np.exp(-max(tr_ms - busy_ms, 0.0) / t1))))
