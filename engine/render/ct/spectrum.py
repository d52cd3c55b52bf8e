"""What the detector weighs photons of each energy by, at any tube voltage from 80 to 140 kVp."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from engine.render.ct.attenuation import linear_attenuation
from engine.tissue import tissue

#: Water that hardens the beam before it is measured: about the patient's half, cm.
HARDENING_CM = 20.0
LOWEST_KVP, HIGHEST_KVP = 80.0, 140.0


@dataclass(frozen=True)
class Spectrum:
    """Photon energies in keV and the detector's weight of each; weights add up to 1."""

    energy_kev: np.ndarray
    weight: np.ndarray

    def mean(self, values: np.ndarray) -> float:
        """The weighted mean of `values`, given at each energy."""
        return float(self.weight @ values)


@functools.lru_cache(maxsize=1)
def read_spectra() -> dict[str, Any]:
    """`spectra.json`: photon fluence by tube voltage, and what it was made with."""
    return json.loads(files("engine.render.ct").joinpath("spectra.json").read_text(encoding="utf-8"))


@functools.lru_cache(maxsize=256)
def tube_output(kvp: float) -> tuple[np.ndarray, np.ndarray]:
    """Energies in keV and the tube's photons per cm^2 and mAs in each, 1 m away: what enters the patient.

    Between the tabulated voltages the two neighbours are interpolated.
    """
    low, high, share = _between(kvp)
    energy, fluence = _fluence(low)
    if low == high:
        return energy, fluence
    other_energy, other = _fluence(high)
    every = np.union1d(energy, other_energy)
    total = np.zeros_like(every)
    total[np.searchsorted(every, energy)] += (1.0 - share) * fluence
    total[np.searchsorted(every, other_energy)] += share * other
    return every, total


@functools.lru_cache(maxsize=256)
def effective_spectrum(kvp: float) -> Spectrum:
    """The spectrum an energy-integrating detector sees behind 20 cm of water, w(E) ~ E phi(E) exp(-mu_water(E) L).

    Between the tabulated voltages (every 10 kV) the two neighbours' weights are interpolated, so every attenuation
    coefficient is piecewise linear in the voltage.
    """
    low, high, share = _between(kvp)
    if low == high:
        return _tabulated(low)
    below, above = _tabulated(low), _tabulated(high)
    energy = np.union1d(below.energy_kev, above.energy_kev)
    weight = np.zeros_like(energy)
    for part, spectrum in ((1.0 - share, below), (share, above)):
        weight[np.searchsorted(energy, spectrum.energy_kev)] += part * spectrum.weight
    return Spectrum(energy, weight)


@functools.lru_cache(maxsize=16)
def _tabulated(kvp: float) -> Spectrum:
    energy, fluence = _fluence(kvp)
    weight = energy * fluence * np.exp(-HARDENING_CM * linear_attenuation(tissue("water"), energy))
    return Spectrum(energy, weight / weight.sum())


def _fluence(kvp: float) -> tuple[np.ndarray, np.ndarray]:
    entry = read_spectra()["spectra"][f"{kvp:g}"]
    return np.array(entry["energy_kev"]), np.array(entry["fluence"])


def _between(kvp: float) -> tuple[float, float, float]:
    """The tabulated voltages below and above `kvp`, and how far it lies from the lower to the upper one, 0..1."""
    if not LOWEST_KVP <= kvp <= HIGHEST_KVP:
        raise ValueError(f"spectra are tabulated from {LOWEST_KVP:g} to {HIGHEST_KVP:g} kVp, not at {kvp:g}")
    known = sorted(float(key) for key in read_spectra()["spectra"])
    low = max(v for v in known if v <= kvp)
    high = min(v for v in known if v >= kvp)
    return low, high, (kvp - low) / (high - low) if high > low else 0.0
