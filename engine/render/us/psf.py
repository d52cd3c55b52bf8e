"""The point-spread function of a focused array, as Gaussians whose widths follow from aperture and pulse.

Two-way amplitude profiles. Lateral and elevational -6 dB widths of a one-way focused aperture are 1.207 lambda F
(Szabo, Diagnostic Ultrasound Imaging, 2nd ed., 2014, ch. 6); away from a fixed focus the converging cone adds
geometrically. Axially the pulse is Gaussian: a -6 dB band of B Hz makes an envelope 4 ln2 / (pi B) s wide.
"""

from __future__ import annotations

import math

import numpy as np

from engine.render.us.probe import Probe

#: Speed of sound that scanners assume, m/s.
SOUND_SPEED = 1540.0
#: Full width at half maximum of a Gaussian over its sigma.
FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))
#: -6 dB full width of sinc(x): one-way width over lambda F.
ONE_WAY = 1.207


def wavelength_mm(frequency_mhz: float) -> float:
    """Wavelength in soft tissue, mm."""
    return SOUND_SPEED / (1e3 * frequency_mhz)


def axial_width(probe: Probe, frequency_mhz: float) -> float:
    """-6 dB length (mm) of the echo of a point: c/2 times the envelope's duration 4 ln2 / (pi B f)."""
    return 0.5 * wavelength_mm(frequency_mhz) * 4.0 * math.log(2.0) / (math.pi * probe.bandwidth)


def lateral_width(probe: Probe, frequency_mhz: float, focus_mm: float, range_mm: np.ndarray) -> np.ndarray:
    """-6 dB two-way width (mm) in the scan plane at each range: fixed transmit focus, dynamic receive focus."""
    wave = wavelength_mm(frequency_mhz)
    transmit = _fixed(min(probe.aperture_mm, focus_mm / probe.f_number), focus_mm, wave, range_mm)
    receive = ONE_WAY * wave * np.maximum(probe.f_number, range_mm / probe.aperture_mm)
    return 1.0 / np.hypot(1.0 / transmit, 1.0 / receive)


def elevation_width(probe: Probe, frequency_mhz: float, range_mm: np.ndarray) -> np.ndarray:
    """-6 dB two-way thickness (mm) of the slice at each range: the same lens in transmit and receive."""
    wave = wavelength_mm(frequency_mhz)
    return _fixed(probe.elevation_mm, probe.elevation_focus_mm, wave, range_mm) / math.sqrt(2.0)


def _fixed(aperture_mm: float, focus_mm: float, wave_mm: float, range_mm: np.ndarray) -> np.ndarray:
    """One-way width of a beam of fixed focus: diffraction at the focus, the geometric cone away from it."""
    cone = aperture_mm * np.abs(range_mm - focus_mm) / focus_mm
    return np.hypot(ONE_WAY * wave_mm * focus_mm / aperture_mm, cone)


def taps(width: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian filters of unit energy, `[n, 2k+1]`, for -6 dB widths given in samples, and their sums `[n]`.

    Unit energy keeps the mean power of speckle; the sum is the gain that a constant field would get.
    Filters are cut at 2.5 sigma or `most` taps on each side.
    """
    sigma = np.atleast_1d(np.asarray(width, float)) / FWHM
    reach = min(most, max(1, math.ceil(2.5 * sigma.max())))
    offset = np.arange(-reach, reach + 1)
    weight = np.exp(-0.5 * (offset / np.maximum(sigma, 0.1)[:, None]) ** 2)
    weight /= np.sqrt((weight**2).sum(1, keepdims=True))
    return weight, weight.sum(1)
