"""Noise from dose, patient's size, slice thickness and kernel: how many photons reach the detector."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from engine.render.ct.attenuation import linear_attenuation
from engine.render.ct.kernel import Kernel
from engine.render.ct.spectrum import tube_output
from engine.tissue import tissue

#: From the tube's focus to the axis of rotation, mm: of the order of what body scanners have.
SOURCE_MM = 570.0
#: Share of the photons that the detector counts: its gaps and what passes through it. Assumed.
DETECTED = 0.8


@dataclass(frozen=True)
class Beam:
    """The beam behind water.

    Args:
        quanta: effective quanta per mm^2 at the axis, per mAs: what a photon counter with the same noise would see of
            an energy-integrating one's signal, (sum E n)^2 / sum E^2 n.
        mu_per_mm: attenuation of one more mm of water, 1/mm.
    """

    quanta: float
    mu_per_mm: float


def beam_behind(kvp: float, water_mm: float, source_mm: float = SOURCE_MM) -> Beam:
    """The beam behind `water_mm` of water."""
    energy, photons, mu = _open_beam(kvp)
    passed = photons * np.exp(-mu * water_mm) * (1000.0 / source_mm) ** 2
    signal = energy * passed
    return Beam(float(signal.sum() ** 2 / (energy * signal).sum()), float((mu * signal).sum() / signal.sum()))


def noise_sd(kvp: float, mas: float, water_mm: float, kernel: Kernel, slice_mm: float) -> float:
    """Standard deviation of the noise in the middle of a water cylinder of diameter `water_mm`, HU.

    Filtered back-projection of white noise in the projections has the variance 2 pi^2 G / (Q s), with the kernel's
    noise gain G, the slice's thickness s and the effective quanta Q per mm^2 of the whole rotation (Chesler, Riederer
    and Pelc 1977, J Comput Assist Tomogr 1:64): sd ~ (dose slice)^-1/2, whatever the number of views and detectors.
    """
    beam = beam_behind(kvp, water_mm)
    return 1000.0 * math.sqrt(2.0 * math.pi**2 * kernel.noise_gain / (beam.quanta * mas * slice_mm)) / beam.mu_per_mm


@functools.lru_cache(maxsize=64)
def _open_beam(kvp: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energies in keV, photons per mm^2 and mAs that are detected 1 m away, and attenuation of water in 1/mm."""
    energy, fluence = tube_output(kvp)
    return energy, DETECTED * fluence / 100.0, linear_attenuation(tissue("water"), energy) / 10.0
