"""What happens to sound on its way: attenuation, reflection at interfaces, shadows with penumbra, reverberation.

Tissue is sampled along the beams. Between materials, R = tanh(d lnZ / 2) of the jump of ln Z over 2.5 voxels, so that
an interface blurred by partial volume reflects as the sharp one it stands for; what is reflected is lost to the path.
The aperture sees a point from several directions: the loss is accumulated along sheared rays and the transmitted
amplitude averaged over them, which gives shadows their penumbra (and lets small stones be seen around).
"""

import math
from dataclasses import dataclass

import numpy as np
import taichi as ti
import torch

from engine.device import device, kernel
from engine.render.us.acoustics import GEL_MRAYL, NEPER, Medium
from engine.render.us.lattice import Lattice

#: Echo of a perfect flat mirror over the rms echo of liver, dB. From its backscatter coefficient, 0.5e-3 /cm/sr at
#: 3 MHz, times the aperture's solid angle at F/2 (0.2 sr) and the pulse's length (0.03 cm): -55 dB.
MIRROR_DB = 50.0
#: Half length (voxels) of the window in which a jump of ln Z is one interface: partial volume spreads it over 1 to 2.
WINDOW = 1.25
#: Angle (degrees) at which the specular echo of a tissue interface has fallen to 1/e: aperture and roughness together.
SPECULAR_DEG = 16.0
#: Share of an interface's echo that rough scattering sends back whatever the angle.
DIFFUSE = 0.06
#: Ring-down of the transducer itself, dB over liver, and the range (mm) in which it falls to 1/e.
RINGING_DB, RINGING_MM = 12.0, 0.7
#: Echoes between gas and probe ("dirty shadow"): dB over liver at the gas, and the range (mm) in which it falls to 1/e.
DIRTY_DB, DIRTY_MM = -8.0, 20.0
#: Directions within the aperture, as shares of its half angle, and their weights.
DIRECTIONS = (-0.8, -0.4, 0.0, 0.4, 0.8)
WEIGHTS = (0.12, 0.24, 0.28, 0.24, 0.12)

_GEL = math.log(GEL_MRAYL)
_TAN2 = math.tan(math.radians(SPECULAR_DEG)) ** 2
_COUNT = len(DIRECTIONS)


@dataclass(frozen=True)
class Echoes:
    """Echo amplitudes in beam space, liver at the probe = 1, two-way losses included; float32 `[z, beam, sample]`.

    Args:
        scatter: rms of the incoherent echo of scatterers.
        specular: amplitude of the coherent echo of interfaces.
    """

    scatter: torch.Tensor
    specular: torch.Tensor


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
    nz = medium.scatter.shape[0]
    _sample(
        medium.log_impedance,
        medium.attenuation,
        medium.scatter,
        _tensor(np.clip(slices, 0, nz - 1), torch.int32),
        _tensor(lattice.start),
        _tensor(lattice.slope),
        _tensor(lattice.entry),
        _tensor(np.array(spacing)),
        lattice.path_mm,
        WINDOW * lattice.voxel_mm,
        scatter,
        specular,
        loss,
        gas,
    )
    _propagate(lattice, loss_db_mm, scatter, specular, loss, gas)
    return Echoes(scatter, specular)


def _propagate(lattice: Lattice, loss_db_mm: float, *maps: torch.Tensor) -> None:
    """Apply two-way losses to the maps in place, sample by sample away from the probe."""
    planes, beams, samples = maps[0].shape
    now, then = (torch.zeros((_COUNT, planes, beams), dtype=torch.float32, device=device()) for _ in range(2))
    dirt = torch.zeros((planes, beams), dtype=torch.float32, device=device())
    f_number = max(lattice.probe.f_number, 0.6 * lattice.depth_mm / lattice.probe.aperture_mm)
    shift = lattice.path_mm / (2.0 * f_number * lattice.pitch(lattice.path_ranges))
    fade = math.exp(-lattice.path_mm / DIRTY_MM - loss_db_mm * lattice.path_mm * NEPER)
    for i in range(samples):
        _advance(i, float(shift[i]), fade, lattice.path_ranges[i], now, then, dirt, *maps)
        now, then = then, now


