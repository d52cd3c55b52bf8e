"""Speckle: complex white noise shaped by tissue, then blurred by the point-spread function.

Baseband (IQ) samples of many scatterers per resolution cell are complex Gaussian, so the field is drawn directly:
amplitude times a unit complex normal value, counter-based per (slice, beam, sample). Blurring with filters of unit
energy keeps the mean power and gives fully developed speckle whose grain is the point-spread function's. Slices blur
into each other by the slice thickness, so neighbours share scatterers. The coherent echoes of interfaces, whose profile
along the beam already is the pulse's, join after the blur along the beam.
"""

import taichi as ti
import torch

from engine.device import device, kernel
from engine.random import Stream
from engine.render.us.blur import Filters
from engine.render.us.lattice import Lattice
from engine.render.us.path import Echoes
from engine.render.us.scatterers import Moved, along, scatter


def envelope(
    echoes: Echoes,
    filters: Filters,
    lattice: Lattice,
    first: int,
    noise: float,
    stream: Stream,
    moved: Moved | None = None,
) -> torch.Tensor:
    """Envelope float32 `[z - 2 halo, beam, sample]` of the echoes of slices from index `first` on.

    Args:
        echoes: amplitudes, `filters.halo` slices more on each side than are returned.
        filters: the point-spread function.
        lattice: beams and samples.
        first: index along z of the first slice of `echoes`; may be negative.
        noise: rms amplitude of the receiver's noise.
        stream: where scatterers come from.
        moved: where they have gone; None at phase 0.
    """
    planes = echoes.scatter.shape[0]
    shape = (planes, lattice.beams, lattice.samples, 2)
    field = torch.empty(shape, dtype=torch.float32, device=device())
    scatter(echoes, filters.cell, lattice, first, noise, stream, moved, field)
    ratio = lattice.step_mm / lattice.path_mm
    out_planes = planes - 2 * filters.halo
    coherent = torch.empty((out_planes, *echoes.specular.shape[1:]), dtype=torch.float32, device=device())
    _thicken(echoes.specular, filters.slices, filters.slices_reach, filters.slices_sum, 1.0 / ratio, coherent)
    thin = torch.empty((out_planes, *shape[1:]), dtype=torch.float32, device=device())
    _blur_slices(field, filters.slices, filters.slices_reach, thin)
    sharp = field[:out_planes]  # reuse: its content is no longer needed
    _blur_samples(thin, filters.along, coherent, filters.level, filters.across_sum, ratio, sharp)
    out = torch.empty(thin.shape[:3], dtype=torch.float32, device=device())
    _blur_beams(sharp, filters.across, filters.across_reach, filters.level, out)
    return out


@kernel
def _thicken(
    specular: ti.types.ndarray(ti.f32, ndim=3),
    weight: ti.types.ndarray(ti.f32, ndim=2),
    reach: ti.types.ndarray(ti.i32, ndim=1),
    total: ti.types.ndarray(ti.f32, ndim=1),
    ratio: ti.f32,
    out: ti.types.ndarray(ti.f32, ndim=3),
):
    """Average coherent echoes over the slice's thickness; `ratio` is samples per path sample."""
    middle = weight.shape[1] // 2
    for i, b in ti.ndrange(out.shape[0], out.shape[1]):
        for j in range(out.shape[2]):
            s = ti.min(ti.cast((j + 0.5) * ratio, ti.i32), weight.shape[0] - 1)
            value = 0.0
            for k in range(middle - reach[s], middle + reach[s] + 1):
                value += weight[s, k] * specular[i + k, b, j]
            out[i, b, j] = value / total[s]


@kernel
def _blur_slices(
    field: ti.types.ndarray(ti.f32, ndim=4),
    weight: ti.types.ndarray(ti.f32, ndim=2),
    reach: ti.types.ndarray(ti.i32, ndim=1),
    out: ti.types.ndarray(ti.f32, ndim=4),
):
    middle = weight.shape[1] // 2
    for i, b in ti.ndrange(out.shape[0], out.shape[1]):
        for s in range(out.shape[2]):
            re, im = 0.0, 0.0
            for k in range(middle - reach[s], middle + reach[s] + 1):
                re += weight[s, k] * field[i + k, b, s, 0]
                im += weight[s, k] * field[i + k, b, s, 1]
            out[i, b, s, 0] = re
            out[i, b, s, 1] = im


@kernel
def _blur_samples(
    field: ti.types.ndarray(ti.f32, ndim=4),
    weight: ti.types.ndarray(ti.f32, ndim=1),
    coherent: ti.types.ndarray(ti.f32, ndim=3),
    level: ti.types.ndarray(ti.i32, ndim=1),
    total: ti.types.ndarray(ti.f32, ndim=2),
    ratio: ti.f32,
    out: ti.types.ndarray(ti.f32, ndim=4),
):
    reach = weight.shape[0] // 2
    for i, b in ti.ndrange(out.shape[0], out.shape[1]):
        last = out.shape[2] - 1
        for s in range(out.shape[2]):
            re, im = along(coherent, i, b, ti.max((s + 0.5) * ratio - 0.5, 0.0)) / total[level[b], s], 0.0
            for k in range(weight.shape[0]):
                j = ti.min(ti.max(s + k - reach, 0), last)
                re += weight[k] * field[i, b, j, 0]
                im += weight[k] * field[i, b, j, 1]
            out[i, b, s, 0] = re
            out[i, b, s, 1] = im


@kernel
def _blur_beams(
    field: ti.types.ndarray(ti.f32, ndim=4),
    weight: ti.types.ndarray(ti.f32, ndim=3),
    reach: ti.types.ndarray(ti.i32, ndim=2),
    level: ti.types.ndarray(ti.i32, ndim=1),
    out: ti.types.ndarray(ti.f32, ndim=3),
):
    middle = weight.shape[2] // 2
    for i, b in ti.ndrange(out.shape[0], out.shape[1]):
        last = out.shape[1] - 1
        steered = level[b]
        for s in range(out.shape[2]):
            re, im = 0.0, 0.0
            r = reach[steered, s]
            for k in range(-r, r + 1):
                # mirrored at the outer beams, so that edge speckle keeps its power
                j = ti.abs(b + k)
                j = ti.max(last - ti.abs(last - j), 0)
                re += weight[steered, s, middle + k] * field[i, j, s, 0]
                im += weight[steered, s, middle + k] * field[i, j, s, 1]
            out[i, b, s] = ti.sqrt(re * re + im * im)
