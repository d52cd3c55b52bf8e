"""Attenuation, spectra and CT numbers against spekpy and its tables of NIST's XCOM."""

from __future__ import annotations

import functools
from importlib.metadata import version

import numpy as np
import pytest
import xraydb

from engine.render.ct.attenuation import linear_attenuation
from engine.render.ct.bake_spectra import ALUMINIUM_MM, ANODE_DEG, COPPER_MM
from engine.render.ct.cupping import hardened
from engine.render.ct.number import ct_number, effective_attenuation
from engine.render.ct.spectrum import HARDENING_CM
from engine.tissue import Material, Tissue, load_table, resolve, tissue
from tests.engine.test_ct import apatite_slope, half_value_layer
from tests.oracles import package

spekpy = package("spekpy")
tables = package("spekpy.DataTables")

#: Energies that XCOM's table holds, keV: nothing is interpolated there.
TABULATED = np.array([20.0, 30, 40, 50, 60, 80, 100, 150])
TISSUES = {t.name: t for t in load_table().values() if t.hu is None and t.composition}
SOFT_HU = 200.0


@functools.cache
def tube(kvp: float):
    """The same tube and filters, computed now."""
    return spekpy.Spek(kvp=kvp, th=ANODE_DEG, dk=1.0).filter("Al", ALUMINIUM_MM).filter("Cu", COPPER_MM)


def attenuation(what: Tissue, energy_kev: np.ndarray) -> np.ndarray:
    """Linear attenuation in 1/cm, summed here over the elements."""
    total = sum(what.composition.values())
    mass = sum(share * xraydb.mu_elam(e, 1e3 * energy_kev) for e, share in what.composition.items()) / total
    return what.density_g_cm3 * mass + 1e-3 * what.iodine_mg_ml * xraydb.mu_elam("I", 1e3 * energy_kev)


def number(what: Tissue, kvp: float) -> float:
    """HU behind 20 cm of water, integrated here."""
    energy, fluence = tube(kvp).get_spectrum()
    water = attenuation(tissue("water"), energy)
    weight = energy * fluence * np.exp(-HARDENING_CM * water)
    return 1000.0 * (weight @ attenuation(what, energy) / (weight @ water) - 1.0)


@pytest.mark.parametrize("name", TISSUES)
def test_attenuation_is_that_of_xcom(name: str) -> None:
    what, xcom = TISSUES[name], tables.MuData("nist_mu.dat")
    total = sum(what.composition.values())
    found = linear_attenuation(what, TABULATED)
    expected = 1e-3 * what.iodine_mg_ml * xcom.get_mu_over_rho(53, TABULATED)
    for element, share in what.composition.items():
        mass = xcom.get_mu_over_rho(xraydb.atomic_number(element), TABULATED)
        expected = expected + what.density_g_cm3 * share / total * mass
    assert found == pytest.approx(expected.astype(float), rel=0.005)


@pytest.mark.parametrize("kvp", [80, 93, 100, 120, 135, 140])
def test_half_value_layer_and_water(kvp: int) -> None:
    assert half_value_layer(kvp) == pytest.approx(tube(kvp).get_hvl1(), rel=0.01)
    energy, fluence = tube(kvp).get_spectrum()
    water = attenuation(tissue("water"), energy)
    weight = energy * fluence * np.exp(-HARDENING_CM * water)
    assert effective_attenuation(tissue("water"), kvp) == pytest.approx(weight @ water / weight.sum(), rel=0.01)


@pytest.mark.parametrize("kvp", [80, 93, 120, 140])
def test_ct_numbers_of_all_tissues(kvp: int) -> None:
    for name, what in TISSUES.items():
        expected = number(what, kvp)
        margin = 2.0 if abs(expected) < SOFT_HU else 0.01 * abs(expected)
        assert ct_number(what, kvp) == pytest.approx(expected, abs=margin), name


@pytest.mark.parametrize("kvp", [80, 100, 120, 140])
def test_slopes_of_iodine_and_hydroxyapatite(kvp: int) -> None:
    """HU for 1 mg/mL more of iodine in blood, and for 1 mg/mL of hydroxyapatite added to water."""
    plain, enhanced = (resolve(Material(like="blood", iodine_mg_ml=c)) for c in (0, 5))
    ours, theirs = ((of(enhanced, kvp) - of(plain, kvp)) / 5.0 for of in (ct_number, number))
    assert ours == pytest.approx(theirs, rel=0.02)
    energy, fluence = tube(kvp).get_spectrum()
    water = attenuation(tissue("water"), energy)
    weight = energy * fluence * np.exp(-HARDENING_CM * water)
    apatite = tissue("hydroxyapatite")
    theirs = weight @ attenuation(apatite, energy) / apatite.density_g_cm3 / (weight @ water)
    assert apatite_slope(kvp) == pytest.approx(theirs, rel=0.02)


@pytest.mark.parametrize("cm", [1, 5, 10, 20, 30, 40])
def test_polychromatic_path_through_water(cm: int) -> None:
    energy, fluence = tube(120).get_spectrum()
    signal = energy * fluence / (energy @ fluence)
    expected = -np.log(signal @ np.exp(-cm * attenuation(tissue("water"), energy)))
    assert hardened(120, np.array([10.0 * cm]))[0] == pytest.approx(expected, rel=0.003)


def test_spectra_were_baked_by_this_version() -> None:
    """The tables of the package follow from spekpy bin by bin."""
    from engine.render.ct.bake_spectra import KVP
    from engine.render.ct.spectrum import read_spectra

    baked = read_spectra()
    if baked["made_with"]["spekpy"] != version("spekpy"):
        pytest.skip(f"spectra.json was made with spekpy {baked['made_with']['spekpy']}")
    for kvp in KVP:
        energy, fluence = tube(kvp).get_spectrum()
        table = baked["spectra"][str(kvp)]
        assert np.interp(table["energy_kev"], energy, fluence) == pytest.approx(np.array(table["fluence"]), rel=1e-4)
