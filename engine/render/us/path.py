"""What happens to sound on its way: attenuation, reflection at interfaces, shadows with penumbra, dirty shadows.

Tissue is sampled along the beams. What interfaces reflect is lost to the path, just behind their echo. The aperture
sees a point from several directions: transmission is accumulated along sheared rays and averaged over them, which gives
shadows their penumbra (and lets small stones be seen around).

Where time of flight is asked for, samples are those of equal travel times: an echo from depth r appears where a
scanner that assumes 1540 m/s draws it, at the integral of 1540 / c along the beam.
"""

import math
from dataclasses import dataclass

import numpy as np
import taichi as ti
import torch

from engine.device import device, kernel
from engine.render.us import interfaces
from engine.render.us.acoustics import NEPER, Medium
from engine.render.us.interfaces import GEL, LEAST, at_slice, deposit, directivity, log_cosh
from engine.render.us.lattice import Lattice

#: Echo of a perfect flat mirror over the rms echo of liver, dB. From its backscatter coefficient, 0.5e-3 /cm/sr at
#: 3 MHz, times the aperture's solid angle at F/2 (0.2 sr) and the pulse's length (0.03 cm): -55 dB.
MIRROR_DB = 50.0
#: Ring-down of the transducer itself, dB over liver, and the range (mm) in which it falls to 1/e.
RINGING_DB, RINGING_MM = 12.0, 0.7
#: Echoes between gas and probe ("dirty shadow"): dB over liver at the gas, and the range (mm) in which it falls to 1/e.
DIRTY_DB, DIRTY_MM = -8.0, 20.0
#: Directions within the aperture, as shares of its half angle, and their weights.
DIRECTIONS = (-0.8, -0.4, 0.0, 0.4, 0.8)
WEIGHTS = (0.12, 0.24, 0.28, 0.24, 0.12)

_COUNT = len(DIRECTIONS)


@dataclass(frozen=True)
class Echoes:
    """Echo amplitudes in beam space, liver at the probe = 1, two-way losses included; float32 `[z, beam, sample]`.

    Args:
        scatter: rms of the incoherent echo of scatterers.
        specular: amplitude of the coherent echo of interfaces, the pulse's length included.
        sparsity: volume for each scatterer, mm^3, 0 where they are countless; None where they are everywhere.
        gas: share of gas-like reflection, 0 to 1.
    """

    scatter: torch.Tensor
    specular: torch.Tensor
    sparsity: torch.Tensor | None = None
    gas: torch.Tensor | None = None


def trace(
    medium: Medium, lattice: Lattice, slices: np.ndarray, spacing: tuple[float, ...], loss_db_mm: float
) -> Echoes:
    """Echo amplitudes of the given slices (indices along z, clamped to the volume).

    Args:
        medium: acoustic maps.
        lattice: beams; its `path_samples` are used.
        slices: indices along z.
        spacing: the grid's, mm, x y z.
        loss_db_mm: two-way loss of average tissue, dB/mm; reverberation fades with it.
    """
    shape = (len(slices), lattice.beams, lattice.path_samples)
    scatter, specular, loss, gas = (torch.empty(shape, dtype=torch.float32, device=device()) for _ in range(4))
    nothing = torch.zeros((1, 1, 1), dtype=torch.float32, device=device())
    sparsity = nothing if medium.sparsity is None else torch.empty_like(scatter)
    window = max(interfaces.WINDOW * lattice.voxel_mm, lattice.path_mm)
    flat, tail = lattice.profile
    _sample(
        medium.log_impedance,
        medium.attenuation,
        medium.scatter,
        nothing if medium.slowness is None else medium.slowness,
        nothing if medium.sparsity is None else medium.sparsity,
        _tensor(np.clip(slices, 0, medium.scatter.shape[0] - 1), torch.int32),
        _tensor(lattice.start),
        _tensor(lattice.slope),
        _tensor(lattice.entry),
        _tensor(np.array(spacing)),
        lattice.path_mm,
        window,
        flat,
        tail,
        math.ceil(1.25 * lattice.voxel_mm / lattice.path_mm),
        medium.slowness is not None,
        medium.sparsity is not None,
        scatter,
        specular,
        loss,
        gas,
        sparsity,
    )
    propagate(lattice, loss_db_mm, scatter, specular, loss, gas, by_planes=device().type == "cpu")
    return Echoes(scatter, specular, None if medium.sparsity is None else sparsity, gas)


