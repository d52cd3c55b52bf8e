"""What a pulse sequence sees of tissues: relaxation, diffusion and resonance at one field strength."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.render.mr.flow import SLICE_MM
from engine.tissue import Tissue

#: Hz that protons turn by in one tesla and one part per million: gamma / 2 pi = 42.577 MHz/T.
HZ_T_PPM = 42.577478518
#: How much lower than water fat's main resonance lies, ppm (3.3 to 3.5; Bernstein, King and Zhou 2004, section 17.3).
FAT_PPM = -3.4


@dataclass(frozen=True)
class Spins:
    """Properties of tissues, one value each.

    Args:
        t1_ms, t2_ms: relaxation times, with the contrast agent: 1/T = 1/T0 + r C.
        t2star_ms: 1/T2* = 1/T2 + r2' B0.
        diffusion_um2_ms: apparent diffusion coefficient.
        off_hz: resonance relative to the scanner's, Hz.
        flow_mm_s: mean speed of blood through the slice; 0 at rest.
        slice_mm: thickness of the slice that it flows through.
    """

    t1_ms: np.ndarray
    t2_ms: np.ndarray
    t2star_ms: np.ndarray
    diffusion_um2_ms: np.ndarray
    off_hz: np.ndarray
    flow_mm_s: np.ndarray | float = 0.0
    slice_mm: float = SLICE_MM

    @classmethod
    def of(cls, tissues: Sequence[Tissue], field_t: float, slice_mm: float = SLICE_MM) -> Spins:
        """The water of `tissues` at a field strength in tesla, in a slice."""
        agent = np.array([1e-3 * t.agent_mmol_l for t in tissues])
        r1 = agent * [t.r1_l_mmol_s for t in tissues] + 1.0 / np.array([t.t1_ms[field_t] for t in tissues])
        r2 = agent * [t.r2_l_mmol_s for t in tissues] + 1.0 / np.array([t.t2_ms[field_t] for t in tissues])
        reversible = np.array([1e-3 * t.r2prime_s_t * field_t for t in tissues])
        diffusion = np.array([t.diffusion_um2_ms for t in tissues])
        flow = np.array([t.flow_mm_s for t in tissues])
        return cls(1.0 / r1, 1.0 / r2, 1.0 / (r2 + reversible), diffusion, np.zeros(len(tissues)), flow, slice_mm)

    @property
    def speed(self) -> np.ndarray:
        """Of blood through the slice, mm/s, one for each tissue."""
        return np.broadcast_to(np.asarray(self.flow_mm_s, float), self.t1_ms.shape)

    def at(self, off_hz: np.ndarray | float) -> Spins:
        """The same at another resonance, Hz."""
        return replace(self, off_hz=np.broadcast_to(np.asarray(off_hz, float), self.t1_ms.shape))

    def every(self, off_hz: np.ndarray) -> Spins:
        """Each tissue at each resonance: tissue by tissue, all resonances."""
        n = len(off_hz)
        t1, t2, t2star = (np.repeat(v, n) for v in (self.t1_ms, self.t2_ms, self.t2star_ms))
        diffusion, flow = (np.repeat(v, n) for v in (self.diffusion_um2_ms, self.speed))
        return Spins(t1, t2, t2star, diffusion, np.tile(off_hz, len(self.t1_ms)), flow, self.slice_mm)
