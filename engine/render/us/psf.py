"""The point-spread function of a focused array: its widths follow from aperture and pulse.

Lateral and elevational -6 dB widths are those of the two-way beam patterns of `engine.render.us.aperture`: a fixed
transmit focus times a dynamic receive focus in the scan plane, the same lens twice across it. Blurring takes Gaussians
of these widths, or the patterns themselves where side lobes are asked for. Axially the pulse is Gaussian: a -6 dB band
of B Hz makes an envelope 4 ln2 / (pi B) s wide (Szabo, Diagnostic Ultrasound Imaging, 2nd ed., 2014).
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from engine.render.us import aperture
from engine.render.us.acoustics import SOUND_SPEED
from engine.render.us.probe import Probe

#: Full width at half maximum of a Gaussian over its sigma.
FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))
#: -6 dB width of a one-way beam times sin(theta) over the wavelength.
ONE_WAY = 0.6035
#: Ranges at which patterns are computed; between them widths are interpolated.
KNOTS = 48
#: Least depth (mm) that a pattern is computed for; nearer, beams keep its width.
NEAREST_MM = 3.0


def wavelength_mm(frequency_mhz: float) -> float:
    """Wavelength in soft tissue, mm."""
    return SOUND_SPEED / (1e3 * frequency_mhz)


def axial_width(probe: Probe, frequency_mhz: float) -> float:
    """-6 dB length (mm) of the echo of a point: c/2 times the envelope's duration 4 ln2 / (pi B f)."""
    return 0.5 * wavelength_mm(frequency_mhz) * 4.0 * math.log(2.0) / (math.pi * probe.bandwidth)


def lateral_width(probe: Probe, frequency_mhz: float, focus_mm: float, range_mm: np.ndarray) -> np.ndarray:
    """-6 dB two-way width (mm) in the scan plane at each range: fixed transmit focus, dynamic receive focus."""
    return _widths(_in_plane(probe, frequency_mhz, focus_mm), range_mm)


def elevation_width(probe: Probe, frequency_mhz: float, range_mm: np.ndarray) -> np.ndarray:
    """-6 dB two-way thickness (mm) of the slice at each range: the same lens in transmit and receive."""
    lens = _Beam(probe.elevation_mm, probe.elevation_focus_mm, None, wavelength_mm(frequency_mhz), "rect")
    return _widths(lens, range_mm)


def lateral_pattern(
    probe: Probe, frequency_mhz: float, focus_mm: float, range_mm: np.ndarray, lateral_mm: np.ndarray
) -> np.ndarray:
    """Signed two-way amplitude in the scan plane at ranges `[n]` and lateral offsets `[n, m]`, side lobes included."""
    return _two_way(_in_plane(probe, frequency_mhz, focus_mm), np.maximum(range_mm, NEAREST_MM), lateral_mm)


class _Beam(NamedTuple):
    """A transmit aperture and its focus, and what listens.

    Args:
        receive: F-number and widest aperture (mm); None where it is the transmit's.
        kind: of apodization.
    """

    aperture_mm: float
    focus_mm: float
    receive: tuple[float, float] | None
    wave_mm: float
    kind: str


def _in_plane(probe: Probe, frequency_mhz: float, focus_mm: float) -> _Beam:
    """The beam in the scan plane."""
    sent, receive = min(probe.aperture_mm, focus_mm / probe.f_number), (probe.f_number, probe.aperture_mm)
    return _Beam(sent, focus_mm, receive, wavelength_mm(frequency_mhz), probe.apodization)


def _two_way(beam: _Beam, range_mm: np.ndarray, lateral_mm: np.ndarray) -> np.ndarray:
    """Transmit times receive."""
    sent = aperture.fixed(beam.aperture_mm, beam.focus_mm, beam.wave_mm, beam.kind, range_mm, lateral_mm)
    if beam.receive is None:
        return sent * sent
    f_number, widest = beam.receive
    heard = np.minimum(range_mm / f_number, widest)
    return sent * aperture.dynamic(heard, beam.wave_mm, beam.kind, range_mm, lateral_mm)


def _widths(beam: _Beam, range_mm: np.ndarray) -> np.ndarray:
    """Widths at any ranges, from patterns at few."""
    asked = np.maximum(np.asarray(range_mm, float), NEAREST_MM)
    knots, found = _knots(beam, float(asked.min()), float(asked.max()))
    return np.interp(asked, knots, found)


@functools.lru_cache(maxsize=64)
def _knots(beam: _Beam, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Ranges from `low` to `high`, the focus among them, and the pattern's -6 dB widths there."""
    knots = np.geomspace(low, high, KNOTS) if high > low else np.array([low])
    if low < beam.focus_mm < high:
        knots = np.sort(np.append(knots, beam.focus_mm))
    cone = beam.aperture_mm * np.abs(knots - beam.focus_mm) / beam.focus_mm
    sharp = 3.4 * ONE_WAY * beam.wave_mm * np.sqrt(0.25 + (knots / beam.aperture_mm) ** 2)
    reach = sharp + cone
    if beam.receive is not None:
        f_number = np.maximum(beam.receive[0], knots / beam.receive[1])
        reach = np.minimum(reach, 3.4 * ONE_WAY * beam.wave_mm * np.sqrt(1.0 + 4.0 * f_number**2))
    lateral = reach[:, None] * np.linspace(0.0, 1.0, 96)
    return knots, aperture.width(lateral, np.abs(_two_way(beam, knots, lateral)))


def taps(width: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian filters of unit energy, `[n, 2k+1]`, for -6 dB widths given in samples, and their sums `[n]`.

    Unit energy keeps the mean power of speckle; the sum is the gain that a constant field would get.
    Filters are cut at 2.5 sigma or `most` taps on each side.
    """
    sigma = np.atleast_1d(np.asarray(width, float)) / FWHM
    reach = min(most, max(1, math.ceil(2.5 * sigma.max())))
    offset = np.arange(-reach, reach + 1)
    weight = np.exp(-0.5 * (offset / np.maximum(sigma, 0.1)[:, None]) ** 2)
    weight[np.abs(offset) > np.maximum(1.0, np.ceil(2.5 * sigma))[:, None]] = 0.0
    return normalised(weight)


def normalised(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Filters `[n, 2k+1]` scaled to unit energy, and their sums `[n]`."""
    weight = weight / np.sqrt((weight**2).sum(1, keepdims=True))
    return weight, weight.sum(1)


def reach(weight: np.ndarray) -> np.ndarray:
    """Farthest tap from the middle that is not zero, of each filter `[n, 2k+1]`."""
    middle = weight.shape[1] // 2
    far = np.abs(np.arange(-middle, middle + 1))
    return np.where(weight != 0.0, far, 0).max(1)
