"""X-ray attenuation of tissues from their elements."""

from __future__ import annotations

import functools

import numpy as np

from engine.tissue import Tissue


def linear_attenuation(tissue: Tissue, energy_kev: np.ndarray) -> np.ndarray:
    """Linear attenuation coefficient in 1/cm, mu(E) = density * sum_i w_i (mu/rho)_i(E), at each energy.

    Mass fractions are normalised to 1. Iodine is added to the volume: it does not displace the tissue. A tissue's `hu`
    is not looked at. Mass attenuation with coherent scatter after Elam et al. 2002, Radiat Phys Chem 63:121, from
    xraydb.
    """
    energies = tuple(energy_kev.tolist())
    total = sum(tissue.composition.values())
    mass = sum((share / total * _mass_attenuation(element, energies) for element, share in tissue.composition.items()))
    return tissue.density_g_cm3 * mass + 1e-3 * tissue.iodine_mg_ml * _mass_attenuation("I", energies)


@functools.lru_cache(maxsize=1024)
def _mass_attenuation(element: str, energies_kev: tuple[float, ...]) -> np.ndarray:
    """Mass attenuation coefficient of an element in cm^2/g."""
    import xraydb  # here, because its database takes a second to open and few commands need it

    return np.asarray(xraydb.mu_elam(element, 1e3 * np.array(energies_kev)))
