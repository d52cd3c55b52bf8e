"""Cupping: what is left of the beam's hardening where a scanner does not correct all of it."""

from __future__ import annotations

import math

import numpy as np
import torch

from engine.render.ct.attenuation import linear_attenuation
from engine.render.ct.size import Size, in_plane
from engine.render.ct.spectrum import tube_output
from engine.tissue import tissue

#: Powers of the path that describe -log of the transmission through water, to 0.1 % up to 50 cm.
_POWERS = np.arange(1, 6)


def hardened(kvp: float, water_mm: np.ndarray) -> np.ndarray:
    """Projection -log(transmission) through water, as an energy-integrating detector sees it.

    p(L) = -log(sum E n exp(-mu L) / sum E n), Beer and Lambert's law over the tube's spectrum.
    """
    energy, fluence = tube_output(kvp)
    signal = energy * fluence
    mu = linear_attenuation(tissue("water"), energy) / 10.0
    return -np.log(np.exp(-np.multiply.outer(water_mm, mu)) @ (signal / signal.sum()))


def cup(kvp: float, diameter_mm: float) -> np.ndarray:
    """Reconstructed over true attenuation in a water cylinder without correction, its mean being 1.

    Returns coefficients of powers (k - 1) / 2, k = 1..5, of u = 1 - (r / R)^2. The path L^k through a disc, 2^k (R^2 -
    t^2)^(k/2), is the Radon transform of 2^k Gamma(k/2 + 1) / (sqrt(pi) Gamma((k+1)/2)) (R^2 - r^2)^((k-1)/2).
    """
    path = np.linspace(0.0, diameter_mm, 64)[1:]
    powers = (path[:, None] / diameter_mm) ** _POWERS
    fitted = np.linalg.lstsq(powers / path[:, None], hardened(kvp, path) / path, rcond=None)[0] / diameter_mm**_POWERS
    radon = [2.0**k * math.gamma(k / 2 + 1) / (math.sqrt(math.pi) * math.gamma((k + 1) / 2)) for k in _POWERS]
    terms = fitted * np.array(radon) * (0.5 * diameter_mm) ** (_POWERS - 1)
    return terms / (terms * 2.0 / (_POWERS + 1)).sum()  # equal areas have equal steps of u


def cupping(size: Size, like: torch.Tensor, spacing: tuple[float, float, float], kvp: float) -> torch.Tensor:
    """Factors of attenuation `[z, y, x]` that leave each slice as dark in its middle as no correction would.

    Each slice's patient is taken for the ellipse that has his moments.
    """
    x, y = in_plane(like, spacing)
    out = torch.ones_like(like)
    for z, (diameter, (cx, cy), spread) in enumerate(zip(size.water_mm, size.middle, size.spread, strict=True)):
        if diameter < 1.0 or np.linalg.det(spread) <= 0.0:
            continue  # air
        inverse = 0.25 * np.linalg.inv(spread)
        dx, dy = (x - cx)[None, :], (y - cy)[:, None]
        u = 1.0 - (inverse[0, 0] * dx * dx + 2.0 * inverse[0, 1] * dx * dy + inverse[1, 1] * dy * dy)
        root = u.clamp_(min=0.0).sqrt_()
        factor = torch.zeros_like(root)
        for term in cup(kvp, float(diameter))[::-1]:
            factor = factor * root + float(term)
        out[z] = factor.to(out.dtype)
    return out
