"""Acoustic properties of a volume's voxels: impedance, attenuation and scattering strength.

Two structures that share a voxel are mixed by coverage: the logarithm of impedance linearly, attenuation linearly, and
scattering by power.
"""

import math
from dataclasses import dataclass

import numpy as np
import taichi as ti
import torch

from engine.device import device, kernel
from engine.random import Stream
from engine.render.texture import heterogeneity
from engine.tissue import Tissue
from engine.volume import Volume

#: Impedance (MRayl) below which a tissue is gas; the densest lung has about 1, fat 1.3.
GAS_MRAYL = 0.05
#: Impedance (MRayl) above which a probe cannot stand in a tissue: bone, stone, metal.
HARD_MRAYL = 2.2
#: Impedance of coupling gel, MRayl: water's.
GEL_MRAYL = 1.5
#: Speed of sound that scanners assume, m/s.
SOUND_SPEED = 1540.0
#: Nepers per decibel.
NEPER = math.log(10.0) / 20.0


def impedance(tissue: Tissue) -> float:
    """Characteristic acoustic impedance Z = rho c, MRayl."""
    return tissue.density_g_cm3 * tissue.sound_speed_m_s * 1e-3


def reflection(first: float, second: float) -> float:
    """Pressure reflection coefficient (Z2 - Z1) / (Z2 + Z1) at normal incidence; energy reflects with its square.

    It equals tanh(ln(Z2/Z1) / 2), which is how the beams evaluate it from interpolated ln Z.
    """
    return (second - first) / (second + first)


def attenuation(tissue: Tissue, frequency_mhz: float) -> float:
    """One-way attenuation a0 f^y at `frequency_mhz`, dB/cm."""
    return tissue.attenuation_db_cm * frequency_mhz**tissue.attenuation_power


@dataclass(frozen=True)
class Medium:
    """Acoustic maps on the volume's grid, each float32 `[z, y, x]`.

    Args:
        log_impedance: ln(Z / 1 MRayl).
        attenuation: one-way, Np/mm at the centre frequency.
        scatter: rms amplitude of scattered echoes, liver = 1.
        sparsity: volume for each scatterer, mm^3, 0 where they are countless; None where they are everywhere.
        slowness: the speed of sound that scanners assume over the tissue's; None unless asked for.
    """

    log_impedance: torch.Tensor
    attenuation: torch.Tensor
    scatter: torch.Tensor
    sparsity: torch.Tensor | None = None
    slowness: torch.Tensor | None = None

    @classmethod
    def of(cls, volume: Volume, frequency_mhz: float, stream: Stream, timed: bool = False) -> "Medium":
        """The acoustic maps of `volume`, with slowness if `timed`.

        Gas around the body (a background of gas) counts as coupling gel.
        """
        table = np.array([_row(s.tissue, frequency_mhz) for s in volume.structures], np.float32)
        if is_gas(volume.structures[0].tissue):
            table[0] = (math.log(GEL_MRAYL), 0.0, 0.0)
        maps = [torch.empty(volume.grid.shape, dtype=torch.float32, device=device()) for _ in range(3)]
        _mix(
            volume.top.contiguous(),
            volume.under.contiguous(),
            volume.coverage.contiguous(),
            torch.from_numpy(table).to(device()),
            *maps,
        )
        maps[2] *= heterogeneity(volume, [s.tissue.texture for s in volume.structures], stream, of="us")
        tissues = [s.tissue for s in volume.structures]
        sparse = [1.0 / t.scatterers_mm3 if t.scatterers_mm3 else 0.0 for t in tissues]
        # gas sends nothing back from within: its speed would only fold up what lies behind it
        slow = [1.0 if is_gas(t) else SOUND_SPEED / t.sound_speed_m_s for t in tissues]
        log_impedance, damping, scatter = maps
        return cls(
            log_impedance,
            damping,
            scatter,
            sparsity=volume.mix(sparse) if any(sparse) else None,
            slowness=volume.mix(slow) if timed else None,
        )


def is_gas(tissue: Tissue) -> bool:
    """Whether a tissue reflects sound as gas does."""
    return impedance(tissue) < GAS_MRAYL


def _row(tissue: Tissue, frequency_mhz: float) -> tuple[float, ...]:
    """ln Z, attenuation in Np/mm, scattered power (liver = 1)."""
    return (
        math.log(max(impedance(tissue), 1e-4)),
        attenuation(tissue, frequency_mhz) * NEPER / 10.0,
        10.0 ** (tissue.backscatter_db / 10.0),
    )


@kernel
def _mix(
    top: ti.types.ndarray(ti.u8, ndim=3),
    under: ti.types.ndarray(ti.u8, ndim=3),
    coverage: ti.types.ndarray(ti.u8, ndim=3),
    table: ti.types.ndarray(ti.f32, ndim=2),
    log_impedance: ti.types.ndarray(ti.f32, ndim=3),
    attenuation: ti.types.ndarray(ti.f32, ndim=3),
    scatter: ti.types.ndarray(ti.f32, ndim=3),
):
    for z, y, x in top:
        a, b = ti.cast(top[z, y, x], ti.i32), ti.cast(under[z, y, x], ti.i32)
        share = ti.cast(coverage[z, y, x], ti.f32) / 255.0
        log_impedance[z, y, x] = table[b, 0] + share * (table[a, 0] - table[b, 0])
        attenuation[z, y, x] = table[b, 1] + share * (table[a, 1] - table[b, 1])
        scatter[z, y, x] = ti.sqrt(table[b, 2] + share * (table[a, 2] - table[b, 2]))