def _tensor(array: np.ndarray, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(dtype).to(device())


@ti.func
def at_slice(field: ti.template(), k: ti.i32, y: ti.f32, x: ti.f32) -> ti.f32:
    """Bilinear value in slice k, clamped to the grid."""
    fy = ti.min(ti.max(y, 0.0), field.shape[1] - 1.0)
    fx = ti.min(ti.max(x, 0.0), field.shape[2] - 1.0)
    iy, ix = ti.cast(fy, ti.i32), ti.cast(fx, ti.i32)
    jy, jx = ti.min(iy + 1, field.shape[1] - 1), ti.min(ix + 1, field.shape[2] - 1)
    wy, wx = fy - iy, fx - ix
    upper = field[k, iy, ix] + wx * (field[k, iy, jx] - field[k, iy, ix])
    lower = field[k, jy, ix] + wx * (field[k, jy, jx] - field[k, jy, ix])
    return upper + wy * (lower - upper)


@ti.func
def _directivity(gradient, along: ti.f32) -> ti.f32:
    """Share of an interface's echo that comes back, from the gradient of ln Z (per mm) and its part along the beam."""
    across2 = ti.max(gradient.dot(gradient) - along * along, 0.0)
    return DIFFUSE + (1.0 - DIFFUSE) * ti.exp(-across2 / ti.max(_TAN2 * along * along, 1e-12))


@ti.func
def _log_cosh(x: ti.f32) -> ti.f32:
    """ln cosh x for x >= 0, without overflow."""
    return x + ti.log(0.5 * (1.0 + ti.exp(-2.0 * x)))


@kernel
def _sample(
    log_impedance: ti.types.ndarray(ti.f32, ndim=3),
    attenuation: ti.types.ndarray(ti.f32, ndim=3),
    strength: ti.types.ndarray(ti.f32, ndim=3),
    slices: ti.types.ndarray(ti.i32, ndim=1),
    start: ti.types.ndarray(ti.f32, ndim=2),
    slope: ti.types.ndarray(ti.f32, ndim=2),
    entry: ti.types.ndarray(ti.f32, ndim=1),
    spacing: ti.types.ndarray(ti.f32, ndim=1),
    step: ti.f32,
    window: ti.f32,
    scatter: ti.types.ndarray(ti.f32, ndim=3),
    specular: ti.types.ndarray(ti.f32, ndim=3),
    loss: ti.types.ndarray(ti.f32, ndim=3),
    gas: ti.types.ndarray(ti.f32, ndim=3),
):
    """Local echo amplitudes, one-way loss per sample (Np) and share of gas-like reflection."""
    mirror = ti.static(10.0 ** (MIRROR_DB / 20.0))
    for i, b in ti.ndrange(scatter.shape[0], scatter.shape[1]):
        k = slices[i]
        before = _GEL
        for s in range(scatter.shape[2]):
            t = (s + 0.5) * step
            y, x = start[b, 0] + t * slope[b, 0], start[b, 1] + t * slope[b, 1]
            dy, dx = window * slope[b, 0], window * slope[b, 1]
            here, near = _GEL, _GEL
            far = at_slice(log_impedance, k, y + dy, x + dx) if t + window >= entry[b] else _GEL
            amplitude, damping = 0.0, 0.0
            if t >= entry[b]:
                here = at_slice(log_impedance, k, y, x)
                amplitude = at_slice(strength, k, y, x)
                damping = at_slice(attenuation, k, y, x) * step
            if t - window >= entry[b]:
                near = at_slice(log_impedance, k, y - dy, x - dx)
            # a step of ln Z between `near` and `far`, and what sticks out of it: a film thinner than the window
            jump = ti.abs(far - near)
            film = ti.max(here - ti.max(near, far), ti.min(near, far) - here, 0.0)
            largest = ti.max(jump, ti.abs(here - near), ti.abs(here - far))
            echo, hollow = 0.0, 0.0
            if largest > 1e-4:
                # 1 where ln Z is half way, 0 on either side; flat-topped, so that no sample misses the peak
                uneven = 2.0 * (here - near) * (far - near) / ti.max(jump * jump, 1e-12) - 1.0
                place = ti.max(1.0 - uneven * uneven * uneven * uneven, 0.0)
                r = ti.tanh(0.5 * jump) * place + ti.tanh(0.5 * film)
                up, down = ti.max(k - 1, 0), ti.min(k + 1, log_impedance.shape[0] - 1)
                gradient = ti.math.vec3(
                    (at_slice(log_impedance, k, y, x + 1.0) - at_slice(log_impedance, k, y, x - 1.0))
                    / (2.0 * spacing[0]),
                    (at_slice(log_impedance, k, y + 1.0, x) - at_slice(log_impedance, k, y - 1.0, x))
                    / (2.0 * spacing[1]),
                    (at_slice(log_impedance, down, y, x) - at_slice(log_impedance, up, y, x)) / (2.0 * spacing[2]),
                )
                along = gradient[0] * slope[b, 1] * spacing[0] + gradient[1] * slope[b, 0] * spacing[1]
                echo = mirror * r * _directivity(gradient, along)
                damping += _log_cosh(0.5 * largest) * ti.abs(here - before) / largest
                hollow = ti.min(ti.max((ti.tanh(0.5 * largest) - 0.8) / 0.19, 0.0), 1.0)
            before = here
            scatter[i, b, s] = amplitude
            specular[i, b, s] = echo
            loss[i, b, s] = damping
            gas[i, b, s] = hollow


@kernel
def _advance(
    s: ti.i32,
    shift: ti.f32,
    fade: ti.f32,
    range_mm: ti.f32,
    now: ti.types.ndarray(ti.f32, ndim=3),
    then: ti.types.ndarray(ti.f32, ndim=3),
    dirt: ti.types.ndarray(ti.f32, ndim=2),
    scatter: ti.types.ndarray(ti.f32, ndim=3),
    specular: ti.types.ndarray(ti.f32, ndim=3),
    loss: ti.types.ndarray(ti.f32, ndim=3),
    gas: ti.types.ndarray(ti.f32, ndim=3),
):
    """Losses up to sample `s` along each direction, from those up to the sample before; two-way amplitude at `s`."""
    last = scatter.shape[1] - 1
    ringing = ti.static(10.0 ** (RINGING_DB / 20.0)) * ti.exp(-range_mm / RINGING_MM)
    for i, b in ti.ndrange(scatter.shape[0], scatter.shape[1]):
        through = 0.0
        for j in ti.static(range(_COUNT)):
            at = ti.min(ti.max(b - shift * ti.static(DIRECTIONS[j]), 0.0), ti.cast(last, ti.f32))
            left = ti.cast(at, ti.i32)
            right = ti.min(left + 1, last)
            sum_before = now[j, i, left] + (at - left) * (now[j, i, right] - now[j, i, left])
            through += ti.static(WEIGHTS[j]) * ti.exp(-sum_before)
            then[j, i, b] = sum_before + loss[i, b, s]
        amplitude = through * through
        level = ti.max(dirt[i, b], ti.static(10.0 ** (DIRTY_DB / 20.0)) * amplitude * gas[i, b, s]) * fade
        dirt[i, b] = level
        own = scatter[i, b, s] * amplitude
        scatter[i, b, s] = ti.sqrt(own * own + level * level + ringing * ringing)
        specular[i, b, s] *= amplitude
