"""Scatterers move with the tissue: which one of phase 0 lies at a sample of a later phase.

Scatterers are named by the lattice of phase 0, one for each sample. At another phase the sample at p shows tissue that
was at P = p + u(p), so it takes the scatterer of phase 0 nearest to P: each sample's echo stays one unit complex normal
value, whatever the motion, where interpolation would smooth it. Its phase turns by 4 pi / wavelength times the
range that tissue has won, r(p) - r(P). So what moves as one piece keeps its speckle, to half a sample, and what turns
against the beam loses it, as under a scanner (Meunier and Bertrand 1995, doi 10.1109/42.387711).

The probe stands on the skin, which moves: phase 0 has a lattice of its own, given here as a chart, the continuous beam
and sample of phase 0 at places of a slice's plane.
"""

import math
from dataclasses import dataclass

import numpy as np
import taichi as ti
import torch

from engine.device import device, kernel
from engine.grid import Grid
from engine.random import Stream, philox, unit
from engine.render.us import psf
from engine.render.us.interfaces import at_slice
from engine.render.us.lattice import Lattice
from engine.render.us.path import Echoes
from engine.render.us.placement import Pose

#: Distance (mm) between the places of a chart; a range interpolated in it is wrong by less than 0.001 mm.
CHART_MM = 0.5
#: Scatterers for each sample from which on they count as countless.
MANY = 24
#: Counter of the volume's first slice; slices before it exist for the blur.
FIRST = 1 << 16


@dataclass(frozen=True)
class Moved:
    """Where the tissue of a volume was at phase 0, as a lattice sees it.

    Args:
        steps: displacement in voxels, x, y and z, each float32 `[z, y, x]`.
        chart: beam and sample of phase 0, float32 `[2, y, x]`, at places `CHART_MM` apart in a slice's plane.
        corner: index coordinates (y, x) of the chart's first place.
        per_voxel: places of the chart in a voxel along y and x.
        samples: on a beam of phase 0.
        step_mm: between samples of phase 0.
        turn: 4 pi / wavelength, rad/mm.
        noise: randomness of this phase's noise.
    """

    steps: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    chart: torch.Tensor
    corner: tuple[float, float]
    per_voxel: tuple[float, float]
    samples: int
    step_mm: float
    turn: float
    noise: Stream

    @classmethod
    def between(
        cls,
        steps: torch.Tensor | None,
        grid: Grid,
        now: Lattice,
        then: Lattice,
        pose: Pose,
        frequency_mhz: float,
        noise: Stream,
    ) -> "Moved":
        """The map from the lattice `now` to `then`, that of phase 0, where the probe stood at `pose`.

        `steps` is the volume's displacement in voxels, `[z, y, x, 3]`; None where nothing has moved.
        """
        if steps is None:
            steps = torch.zeros((1, 1, 1, 3), device=device())
        farthest = steps.abs().amax(dim=(0, 1, 2)).cpu().numpy()[1::-1].astype(float)
        ends = np.concatenate([now.start, now.start + now.depth_mm * now.slope])
        low, high = ends.min(0) - farthest, ends.max(0) + farthest
        per_voxel = np.array(grid.spacing[1::-1]) / CHART_MM
        ny, nx = np.ceil((high - low) * per_voxel).astype(int) + 2
        rows, columns = low[0] + np.arange(ny) / per_voxel[0], low[1] + np.arange(nx) / per_voxel[1]
        x = (columns - 0.5 * (grid.size[0] - 1)) * grid.spacing[0]
        y = (rows - 0.5 * (grid.size[1] - 1)) * grid.spacing[1]
        fraction, range_mm = np.broadcast_arrays(*then.probe.locate(*pose.to_probe(x[None, :], y[:, None])))
        chart = np.stack([fraction * (then.beams - 1), range_mm / then.step_mm - 0.5]).astype(np.float32)
        return cls(
            steps=tuple(steps[..., axis].to(device()).contiguous() for axis in range(3)),  # type: ignore[arg-type]
            chart=torch.from_numpy(chart).to(device()),
            corner=(float(low[0]), float(low[1])),
            per_voxel=(float(per_voxel[0]), float(per_voxel[1])),
            samples=then.samples,
            step_mm=then.step_mm,
            turn=4.0 * math.pi / psf.wavelength_mm(frequency_mhz),
            noise=noise,
        )


