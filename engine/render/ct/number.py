"""CT numbers of tissues."""

from __future__ import annotations

from engine.render.ct.attenuation import linear_attenuation
from engine.render.ct.spectrum import effective_spectrum
from engine.tissue import Tissue, tissue


def effective_attenuation(what: Tissue, kvp: float) -> float:
    """Linear attenuation in 1/cm, averaged over the spectrum behind 20 cm of water."""
    spectrum = effective_spectrum(kvp)
    return spectrum.mean(linear_attenuation(what, spectrum.energy_kev))


def ct_number(what: Tissue, kvp: float) -> float:
    """CT number in HU, 1000 (mu / mu_water - 1), at a tube voltage in kVp; the tissue's own `hu` where it has one."""
    if what.hu is not None:
        return what.hu
    return 1000.0 * (effective_attenuation(what, kvp) / effective_attenuation(tissue("water"), kvp) - 1.0)
