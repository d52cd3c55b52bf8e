"""The few numbers that polychromatic projection needs: energies, and materials that every tissue is a mixture of."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import qr

from engine.render.ct.attenuation import linear_attenuation
from engine.render.ct.spectrum import tube_output
from engine.tissue import Tissue, tissue

#: Energies that stand for the spectrum below and above iodine's K edge, which is a step in what is integrated.
IODINE_KEV, NODES = 33.17, (3, 7)
#: Largest error of a tissue's attenuation as a mixture, relative to water's or its own, whichever is more.
TOLERANCE = 5e-4


@dataclass(frozen=True)
class Nodes:
    """Energies and weights that integrate over what the detector sees of the tube's spectrum.

    Args:
        energy_kev: the energies.
        weight: share of the signal at each; they add up to 1.
        mean_kev: mean energy of the photons.
        quanta: photons per mm^2 and mAs, 1 m from the focus.
    """

    energy_kev: np.ndarray
    weight: np.ndarray
    mean_kev: float
    quanta: float


@functools.lru_cache(maxsize=64)
def nodes(kvp: float) -> Nodes:
    """The energies that stand for the spectrum of an energy-integrating detector's signal, E phi(E)."""
    energy, photons = tube_output(kvp)
    signal = energy * photons / (energy @ photons)
    below = energy < IODINE_KEV
    parts = [_gauss(energy[part], signal[part], n) for part, n in zip((below, ~below), NODES, strict=True)]
    energies, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Nodes(energies, weights, float(energy @ photons / photons.sum()), float(photons.sum()) / 100.0)


def _gauss(energy: np.ndarray, signal: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of Gauss quadrature, exact for polynomials of the energy up to degree 2 count - 1.

    From the Lanczos matrix of the discrete measure (Golub and Welsch 1969, Math Comput 23:221).
    """
    span = energy[-1] - energy[0]
    x, vector = (energy - energy[0]) / span, np.sqrt(signal / signal.sum())
    basis, diagonal, beside = [vector], [], []
    for _ in range(count):
        diagonal.append(float(basis[-1] @ (x * basis[-1])))
        rest = x * basis[-1]
        for _ in range(2):  # twice, or rounding lets the vectors grow alike
            for other in basis:
                rest = rest - (other @ rest) * other
        beside.append(float(np.linalg.norm(rest)))
        basis.append(rest / beside[-1])
    values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1))
    return energy[0] + span * values, signal.sum() * vectors[0] ** 2


def attenuation(what: Tissue, energy_kev: np.ndarray) -> np.ndarray:
    """Linear attenuation in 1/mm; that of water times 1 + hu / 1000 where the tissue has a CT number of its own."""
    if what.hu is not None:
        return (1.0 + what.hu / 1000.0) * linear_attenuation(tissue("water"), energy_kev) / 10.0
    return linear_attenuation(what, energy_kev) / 10.0


@dataclass(frozen=True)
class Mixtures:
    """Tissues as mixtures of a few of them.

    Args:
        shares: `[tissue, material]`; may be negative.
        attenuation: `[material, energy]` in 1/mm.
    """

    shares: np.ndarray
    attenuation: np.ndarray


def mixtures(tissues: Sequence[Tissue], energy_kev: np.ndarray) -> Mixtures:
    """The fewest of `tissues` that all others are mixtures of at `energy_kev`, picked by pivoted QR."""
    table = np.array([attenuation(t, energy_kev) for t in tissues])
    scale = np.maximum(table, attenuation(tissue("water"), energy_kev))
    _, _, order = qr((table / np.linalg.norm(scale, axis=1, keepdims=True)).T, mode="economic", pivoting=True)
    for count in range(1, len(tissues) + 1):
        chosen = table[order[:count]]
        shares = np.stack([_fit(row, chosen, over) for row, over in zip(table, scale, strict=True)])
        if np.abs((shares @ chosen - table) / scale).max() < TOLERANCE:
            break
    return Mixtures(shares, chosen)


def _fit(row: np.ndarray, chosen: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Shares of `chosen` that make `row`, with errors relative to `scale`."""
    return np.linalg.lstsq((chosen / scale).T, row / scale, rcond=1e-9)[0]