def scatter(
    echoes: Echoes,
    cell: torch.Tensor,
    lattice: Lattice,
    first: int,
    noise: float,
    stream: Stream,
    moved: Moved | None,
    out: torch.Tensor,
) -> None:
    """Fill `out` `[z, beam, sample, 2]` with complex echoes of scatterers, and the receiver's noise.

    Args:
        echoes: amplitudes on the lattice's path samples.
        cell: volume (mm^3) whose scatterers a sample stands for, `[sample]`; read where tissue is sparse.
        lattice: beams and samples.
        first: index along z of the first slice; may be negative.
        noise: rms amplitude of the receiver's noise.
        stream: where scatterers come from.
        moved: where they have gone; None at phase 0.
    """
    key, counter = words(stream)
    ratio = lattice.step_mm / lattice.path_mm
    sparse = echoes.sparsity is not None
    amplitudes = (echoes.scatter, echoes.sparsity if sparse else echoes.scatter, cell, ratio, noise, key)
    if moved is None:
        _scatter(*amplitudes, counter + FIRST + first, sparse, out)
        return
    _scatter_moved(
        *amplitudes,
        counter + FIRST,
        *words(moved.noise),
        first,
        _tensor(lattice.start),
        _tensor(lattice.slope),
        lattice.step_mm,
        *moved.steps,
        moved.chart,
        ti.Vector(moved.corner),
        ti.Vector(moved.per_voxel),
        moved.samples,
        moved.step_mm,
        moved.turn,
        sparse,
        out,
    )


def words(stream: Stream) -> tuple[int, int]:
    """The stream's words, with room for slices in the second."""
    key, counter = stream.words
    return key, counter & 0x3FFFFFFF


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(device())


@ti.func
def along(field: ti.template(), i: ti.i32, b: ti.i32, t: ti.f32) -> ti.f32:
    """Linear value at the continuous path sample `t`."""
    j = ti.min(ti.cast(t, ti.i32), field.shape[2] - 2)
    return field[i, b, j] + (t - j) * (field[i, b, j + 1] - field[i, b, j])


@ti.func
def _counted(power: ti.f32, sparsity: ti.f32, cell: ti.f32, name: ti.u32, plane: ti.u32, key: ti.u32) -> ti.f32:
    """Intensity of a Poisson number of scatterers, 1 on average, from that of countless ones (exponential).

    n equal scatterers in random phases have the intensity's mean n and second moment 2 n^2 - n; both are kept.
    """
    result = power
    if sparsity > cell * ti.static(1.0 / MANY):
        mean = cell / sparsity
        third, _ = philox(name, plane, key ^ ti.u32(0x5BD1E995))
        left, share, n = unit(third), ti.exp(-mean), 0
        while left > share and n < ti.static(4 * MANY):
            left -= share
            n += 1
            share *= mean / n
        spread = ti.sqrt(1.0 - 1.0 / ti.max(n, 1))
        result = n / mean * (1.0 + spread * (power - 1.0))
    return result


