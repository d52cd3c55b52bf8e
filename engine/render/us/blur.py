"""Filters of the point-spread function on a lattice, as weights that kernels read."""

from __future__ import annotations

import math

import numpy as np
import torch

from engine.device import device
from engine.render.us import psf
from engine.render.us.lattice import Lattice

#: Most neighbours on each side that a filter takes in: slices, beams, samples.
MOST_SLICES, MOST_BEAMS, MOST_SAMPLES = 8, 24, 8
#: Most neighbouring beams on each side where side lobes are asked for.
MOST_LOBES = 48
#: Ranges at which patterns with side lobes are computed; samples between take the nearest.
PATTERNS = 64


class Filters:
    """Weights of the point-spread function along slices, samples and beams.

    Weights have unit energy, which keeps the mean power of speckle. A steered beam takes the lateral weights of its
    `level`, made for an aperture foreshortened as much.

    Args:
        lattice: beams and samples.
        frequency_mhz, focus_mm: what shapes the beam.
        spacing_mm: between frames at each range, `[samples]`, or everywhere.
        side_lobes: whether lateral weights are the aperture's pattern instead of a Gaussian as wide.
    """

    def __init__(
        self,
        lattice: Lattice,
        frequency_mhz: float,
        focus_mm: float,
        spacing_mm: float | np.ndarray,
        side_lobes: bool = False,
    ) -> None:
        probe, ranges = lattice.probe, lattice.ranges
        self.lateral_mm = psf.lateral_width(probe, frequency_mhz, focus_mm, ranges)
        self.elevation_mm = psf.elevation_width(probe, frequency_mhz, ranges)
        self.axial_mm = lattice.axial_mm
        pitch = lattice.pitch(ranges)
        if side_lobes:
            weights = [_pattern(lattice, frequency_mhz, focus_mm, share) for share in _levels(lattice)]
        else:
            widths = np.concatenate([self.lateral_mm / (share * pitch) for share in _levels(lattice)])
            weights = np.split(psf.taps(widths, MOST_BEAMS)[0], len(_levels(lattice)))
        across = np.stack(weights)  # [level, sample, tap]
        slices, slices_sum = psf.taps(self.elevation_mm / spacing_mm, MOST_SLICES)
        along, _ = psf.taps(np.array([self.axial_mm / lattice.step_mm]), MOST_SAMPLES)
        self.halo = slices.shape[1] // 2
        self.across, self.across_reach = _tensor(across), _reaches(across)
        self.level = _tensor(_level(lattice), torch.int32)
        self.slices, self.slices_reach = _tensor(slices), _reaches(slices)
        self.along = _tensor(along[0])
        # a constant field gains the filters' sums; coherent echoes are divided by them to keep their amplitude
        self.slices_sum, self.across_sum = _tensor(slices_sum), _tensor(across.sum(-1))
        self.cell = _tensor(self._cell(pitch, np.broadcast_to(spacing_mm, pitch.shape), lattice.step_mm))

    def _cell(self, *spacings: np.ndarray | float) -> np.ndarray:
        """Volume (mm^3) whose scatterers a sample stands for, so that the fourth moment of echoes comes out right.

        Along each direction it is the resolution's length, for a Gaussian (int h^2)^2 / int h^4 = 1.064 FWHM, over the
        number of samples that its weights take in, (sum w^2)^2 / sum w^4.
        """
        widths = (self.lateral_mm, self.elevation_mm, np.full_like(self.lateral_mm, self.axial_mm))
        most = (MOST_BEAMS, MOST_SLICES, MOST_SAMPLES)
        volume = np.ones_like(self.lateral_mm)
        for width, spacing, limit in zip(widths, spacings, most, strict=True):
            weight, _ = psf.taps(width / spacing, limit)
            volume *= math.sqrt(2.0 * math.pi) / psf.FWHM * width * (weight**4).sum(1)
        return volume


def _levels(lattice: Lattice) -> np.ndarray:
    """Foreshortenings that lateral weights are made for, from 1 down, 5 % apart."""
    least = float(lattice.foreshortening.min())
    return np.linspace(1.0, least, 1 + math.ceil((1.0 - least) / 0.05 - 1e-9))


def _level(lattice: Lattice) -> np.ndarray:
    """The nearest of `_levels` for each beam."""
    return np.abs(lattice.foreshortening[:, None] - _levels(lattice)).argmin(1)


def _pattern(lattice: Lattice, frequency_mhz: float, focus_mm: float, share: float) -> np.ndarray:
    """Lateral weights `[sample, tap]` with side lobes; `share` foreshortens the aperture."""
    at = np.unique(np.linspace(0, lattice.samples - 1, PATTERNS).astype(int))
    ranges = lattice.ranges[at]
    offset = np.arange(MOST_LOBES + 1) * share * lattice.pitch(ranges)[:, None]
    half = psf.lateral_pattern(lattice.probe, frequency_mhz, focus_mm, ranges, offset)
    weight, _ = psf.normalised(np.concatenate([half[:, :0:-1], half], axis=1))
    nearest = np.abs(np.arange(lattice.samples)[:, None] - at).argmin(1)
    return weight[nearest]


def _reaches(weight: np.ndarray) -> torch.Tensor:
    flat = weight.reshape(-1, weight.shape[-1])
    return _tensor(psf.reach(flat).reshape(weight.shape[:-1]), torch.int32)


def _tensor(array: np.ndarray, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(dtype).to(device())
