"""Speckle and contrast against the simulators SonoSK and PyMUST."""

from __future__ import annotations

import numpy as np
import pytest

from engine.random import Stream
from engine.render.us import speckle
from tests.engine.test_us_beam import constant, flat
from tests.oracles import package

STREAM = Stream.of(7, "us")
#: MHz, F-number, and the mm^2 of a resolution cell: -6 dB lateral times axial width.
MHZ, F_NUMBER = 7.6, 1.5
CELL_MM2 = 1.207 * 1.54 / MHZ * F_NUMBER * 0.16


def ours(scatterers_per_cell: float) -> np.ndarray:
    """Envelopes near the focus with that many scatterers in a cell of -6 dB widths."""
    lattice, filters = flat()
    near = np.abs(lattice.ranges - 40) < 6
    # what counts is (int h^2)^2 / int h^4: 1.064 widths of a Gaussian, 1.243 of the simulators' lateral sinc
    lengths = 1.064**3 * filters.lateral_mm[near] * filters.axial_mm * filters.elevation_mm[near]
    sparsity = lengths.mean() / (1.243 * 1.064) / scatterers_per_cell
    echoes = constant(lattice, filters, 3, 1.0, sparsity=sparsity)
    return speckle.envelope(echoes, filters, lattice, 0, 0.0, STREAM).cpu().numpy()[..., near]


def snr(envelope: np.ndarray) -> float:
    return float(envelope.mean(dtype=float) / envelope.std(dtype=float))


def simulated(scatterers_per_cell: float, seed: int) -> np.ndarray:
    """An envelope by SonoSK, a plane wave into 12 x 8 mm of equal scatterers."""
    imaging, transducer = package("sonosk.imaging"), package("sonosk.transducer")
    rng = np.random.default_rng(seed)
    count = round(scatterers_per_cell * 96.0 / CELL_MM2)
    x, z = rng.uniform(-6e-3, 6e-3, count), rng.uniform(0.016, 0.024, count)
    probe, wave = transducer.linear_array(128, pitch=3e-4, height=5e-3), imaging.Transmit.plane(0.0)
    places = np.stack([x, 0 * x, z], axis=1)
    heard, rate = imaging.simulate(probe, wave, places, np.ones(count), imaging.Pulse(1e6 * MHZ, 0.6), depth=0.026)
    shown = np.linspace(-4e-3, 4e-3, 161), np.linspace(0.017, 0.023, 241)
    return np.abs(imaging.beamform(heard, rate, probe, wave, *shown, f_number=F_NUMBER, window="rect"))


@pytest.mark.parametrize("scatterers_per_cell", [1.2, 4.9, 19.6])
def test_few_scatterers_and_many(scatterers_per_cell: float) -> None:
    theirs = np.mean([snr(simulated(scatterers_per_cell, seed)) for seed in range(4)])
    assert snr(ours(scatterers_per_cell)) == pytest.approx(theirs, abs=0.06)


def test_developed_speckle_and_a_lesion_by_their_measures() -> None:
    quality = package("sonosk.quality")
    lattice, filters = flat()
    tissue, lesion = (
        speckle.envelope(constant(lattice, filters, 2, v), filters, lattice, 0, 0.0, STREAM.child(str(v))).cpu().numpy()
        for v in (1.0, 10 ** (-6 / 20))
    )
    assert quality.speckle_snr(tissue) == pytest.approx(quality.RAYLEIGH_SNR, abs=0.06)
    assert quality.contrast_db(lesion, tissue) == pytest.approx(-6.0, abs=0.5)
    assert quality.gcnr(lesion, tissue) == pytest.approx(0.471, abs=0.04)


def test_few_scatterers_as_pymust_hears_them() -> None:
    """Fewer places than SonoSK's, for it takes 2 ms for each scatterer: some 170 cells."""
    pymust = package("pymust")
    per_cell, rng = 4.9, np.random.default_rng(1)
    width, depth = 7.0, 5.0
    count = round(per_cell * width * depth / CELL_MM2)
    x, z = 1e-3 * rng.uniform(-width / 2, width / 2, count), 1e-3 * rng.uniform(17.5, 17.5 + depth, count)
    param = pymust.getparam("L11-5v")
    param.fs, param.fnumber = 4 * param.fc, F_NUMBER
    options = pymust.utils.Options()
    options.ParPool, options.dBThresh = False, -60
    waves = np.zeros((1, 128))
    signals, _ = pymust.simus(x, z, np.ones(count), waves, param, options)
    base = pymust.rf2iq(signals, param.fs, param.fc)
    param.t0 = np.zeros(1)
    shown = np.meshgrid(np.linspace(-2.5e-3, 2.5e-3, 126), np.linspace(0.0185, 0.0215, 151))
    formed = pymust.dasmtx(base, *shown, waves, param) @ base.ravel(order="F")
    assert snr(ours(per_cell)) == pytest.approx(snr(np.abs(formed)), abs=0.15)