@kernel
def _scatter(
    scatter: ti.types.ndarray(ti.f32, ndim=3),
    sparsity: ti.types.ndarray(ti.f32, ndim=3),
    cell: ti.types.ndarray(ti.f32, ndim=1),
    ratio: ti.f32,
    noise: ti.f32,
    key: ti.u32,
    counter: ti.u32,
    sparse: ti.template(),
    field: ti.types.ndarray(ti.f32, ndim=4),
):
    """Phase 0: scatterers and noise are drawn as one."""
    for i, b in ti.ndrange(field.shape[0], field.shape[1]):
        samples = field.shape[2]
        for s in range(samples):
            t = ti.max((s + 0.5) * ratio - 0.5, 0.0)
            rms = along(scatter, i, b, t)
            name, plane = ti.cast(b * samples + s, ti.u32), counter + ti.cast(i, ti.u32)
            first, second = philox(name, plane, key)
            power = -ti.log(unit(first))
            if ti.static(sparse):
                power = _counted(power, along(sparsity, i, b, t), cell[s], name, plane, key)
            radius = ti.sqrt(power * rms * rms - ti.log(unit(first)) * noise * noise)
            angle = ti.static(2.0 * math.pi) * unit(second)
            field[i, b, s, 0] = radius * ti.cos(angle)
            field[i, b, s, 1] = radius * ti.sin(angle)


@kernel
def _scatter_moved(
    scatter: ti.types.ndarray(ti.f32, ndim=3),
    sparsity: ti.types.ndarray(ti.f32, ndim=3),
    cell: ti.types.ndarray(ti.f32, ndim=1),
    ratio: ti.f32,
    noise: ti.f32,
    key: ti.u32,
    counter: ti.u32,
    noise_key: ti.u32,
    noise_counter: ti.u32,
    slices: ti.i32,
    start: ti.types.ndarray(ti.f32, ndim=2),
    slope: ti.types.ndarray(ti.f32, ndim=2),
    step: ti.f32,
    steps_x: ti.types.ndarray(ti.f32, ndim=3),
    steps_y: ti.types.ndarray(ti.f32, ndim=3),
    steps_z: ti.types.ndarray(ti.f32, ndim=3),
    chart: ti.types.ndarray(ti.f32, ndim=3),
    corner: ti.math.vec2,
    per_voxel: ti.math.vec2,
    samples_then: ti.i32,
    step_then: ti.f32,
    turn: ti.f32,
    sparse: ti.template(),
    field: ti.types.ndarray(ti.f32, ndim=4),
):
    """A later phase: scatterers of phase 0 where they are now, and noise of its own."""
    for i, b in ti.ndrange(field.shape[0], field.shape[1]):
        samples = field.shape[2]
        z = slices + i
        k = ti.min(ti.max(z, 0), steps_x.shape[0] - 1)
        for s in range(samples):
            t = ti.max((s + 0.5) * ratio - 0.5, 0.0)
            rms = along(scatter, i, b, t)
            range_mm = (s + 0.5) * step
            y, x = start[b, 0] + range_mm * slope[b, 0], start[b, 1] + range_mm * slope[b, 1]
            row = (y + at_slice(steps_y, k, y, x) - corner.x) * per_voxel.x
            column = (x + at_slice(steps_x, k, y, x) - corner.y) * per_voxel.y
            beam, sample = at_slice(chart, 0, row, column), at_slice(chart, 1, row, column)
            scatterer = ti.cast(ti.round(beam), ti.i32) * samples_then + ti.cast(ti.round(sample), ti.i32)
            slice_then = z + ti.cast(ti.round(at_slice(steps_z, k, y, x)), ti.i32)
            name, plane = ti.cast(scatterer, ti.u32), counter + ti.cast(slice_then, ti.u32)
            first, second = philox(name, plane, key)
            power = -ti.log(unit(first))
            if ti.static(sparse):
                power = _counted(power, along(sparsity, i, b, t), cell[s], name, plane, key)
            radius = rms * ti.sqrt(power)
            won = range_mm - (sample + 0.5) * step_then
            angle = ti.static(2.0 * math.pi) * unit(second) - turn * won
            first, second = philox(
                ti.cast(b * samples + s, ti.u32), noise_counter + ti.cast(z + ti.static(FIRST), ti.u32), noise_key
            )
            loud = noise * ti.sqrt(-ti.log(unit(first)))
            other = ti.static(2.0 * math.pi) * unit(second)
            field[i, b, s, 0] = radius * ti.cos(angle) + loud * ti.cos(other)
            field[i, b, s, 1] = radius * ti.sin(angle) + loud * ti.sin(other)