def propagate(lattice: Lattice, loss_db_mm: float, *maps: torch.Tensor, by_planes: bool) -> None:
    """Apply two-way losses to the maps in place, sample by sample away from the probe.

    Args:
        lattice, loss_db_mm: as in `trace`.
        maps: scatter, specular, loss and gas of `_sample`.
        by_planes: whether each plane runs on one thread, which suits CPUs; else each sample is a kernel of its own.
    """
    planes, beams, samples = maps[0].shape
    state = torch.ones((planes, 2, _COUNT, beams), dtype=torch.float32, device=device())
    dirt = torch.zeros((planes, beams), dtype=torch.float32, device=device())
    f_number = max(lattice.probe.f_number, 0.6 * lattice.depth_mm / lattice.probe.aperture_mm)
    shift = _tensor(lattice.path_mm / (2.0 * f_number * lattice.pitch(lattice.path_ranges)))
    ringing = _tensor(10.0 ** (RINGING_DB / 20.0) * np.exp(-lattice.path_ranges / RINGING_MM))
    fade = math.exp(-lattice.path_mm / DIRTY_MM - loss_db_mm * lattice.path_mm * NEPER)
    given = (fade, shift, ringing, _tensor(lattice.element**2), state, dirt, *maps)
    if by_planes:
        _advance_planes(*given)
        return
    for s in range(samples):
        _advance_sample(s, *given)


