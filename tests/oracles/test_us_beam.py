"""Beams and losses against PyMUST's simulator, and against ultraspy's beamformer on its signals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.signal import hilbert

from engine.grid import Grid
from engine.random import Stream
from engine.render.us import aperture, psf
from engine.render.us.acoustics import SOUND_SPEED, Medium, attenuation
from engine.render.us.lattice import lay
from engine.render.us.path import trace
from engine.render.us.placement import Pose
from engine.render.us.probes.linear import Linear
from tests.engine.phantoms import build
from tests.engine.test_us import everywhere, plain
from tests.engine.test_us_beam import receive_width
from tests.oracles import package

pymust = package("pymust")

ELEMENTS, PITCH_M, MHZ = 128, 3e-4, 7.6
#: A hair: elements that hear as points do.
POINT_M = 2e-5


def array(mhz: float = MHZ, element_m: float = POINT_M, band_percent: float = 30.0, **more: Any) -> Any:
    """A flat array; a wide band sends one wave, a narrow one six."""
    param = pymust.getparam("L11-5v")
    param.fc, param.fs, param.c = 1e6 * mhz, 8e6 * mhz, SOUND_SPEED
    param.width, param.kerf = element_m, PITCH_M - element_m
    param.bandwidth, param.TXnow = band_percent, 6 if band_percent < 50 else 1
    param.height = np.inf
    for name, value in more.items():
        setattr(param, name, value)
    return param


def options() -> Any:
    chosen = pymust.utils.Options()
    chosen.ParPool, chosen.dBThresh = False, -100
    return chosen


def echoes(param: Any, depth_mm: float) -> np.ndarray:
    """Signals `[sample, element]` of a point on the axis under a plane wave."""
    here = (np.array([0.0]), np.array([1e-3 * depth_mm]), np.array([1.0]))
    return pymust.simus(*here, np.zeros((1, ELEMENTS)), param, options())[0]


def delayed_and_summed(signals: np.ndarray, param: Any, f_numbers: list[float]) -> list[float]:
    """-6 dB lateral widths (mm) of the point by ultraspy, one for each F-number."""
    build_probe = package("ultraspy.probes.factory").build_probe
    former = package("ultraspy.beamformers.das").DelayAndSum(on_gpu=False)
    everyone = np.arange(ELEMENTS)
    timing = {"sampling_freq": param.fs, "sound_speed": SOUND_SPEED, "t0": 0.0, "signal_duration": 0.0, "prf": 1.0}
    fired = {"emitted": np.array([everyone]), "received": np.array([everyone])}
    former.automatic_setup(
        {**timing, "delays": np.zeros((1, ELEMENTS), np.float32), "sequence_elements": fired},
        build_probe("linear", ELEMENTS, param.pitch, param.fc, param.bandwidth),
    )
    x, z = np.linspace(-2e-3, 2e-3, 401), np.linspace(0.019, 0.022, 301)
    grid = package("ultraspy.scan").GridScan(x, z, on_gpu=False)
    found = []
    for f_number in f_numbers:
        former.update_setup("f_number", [f_number, f_number])
        formed = former.beamform(signals.T[None].astype(np.float32), grid)
        image = np.abs(np.asarray(former.compute_envelope(formed, grid))).reshape(len(x), len(z))
        across = image[:, np.unravel_index(image.argmax(), image.shape)[1]][200:]
        found.append(float(aperture.width(1e3 * x[None, 200:], across[None])[0]))
    return found


F_NUMBERS = [1.0, 1.5, 2.0, 3.0]


def test_receive_beams_of_point_elements_and_a_narrow_band() -> None:
    param = array()
    wave = psf.wavelength_mm(MHZ)
    ours = [receive_width(f, 20.0, wave) for f in F_NUMBERS]
    assert ours == pytest.approx(delayed_and_summed(echoes(param, 20.0), param, F_NUMBERS), rel=0.05)


def test_wide_elements_and_a_short_pulse_widen_beams() -> None:
    """Elements 1.3 wavelengths wide hear worse from the side: our continuous aperture is narrower by up to 15 %."""
    wave = psf.wavelength_mm(MHZ)
    ours = np.array([receive_width(f, 20.0, wave) for f in F_NUMBERS])
    short = array(band_percent=77.0)
    assert ours == pytest.approx(np.array(delayed_and_summed(echoes(short, 20.0), short, F_NUMBERS)), rel=0.055)
    wide = array(element_m=2.7e-4, band_percent=77.0)
    ratio = ours / delayed_and_summed(echoes(wide, 20.0), wide, F_NUMBERS)
    assert 0.84 < ratio.min() < 0.9 < ratio.max() < 1.0


@pytest.mark.parametrize(
    ("aperture_mm", "focus_mm", "depth_mm"),
    [(16, 40, 40), (16, 40, 25), (16, 40, 60), (10, 30, 30), (20, 60, 60), (20, 30, 30)],
)
def test_transmit_beams_in_and_out_of_focus(aperture_mm: float, focus_mm: float, depth_mm: float) -> None:
    """The pressure across the beam, and its width at half of it."""
    pitch = 2e-4
    param = array(5.0, pitch=pitch, kerf=pitch - POINT_M, Nelements=round(1e-3 * aperture_mm / pitch))
    delays = np.atleast_2d(pymust.txdelay(0.0, 1e-3 * focus_mm, param))
    lateral = np.linspace(0.0, 4.0, 801)
    places = (1e-3 * lateral, 0.0 * lateral, np.full_like(lateral, 1e-3 * depth_mm))
    pressure = pymust.pfield(*places, delays, param, False, options())
    pressure = np.asarray(pressure[0] if isinstance(pressure, tuple) else pressure).ravel()
    beam = aperture.fixed(
        aperture_mm, focus_mm, psf.wavelength_mm(5.0), "rect", np.array([float(depth_mm)]), lateral[None]
    )
    widths = [aperture.width(lateral[None], p / p.max()) for p in (beam, pressure[None])]
    assert widths[0] == pytest.approx(widths[1], rel=0.05)
    assert beam[0] / beam.max() == pytest.approx(pressure / pressure.max(), abs=0.12)


@pytest.mark.parametrize(("band_percent", "margin"), [(15.0, 0.02), (55.0, 0.1)])
def test_attenuation_there_and_back(band_percent: float, margin: float) -> None:
    """Of a narrow band what the centre frequency loses; a short pulse loses less, for its low frequencies pass."""
    mhz, liver = 5.0, plain("liver")
    grid = Grid.centred((40, 100, 5), (0.5, 0.5, 1.0))
    lattice = lay(Linear(width_mm=10), grid, Pose((0.0, -25.0), (0.0, 1.0)), mhz, 20.0, 45.0)
    medium = Medium.of(build(everywhere(liver), grid=grid), mhz, Stream.of(1))
    level = trace(medium, lattice, np.arange(5), grid.spacing, 0.0).scatter[2, lattice.beams // 2].cpu().numpy()
    ours = np.diff(20.0 * np.log10(np.interp([10.0, 40.0], lattice.path_ranges, level)))[0]
    share = attenuation(liver, mhz) / mhz
    levels = []
    for depth in (10.0, 40.0):
        heard = [
            np.abs(hilbert(echoes(array(mhz, band_percent=band_percent, attenuation=a), depth)[:, ELEMENTS // 2])).max()
            for a in (share, 0.0)
        ]
        levels.append(20.0 * np.log10(heard[0] / heard[1]))
    assert ours == pytest.approx(levels[1] - levels[0], rel=margin)
