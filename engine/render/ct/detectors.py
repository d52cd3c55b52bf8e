"""A row of detectors: the bow-tie before it, what it counts, and how its readings are corrected for water."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from engine.device import device
from engine.render.ct.attenuation import linear_attenuation
from engine.render.ct.dose import DETECTED, SOURCE_MM
from engine.render.ct.geometry import Rays
from engine.render.ct.materials import Nodes, attenuation
from engine.tissue import Tissue, tissue

#: Longest path of water that its correction knows, mm: next to nothing comes through.
LONGEST_MM = 1500.0
#: Powers of the projection in the correction of water, path / projection = sum of c_k projection^k.
POWERS = 7
_ALUMINIUM = Tissue.model_validate(
    dict(tissue("titanium")) | {"name": "aluminium", "density_g_cm3": 2.699, "composition": {"Al": 1.0}}
)


@dataclass(frozen=True)
class Detectors:
    """A row of detectors behind its bow-tie.

    Args:
        through: `[detector, energy]`, signal in front of the patient; it adds up to 1 without a bow-tie.
        correction: `[detector, power]`, millimetres of water over the projection, by powers of the projection.
        limit: `[detector]`, largest projection that is told from a larger one.
        variance: `[energy]`, variance over signal at each energy, in quanta of mean energy.
        quanta: photons that one detector counts in one view, without bow-tie and patient; inf without noise.
    """

    through: torch.Tensor
    correction: torch.Tensor
    limit: torch.Tensor
    variance: torch.Tensor
    quanta: float


def bowtie(rays: Rays, diameter_mm: float) -> np.ndarray:
    """Thickness of aluminium before each detector, mm: it makes up for what a water cylinder's chord lacks.

    For half of it, at 60 keV, so that a smaller patient's middle is not left in its shade.
    """
    t = rays.places() * rays.obliquity()  # distance of the ray from the axis
    missing = 0.5 * diameter_mm - 0.5 * np.sqrt(np.maximum(diameter_mm**2 - 4.0 * t**2, 0.0))
    at = np.array([60.0])
    return missing * float((linear_attenuation(tissue("water"), at) / linear_attenuation(_ALUMINIUM, at))[0])


def detectors(
    rays: Rays, spectrum: Nodes, bowtie_mm: float, mas: float | None, height_mm: float, corrected: bool
) -> Detectors:
    """The detectors of a scan.

    Args:
        bowtie_mm: diameter of the bow-tie's water cylinder; 0 for none.
        mas: tube current x rotation time; None for no noise.
        height_mm: of the detectors at the axis.
        corrected: whether the beam's hardening in water is.
    """
    energy = spectrum.energy_kev
    bow = np.outer(bowtie(rays, bowtie_mm), attenuation(_ALUMINIUM, energy))
    share = spectrum.weight * np.exp(-bow)
    per_mm2 = DETECTED * spectrum.quanta * (1000.0 / (rays.source_mm or SOURCE_MM)) ** 2
    counted = math.inf if mas is None else mas / rays.views * per_mm2 * rays.pitch_mm * height_mm
    factors, limits = _of_water(share, energy) if corrected else _constant(share, energy)
    through, correction, limit, variance = map(_tensor, (share, factors, limits, energy / spectrum.mean_kev))
    return Detectors(through, correction, limit, variance, counted)


def _of_water(through: np.ndarray, energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients `[detector, power]` of water's path over its hardened projection, and the largest projection."""
    mu = attenuation(tissue("water"), energy)
    path = np.linspace(0.0, 1.0, 120)[1:] ** 1.5 * LONGEST_MM
    air = through.sum(axis=1, keepdims=True)
    projection = -np.log((through @ np.exp(-np.outer(mu, path))) / air)
    scale = projection[:, -1:]
    powers = (projection / scale)[:, :, None] ** np.arange(POWERS)
    fitted = np.linalg.solve(
        powers.transpose(0, 2, 1) @ powers, powers.transpose(0, 2, 1) @ (path / projection)[:, :, None]
    )[:, :, 0]
    return fitted / scale ** np.arange(POWERS), scale[:, 0]


def _constant(through: np.ndarray, energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients that divide by water's attenuation behind 20 cm of it, whatever the path."""
    mu = attenuation(tissue("water"), energy)
    behind = through * np.exp(-mu * 200.0)
    out = np.zeros((len(through), POWERS))
    out[:, 0] = behind.sum(axis=1) / (behind @ mu)
    return out, np.full(len(through), 80.0)


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(device())
