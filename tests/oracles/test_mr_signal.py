"""Signal equations against blochsim's closed forms and extended phase graphs, for tissues of the table."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.render.mr import MR
from engine.render.mr.sequence import Timing
from engine.render.mr.sequences import bssfp, fast_spin_echo, gradient_echo, spin_echo
from engine.render.mr.spins import Spins
from engine.tissue import tissue
from tests.oracles import package

simulators = package("blochsim.simulators")

NAMES = ["white_matter", "grey_matter", "liver", "spleen", "kidney", "muscle", "fat", "prostate"]
#: T2 is not short beside TR: what one repetition leaves, the next meets.
FLUID = ["blood", "csf", "urine", "bile"]
FIELDS = [0.55, 1.5, 3.0]


def spins(field_t: float, names: list[str] = NAMES) -> Spins:
    return Spins.of([tissue(name) for name in names], field_t)


def times(of: Spins) -> dict[str, torch.Tensor]:
    return {"T1": torch.from_numpy(of.t1_ms), "T2": torch.from_numpy(of.t2_ms)}


def magnitude(signal: torch.Tensor) -> np.ndarray:
    return np.abs(signal.detach().cpu().numpy().squeeze())


@pytest.mark.parametrize("field_t", FIELDS)
@pytest.mark.parametrize(("tr", "te"), [(500.0, 15.0), (3000.0, 15.0), (4000.0, 90.0)])
def test_spin_echo(field_t: float, tr: float, te: float) -> None:
    of = spins(field_t, NAMES + FLUID)
    ours = spin_echo.signal(of, Timing(tr, te))[:, 0]
    assert ours == pytest.approx(
        magnitude(simulators.SpinEchoSimulator(TE=te, TR=tr).simulate(**times(of))), rel=1e-4, abs=1e-6
    )


@pytest.mark.parametrize("field_t", FIELDS)
@pytest.mark.parametrize("refocus", [120.0, 150.0, 180.0])
def test_every_echo_of_a_train(field_t: float, refocus: float) -> None:
    timing = Timing(4000.0, 80.0, refocus_deg=refocus, echo_train=16, echo_spacing_ms=10.0)
    train = simulators.FSESimulator(flip=torch.full((16,), refocus), ESP=10.0, TR=4000.0, states=40)
    for names, margin in ((NAMES, 1e-3), (FLUID, 0.03)):
        of = spins(field_t, names)
        theirs = magnitude(train.simulate(**times(of)))
        ours = np.abs(fast_spin_echo.signal(of, timing))
        assert ours == pytest.approx(theirs, rel=margin)


@pytest.mark.parametrize("field_t", FIELDS)
@pytest.mark.parametrize(("flip", "tr", "margin"), [(15.0, 10.0, 0.045), (30.0, 10.0, 0.05), (70.0, 120.0, 0.025)])
def test_spoiled_gradient_echo(field_t: float, flip: float, tr: float, margin: float) -> None:
    """The closed form within 1e-4; RF spoiling at 117 degrees, simulated pulse by pulse, within 4 % in tissue.

    At 3 T and 15 degrees it is 4.2 %, at 0.55 T and 30 degrees 4.5 %.
    """
    of = spins(field_t)
    ours = np.abs(gradient_echo.signal(of, Timing(tr, 3.0, flip_deg=flip))[:, 0])
    ernst = simulators.SPGRSimulator(flip=flip, TR=tr, TE=3.0)
    relaxing = {"T1": torch.from_numpy(of.t1_ms), "T2star": torch.from_numpy(of.t2star_ms)}
    assert ours == pytest.approx(magnitude(ernst.simulate(**relaxing)), rel=1e-4)
    flash = simulators.FLASHSimulator(
        flip=flip, TR=tr, TE=3.0, nshots=1500, pulse_duration=0.0, rf_spoiling=117.0, states=100
    )
    spoiled = magnitude(flash.simulate(**times(of)))[:, -20:].mean(axis=1)
    without_dephasing = ours * np.exp(-3.0 / of.t2_ms + 3.0 / of.t2star_ms)
    assert without_dephasing == pytest.approx(spoiled, rel=margin if field_t != 1.5 else 0.04)


@pytest.mark.parametrize("field_t", FIELDS)
@pytest.mark.parametrize("off_hz", [0.0, 40.0, -90.0])
def test_balanced_steady_state(field_t: float, off_hz: float) -> None:
    """A train simulated from equilibrium until it is steady."""
    of = spins(field_t).at(off_hz)
    ours = bssfp.signal(of, Timing(4.0, 2.0, flip_deg=50.0))[:, 0]
    train = simulators.TrueFISPSimulator(flip=50.0, TR=4.0, TE=2.0, nshots=4000, pulse_duration=0.0)
    steady = train.simulate(**times(of), B0=off_hz).detach().cpu().numpy()[:, -1]
    assert np.abs(ours) == pytest.approx(np.abs(steady), rel=1e-4)


@pytest.mark.parametrize("field_t", FIELDS)
def test_protocols_keep_the_ratios_of_tissues(field_t: float) -> None:
    """What images show of two tissues, proton density included, for the usual weightings."""
    names = ["liver", "spleen", "muscle", "kidney"]
    tissues = [tissue(name) for name in names]
    water = np.array([t.pd for t in tissues])
    for name in ("t1w", "t2w", "pd"):
        protocol = MR(sequence=name, field_t=field_t)
        echo = simulators.SpinEchoSimulator(TE=protocol.timing().te_ms, TR=protocol.timing().tr_ms)
        theirs = water * magnitude(echo.simulate(**times(spins(field_t, names))))
        ours = np.array(protocol.signals(tissues))
        assert ours / ours[0] == pytest.approx(theirs / theirs[0], rel=1e-3)