def _tensor(array: np.ndarray, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(dtype).to(device())


@kernel
def _sample(
    log_impedance: ti.types.ndarray(ti.f32, ndim=3),
    attenuation: ti.types.ndarray(ti.f32, ndim=3),
    strength: ti.types.ndarray(ti.f32, ndim=3),
    slowness: ti.types.ndarray(ti.f32, ndim=3),
    rarity: ti.types.ndarray(ti.f32, ndim=3),
    slices: ti.types.ndarray(ti.i32, ndim=1),
    start: ti.types.ndarray(ti.f32, ndim=2),
    slope: ti.types.ndarray(ti.f32, ndim=2),
    entry: ti.types.ndarray(ti.f32, ndim=1),
    spacing: ti.types.ndarray(ti.f32, ndim=1),
    step: ti.f32,
    window: ti.f32,
    flat: ti.f32,
    tail: ti.f32,
    delay: ti.i32,
    timed: ti.template(),
    sparse: ti.template(),
    scatter: ti.types.ndarray(ti.f32, ndim=3),
    specular: ti.types.ndarray(ti.f32, ndim=3),
    loss: ti.types.ndarray(ti.f32, ndim=3),
    gas: ti.types.ndarray(ti.f32, ndim=3),
    sparsity: ti.types.ndarray(ti.f32, ndim=3),
):
    """Local echo amplitudes, one-way loss per sample (Np) and share of gas-like reflection."""
    mirror = ti.static(10.0 ** (MIRROR_DB / 20.0))
    for i, b in ti.ndrange(scatter.shape[0], scatter.shape[1]):
        k, last = slices[i], scatter.shape[2] - 1
        along = ti.math.vec2(slope[b, 0], slope[b, 1])
        first = ti.math.vec2(start[b, 0], start[b, 1])
        for s in range(scatter.shape[2]):
            specular[i, b, s] = 0.0
            loss[i, b, s] = 0.0
        here_before, side_before, rise_before, film_before, climbing = GEL, 0.0, 0.0, 0.0, 0
        due, paid, met = 0.0, 0.0, 0  # loss of the interface that is being crossed
        t, t_before = 0.5 * step, 0.0
        for s in range(scatter.shape[2]):
            advance = step
            if ti.static(not timed):
                t = (s + 0.5) * step
            p = first + t * along
            here, near, far = GEL, GEL, GEL
            if t + window >= entry[b]:
                far = at_slice(log_impedance, k, p[0] + window * along[0], p[1] + window * along[1])
            amplitude, damping = 0.0, 0.0
            if ti.static(sparse):
                sparsity[i, b, s] = at_slice(rarity, k, p[0], p[1]) if t >= entry[b] else 0.0
            if t >= entry[b]:
                here = at_slice(log_impedance, k, p[0], p[1])
                amplitude = at_slice(strength, k, p[0], p[1])
                if ti.static(timed):
                    advance = step / at_slice(slowness, k, p[0], p[1])
                damping = at_slice(attenuation, k, p[0], p[1]) * advance
            if t - window >= entry[b]:
                near = at_slice(log_impedance, k, p[0] - window * along[0], p[1] - window * along[1])
            rise = far - near
            side = 2.0 * here - near - far
            film = ti.max(here - ti.max(near, far), ti.min(near, far) - here, 0.0)
            largest = ti.max(ti.abs(rise), ti.abs(here - near), ti.abs(here - far))
            hollow = 0.0
            if largest > LEAST:
                crossed = rise * rise_before > 0.0 and side * rise >= 0.0 and side_before * rise < 0.0
                if crossed and ti.abs(rise) > LEAST:
                    share = side_before / (side_before - side)
                    middle = t_before + share * (t - t_before)
                    q = first + middle * along
                    ahead = at_slice(log_impedance, k, q[0] + window * along[0], q[1] + window * along[1])
                    behind = GEL
                    if middle - window >= entry[b]:
                        behind = at_slice(log_impedance, k, q[0] - window * along[0], q[1] - window * along[1])
                    jump = ti.abs(ahead - behind)
                    r = ti.tanh(0.5 * jump) * directivity(log_impedance, k, q, along, spacing)
                    deposit(specular, i, b, s - 1 + share, mirror * r, flat, tail)
                    due = log_cosh(0.5 * jump)
                    met += 1
                reflected = log_cosh(0.5 * largest) * ti.abs(here - here_before) / largest
                loss[i, b, ti.min(s + delay, last)] += reflected
                paid += reflected
                hollow = ti.min(ti.max((ti.tanh(0.5 * largest) - 0.8) / 0.19, 0.0), 1.0)
            else:
                if met == 1:  # where it begins and ends, the window holds only a part of its jump
                    loss[i, b, ti.min(s + delay, last)] += ti.max(due - paid, 0.0)
                due, paid, met = 0.0, 0.0, 0
            if film < film_before and climbing == 1 and film_before > LEAST:
                q = first + (t_before - 0.7 * window) * along
                r = ti.tanh(0.5 * film_before) * directivity(log_impedance, k, q, along, spacing)
                deposit(specular, i, b, s - 1.0, mirror * r, flat, tail)
            climbing = 1 if film > film_before else (climbing if film == film_before else 0)
            here_before, side_before, rise_before, film_before, t_before = here, side, rise, film, t
            t += advance
            scatter[i, b, s] = amplitude
            loss[i, b, s] += damping
            gas[i, b, s] = hollow


@ti.func
def _advance(
    i: ti.i32,
    b: ti.i32,
    s: ti.i32,
    fade: ti.f32,
    shift: ti.template(),
    ringing: ti.template(),
    element: ti.template(),
    state: ti.template(),
    dirt: ti.template(),
    scatter: ti.template(),
    specular: ti.template(),
    loss: ti.template(),
    gas: ti.template(),
) -> ti.i32:
    """Transmission up to sample `s` along each direction, from that up to the sample before; two-way amplitude there.

    An echo at `s` has passed what lies before it. `state` holds the transmissions of the last two samples by turns.
    """
    last = scatter.shape[1] - 1
    now, then = s % 2, 1 - s % 2
    through = 0.0
    passes = ti.exp(-loss[i, b, s])
    for j in ti.static(range(_COUNT)):
        at = ti.min(ti.max(b - shift[s] * ti.static(DIRECTIONS[j]), 0.0), ti.cast(last, ti.f32))
        left = ti.cast(at, ti.i32)
        right = ti.min(left + 1, last)
        before = state[i, now, j, left] + (at - left) * (state[i, now, j, right] - state[i, now, j, left])
        through += ti.static(WEIGHTS[j]) * before
        state[i, then, j, b] = before * passes
    amplitude = through * through * element[b]
    level = ti.max(dirt[i, b], ti.static(10.0 ** (DIRTY_DB / 20.0)) * amplitude * gas[i, b, s]) * fade
    dirt[i, b] = level
    own = scatter[i, b, s] * amplitude
    scatter[i, b, s] = ti.sqrt(own * own + level * level + ringing[s] * ringing[s])
    specular[i, b, s] *= amplitude
    return 0


@kernel
def _advance_sample(
    s: ti.i32,
    fade: ti.f32,
    shift: ti.types.ndarray(ti.f32, ndim=1),
    ringing: ti.types.ndarray(ti.f32, ndim=1),
    element: ti.types.ndarray(ti.f32, ndim=1),
    state: ti.types.ndarray(ti.f32, ndim=4),
    dirt: ti.types.ndarray(ti.f32, ndim=2),
    scatter: ti.types.ndarray(ti.f32, ndim=3),
    specular: ti.types.ndarray(ti.f32, ndim=3),
    loss: ti.types.ndarray(ti.f32, ndim=3),
    gas: ti.types.ndarray(ti.f32, ndim=3),
):
    """One sample of all beams, in parallel over planes and beams: for GPUs."""
    for i, b in ti.ndrange(scatter.shape[0], scatter.shape[1]):
        _advance(i, b, s, fade, shift, ringing, element, state, dirt, scatter, specular, loss, gas)


@kernel
def _advance_planes(
    fade: ti.f32,
    shift: ti.types.ndarray(ti.f32, ndim=1),
    ringing: ti.types.ndarray(ti.f32, ndim=1),
    element: ti.types.ndarray(ti.f32, ndim=1),
    state: ti.types.ndarray(ti.f32, ndim=4),
    dirt: ti.types.ndarray(ti.f32, ndim=2),
    scatter: ti.types.ndarray(ti.f32, ndim=3),
    specular: ti.types.ndarray(ti.f32, ndim=3),
    loss: ti.types.ndarray(ti.f32, ndim=3),
    gas: ti.types.ndarray(ti.f32, ndim=3),
):
    """All samples, in parallel over planes, whose state then stays in the cache: for CPUs."""
    for i in range(scatter.shape[0]):
        for s in range(scatter.shape[2]):
            for b in range(scatter.shape[1]):
                _advance(i, b, s, fade, shift, ringing, element, state, dirt, scatter, specular, loss, gas)
