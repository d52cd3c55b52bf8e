"""The main field near tissues of different susceptibility, and what it does to signals."""

from __future__ import annotations

import numpy as np
import torch

from engine.device import device
from engine.render.mr.spins import HZ_T_PPM
from engine.render.serial import serial
from engine.volume import Volume

#: Voxels with less proton density do not count in shimming.
VISIBLE = 0.1
#: Half of the band that a slice-selective pulse excites, Hz; spins further off give no signal.
BAND_HZ = 2000.0
#: Largest turn, radians, from one value of a table over the field to the next (linear in between: 3e-4 off).
FINEST = 0.05
#: Most values of such a table.
MOST = 8192
#: Values in between that voxels are looked up at.
FINER = 32


@serial()
def off_resonance(volume: Volume, field_t: float, strength: float = 1.0) -> torch.Tensor:
    """Resonance of each voxel relative to the scanner's, Hz, float32 `[z, y, x]`, after shimming.

    The field of magnetised matter by the dipole kernel, dB / B0 = F^-1[(1/3 - k_z^2 / k^2) F[chi]] with z the patient's
    (Salomir et al. 2003, doi 10.1002/cmr.b.10083; Marques and Bowtell 2005, doi 10.1002/cmr.b.20034). Beyond the grid's
    sides lies more of what is at its edge; along the slice axis the body goes on. The shim is the constant and the
    gradients that fit best where there is signal.
    """
    chi = volume.mix([s.tissue.chi_ppm for s in volume.structures])
    shifted = _dipole(chi, volume.grid.axes)
    visible = volume.mix([s.tissue.pd for s in volume.structures]) > VISIBLE
    return _shimmed(shifted, visible).mul_(HZ_T_PPM * field_t * strength)


def _dipole(chi: torch.Tensor, axes: np.ndarray) -> torch.Tensor:
    """The field's shift in ppm; `axes` are the grid's, mm."""
    nz, ny, nx = chi.shape
    edge = float(
        torch.cat([chi[:, 0].flatten(), chi[:, -1].flatten(), chi[:, :, 0].flatten(), chi[:, :, -1].flatten()]).mean()
    )
    padded = [nz, _room(ny), _room(nx)]
    spectrum = torch.fft.rfftn(chi - edge, s=padded)
    cycles = np.linalg.inv(axes)  # rows: gradient of each index in cycles per mm
    frequencies = [torch.fft.fftfreq(padded[0]), torch.fft.fftfreq(padded[1]), torch.fft.rfftfreq(padded[2])]
    kz, ky, kx = torch.meshgrid(*(s.to(device()) for s in frequencies), indexing="ij")
    world = [cycles[0, i] * kx + cycles[1, i] * ky + cycles[2, i] * kz for i in range(3)]
    square = world[0] ** 2 + world[1] ** 2 + world[2] ** 2
    kernel = 1.0 / 3.0 - world[2] ** 2 / square.clamp(min=1e-20)
    kernel[0, 0, 0] = 0.0
    return torch.fft.irfftn(spectrum * kernel, s=padded)[:nz, :ny, :nx].contiguous()


def _room(count: int) -> int:
    """Voxels to work on, so that copies of the body keep away."""
    return 16 * -(-3 * count // 32)


def _shimmed(field: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    step = [max(1, n // 32) for n in field.shape]
    thin = (slice(None, None, step[0]), slice(None, None, step[1]), slice(None, None, step[2]))
    axes = [
        torch.linspace(-1, 1, n, dtype=torch.float64) if n > 1 else torch.zeros(1, dtype=torch.float64)
        for n in field.shape
    ]
    terms = torch.stack([g[thin].flatten() for g in torch.meshgrid(*axes, indexing="ij")], dim=1)
    chosen = visible[thin].flatten().cpu()
    if int(chosen.sum()) < 8:
        return field
    terms = torch.cat([torch.ones(len(terms), 1, dtype=torch.float64), terms], dim=1)[chosen]
    seen = field[thin].flatten().cpu()[chosen].double()
    fit = torch.linalg.lstsq(terms, seen[:, None], driver="gelsd").solution[:, 0].tolist()
    for axis, slope in enumerate(fit[1:]):
        shape = [-1 if k == axis else 1 for k in range(3)]
        field = field - (slope * axes[axis]).float().to(field.device).view(shape)
    return field - fit[0]


def dephasing(field_hz: torch.Tensor, te_ms: float) -> torch.Tensor:
    """What the field's slope within a voxel leaves of a gradient echo: the product of sinc(df TE) over the axes."""
    out = torch.ones_like(field_hz)
    for axis, count in enumerate(field_hz.shape):
        if count > 1:
            out *= torch.sinc(1e-3 * te_ms * torch.gradient(field_hz, dim=axis)[0])
    return out


def steps(field_hz: torch.Tensor, seconds: float) -> np.ndarray:
    """Evenly spaced values of the field within the band, for tables of what it does in a time."""
    low, high = max(float(field_hz.min()), -BAND_HZ), min(float(field_hz.max()), BAND_HZ)
    high = max(high, low + 1e-3)
    count = int(np.clip(2.0 * np.pi * seconds * (high - low) / FINEST, 64, MOST))
    return np.linspace(low, high, count)


def look_up(table: np.ndarray, at: np.ndarray, field_hz: torch.Tensor) -> torch.Tensor:
    """A complex function of the field, given at the values `at`, in every voxel; the nearest of FINER times as many."""
    fine = np.linspace(at[0], at[-1], FINER * (len(at) - 1) + 1)
    values = np.interp(fine, at, table.real) + 1j * np.interp(fine, at, table.imag)
    nearest = field_hz.sub(float(at[0])).mul_((len(fine) - 1) / float(at[-1] - at[0])).add_(0.5)
    index = nearest.clamp_(0, len(fine) - 1).to(torch.int32)
    return torch.from_numpy(values.astype(np.complex64)).to(field_hz.device)[index]
