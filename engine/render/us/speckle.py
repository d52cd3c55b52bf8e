"""Speckle: complex white noise shaped by tissue, then blurred by the point-spread function.

Baseband (IQ) samples of many scatterers per resolution cell are complex Gaussian, so the field is drawn directly:
amplitude times a unit complex normal value, counter-based per (slice, beam, sample), plus the coherent echo of
interfaces. Blurring with filters of unit energy keeps the mean power and gives fully developed speckle whose grain is
the point-spread function's. Slices blur into each other by the slice thickness, so neighbours share scatterers.
"""

import numpy as np
import taichi as ti
import torch

from engine.device import device, kernel
from engine.random import Stream
from engine.render.us import psf
from engine.render.us.lattice import Lattice
from engine.render.us.path import Echoes
from engine.render.us.scatterers import Moved, scatter

#: Most neighbours on each side that a filter takes in: slices, beams, samples.
MOST_SLICES, MOST_BEAMS, MOST_SAMPLES = 4, 24, 8


class Blur:
    """Filters of the point-spread function on a lattice.

    Args:
        lattice: beams and samples.
        frequency_mhz, focus_mm: what shapes the beam.
        spacing_z: mm between slices.
    """

    def __init__(self, lattice: Lattice, frequency_mhz: float, focus_mm: float, spacing_z: float) -> None:
        probe, ranges = lattice.probe, lattice.ranges
        self.lateral_mm = psf.lateral_width(probe, frequency_mhz, focus_mm, ranges)
        self.elevation_mm = psf.elevation_width(probe, frequency_mhz, ranges)
        self.axial_mm = psf.axial_width(probe, frequency_mhz)
        across, across_sum = psf.taps(self.lateral_mm / lattice.pitch(ranges), MOST_BEAMS)
        slices, slices_sum = psf.taps(self.elevation_mm / spacing_z, MOST_SLICES)
        along, along_sum = psf.taps(np.array([self.axial_mm / lattice.step_mm]), MOST_SAMPLES)
        self.halo = slices.shape[1] // 2
        self.across, self.slices, self.along = _tensor(across), _tensor(slices), _tensor(along[0])
        # a constant field gains the filters' sums; coherent echoes are divided by them to keep their amplitude
        self.gain = _tensor(across_sum * slices_sum * along_sum)

    def envelope(
        self, echoes: Echoes, lattice: Lattice, first: int, noise: float, stream: Stream, moved: Moved | None = None
    ) -> torch.Tensor:
        """Envelope float32 `[z - 2 halo, beam, sample]` of the echoes of slices from index `first` on.

        Args:
            echoes: amplitudes, `halo` slices more on each side than are returned.
            lattice: beams and samples.
            first: index along z of the first slice of `echoes`; may be negative.
            noise: rms amplitude of the receiver's noise.
            stream: where scatterers come from.
            moved: where they have gone; None at phase 0.
        """
        planes = echoes.scatter.shape[0]
        shape = (planes, lattice.beams, lattice.samples, 2)
        field = torch.empty(shape, dtype=torch.float32, device=device())
        scatter(echoes, self.gain, lattice, first, noise, stream, moved, field)
        thin = torch.empty((planes - 2 * self.halo, *shape[1:]), dtype=torch.float32, device=device())
        _blur_slices(field, self.slices, thin)
        sharp = field[: thin.shape[0]]  # reuse: its content is no longer needed
        _blur_samples(thin, self.along, sharp)
        out = torch.empty(thin.shape[:3], dtype=torch.float32, device=device())
        _blur_beams(sharp, self.across, out)
        return out


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(device())


@kernel
def _blur_slices(
    field: ti.types.ndarray(ti.f32, ndim=4),
    weight: ti.types.ndarray(ti.f32, ndim=2),
    out: ti.types.ndarray(ti.f32, ndim=4),
):
    for i, b in ti.ndrange(out.shape[0], out.shape[1]):
        for s in range(out.shape[2]):
            re, im = 0.0, 0.0
            for k in range(weight.shape[1]):
                re += weight[s, k] * field[i + k, b, s, 0]
                im += weight[s, k] * field[i + k, b, s, 1]
            out[i, b, s, 0] = re
            out[i, b, s, 1] = im


@kernel
def _blur_samples(
    field: ti.types.ndarray(ti.f32, ndim=4),
    weight: ti.types.ndarray(ti.f32, ndim=1),
    out: ti.types.ndarray(ti.f32, ndim=4),
):
    reach = weight.shape[0] // 2
    for i, b in ti.ndrange(out.shape[0], out.shape[1]):
        last = out.shape[2] - 1
        for s in range(out.shape[2]):
            re, im = 0.0, 0.0
            for k in range(weight.shape[0]):
                j = ti.min(ti.max(s + k - reach, 0), last)
                re += weight[k] * field[i, b, j, 0]
                im += weight[k] * field[i, b, j, 1]
            out[i, b, s, 0] = re
            out[i, b, s, 1] = im


@kernel
def _blur_beams(
    field: ti.types.ndarray(ti.f32, ndim=4),
    weight: ti.types.ndarray(ti.f32, ndim=2),
    out: ti.types.ndarray(ti.f32, ndim=3),
):
    reach = weight.shape[1] // 2
    for i, b in ti.ndrange(out.shape[0], out.shape[1]):
        last = out.shape[1] - 1
        for s in range(out.shape[2]):
            re, im = 0.0, 0.0
            for k in range(weight.shape[1]):
                j = b + k - reach
                # mirrored at the outer beams, so that edge speckle keeps its power
                j = ti.abs(j)
                j = last - ti.abs(last - j)
                re += weight[s, k] * field[i, j, s, 0]
                im += weight[s, k] * field[i, j, s, 1]
            out[i, b, s] = ti.sqrt(re * re + im * im)
