"""Whole images against MRzeroCore's phase graphs, and slice profiles against sigpy's pulse simulation."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
import torch

from engine.device import device
from engine.random import Stream
from engine.render.mr import slices
from engine.render.mr.acquire import acquire
from engine.render.mr.encode import Encoding
from engine.render.mr.layer import Layer
from engine.render.mr.sampling import Sampling
from engine.render.mr.sequence import Timing
from engine.render.mr.sequences import inversion_recovery, spin_echo
from engine.render.mr.spins import Spins
from engine.tissue import tissue
from tests.oracles import package

#: Samples each way, and points of the phantom each way.
N, POINTS = 48, 96
TR_MS, TE_MS, T1_MS, T2_MS = 1000.0, 20.0, 884.0, 72.0


def mrzero() -> Any:
    return package("MRzeroCore")


def pulse(repetition: Any, degrees: float, phase: float, use: Any) -> None:
    repetition.pulse.usage = use
    repetition.pulse.angle = torch.tensor(math.radians(degrees), dtype=torch.float32)
    repetition.pulse.phase = torch.tensor(phase, dtype=torch.float32)


def run(sequence: Any, phantom: Any, states: int) -> np.ndarray:
    data, package_ = phantom.build(), mrzero()
    graph = package_.compute_graph(sequence, data, states, 1e-4)
    return package_.execute_graph(graph, sequence, data, 1e-3, 1e-4, print_progress=False).numpy().ravel()


def lines(bandwidth_hz: float) -> Any:
    """A spin echo for each line, k-space from edge to edge, in a field of view of 1."""
    m = mrzero()
    sequence, step = m.Sequence(normalized_grads=False), 1.0 / (bandwidth_hz * N)
    te, tr = 1e-3 * TE_MS, 1e-3 * TR_MS
    for k in range(N):
        first = sequence.new_rep(1)
        pulse(first, 90.0, math.pi / 2, m.PulseUsage.EXCIT)
        first.event_time[:] = te / 2
        first.gradm[0, 0], first.gradm[0, 1] = N / 2, N // 2 - k  # the 180 degree pulse turns them over
        second = sequence.new_rep(N + 2)
        pulse(second, 180.0, 0.0, m.PulseUsage.REFOC)
        second.event_time[0] = te / 2 - N / 2 * step
        second.event_time[1 : N + 1] = step
        second.event_time[N + 1] = tr - te - N / 2 * step
        second.gradm[1 : N + 1, 0] = 1.0
        second.adc_usage[1 : N + 1] = 1
        second.gradm[N + 1, 0] = 3 * N + 17 * k  # spoils
    return sequence


@functools.cache
def disk() -> np.ndarray:
    """A disk of a quarter of the field of view, `[x, y]`."""
    axis = (np.arange(POINTS) - POINTS // 2) / POINTS
    return (np.hypot(axis[:, None], axis[None]) < 0.25).astype(float)


@functools.cache
def theirs(off_hz: float, bandwidth_hz: float) -> np.ndarray:
    """Samples `[phase, readout]` of the disk where the field is off."""
    m, axis = mrzero(), (np.arange(POINTS) - POINTS // 2) / POINTS
    x, y = np.meshgrid(axis, axis, indexing="ij")
    inside = disk() > 0
    count = int(inside.sum())
    phantom = m.CustomVoxelPhantom(
        pos=np.stack([x[inside], y[inside], 0 * x[inside]], 1).astype(np.float32).tolist(),
        PD=torch.full((count,), (N / POINTS) ** 2),
        T1=1e-3 * T1_MS, T2=1e-3 * T2_MS, T2dash=100.0, D=0.0,
        B0=torch.full((count,), off_hz),
        voxel_size=[1 / POINTS, 1 / POINTS, 1 / POINTS], voxel_shape="box",
    )  # fmt: skip
    return run(lines(bandwidth_hz), phantom, 200).reshape(N, N)


def picture(samples: np.ndarray) -> np.ndarray:
    return np.abs(np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(samples))))


def our_image(off_hz: float, bandwidth_hz: float | None) -> np.ndarray:
    """The same disk with its spin echo's signal on a grid four times as fine as the samples, `[y, x]`."""
    axis = (np.arange(4 * N) - 2 * N) / (4 * N)
    fine = (np.hypot(axis[:, None], axis[None]) < 0.25).astype(np.float32)
    one = np.array([T1_MS]), np.array([T2_MS])
    level = float(spin_echo.signal(Spins(*one, one[1], np.ones(1), np.zeros(1)), Timing(TR_MS, TE_MS))[0, 0])
    layer = Layer(torch.from_numpy(level * fine)[None].to(device()), off_hz=off_hz)
    sampling = Sampling((4 * N, 4 * N), (N, N), bandwidth_hz=bandwidth_hz)
    return acquire([layer], Encoding(sampling), 0.0, Stream.of(1))[0].cpu().numpy().astype(float)


def test_a_disk_has_their_signal_and_rings_as_theirs() -> None:
    found = picture(theirs(0.0, 500.0))
    ours = our_image(0.0, None)
    axis = (np.arange(N) - N // 2) / N
    r, fine = np.hypot(axis[:, None], axis[None]), (np.arange(4 * N) - 2 * N) / (4 * N)
    radius = np.hypot(fine[:, None], fine[None])
    assert ours[radius < 0.15].mean() == pytest.approx(found[r < 0.15].mean(), rel=0.01)
    at_samples = ours[::4, ::4]
    assert np.corrcoef(at_samples.ravel(), found.ravel())[0, 1] > 0.999
    assert np.sqrt(((at_samples - found)[r < 0.2] ** 2).mean()) < 0.01 * found.max()


@pytest.mark.parametrize("bandwidth_hz", [220.0, 500.0])
def test_chemical_shift(bandwidth_hz: float) -> None:
    """Pixels that 440 Hz move a disk by, from the slope of the phase along the readout."""
    moved, still = theirs(-440.0, bandwidth_hz), theirs(0.0, bandwidth_hz)
    turn = moved * still.conj()
    their_shift = abs(np.angle((turn[:, 1:] * turn[:, :-1].conj()).sum())) / (2 * np.pi) * N
    before, after = our_image(0.0, bandwidth_hz), our_image(-440.0, bandwidth_hz)
    x = np.arange(4 * N)
    centre = [(image**2 @ x).sum() / (image**2).sum() for image in (before, after)]
    assert abs(centre[1] - centre[0]) / 4 == pytest.approx(their_shift, abs=0.02)


@pytest.mark.parametrize(("tr", "te", "ti"), [(9000.0, 120.0, 2500.0), (4000.0, 40.0, 230.0)])
def test_inversion_recovery(tr: float, te: float, ti: float) -> None:
    """Three repetitions of 180 - TI - 90 - TE/2 - 180 - TE/2, by which the state is steady."""
    m, names = mrzero(), ["white_matter", "liver", "muscle", "fat"]
    of = Spins.of([tissue(n) for n in names], 1.5)
    ours = np.abs(inversion_recovery.signal(of, Timing(tr, te, ti, refocus_deg=180.0, echo_train=1))[:, 0])
    found = []
    for t1, t2 in zip(of.t1_ms, of.t2_ms, strict=True):
        sequence = m.Sequence(normalized_grads=False)
        for k in range(3):
            events = [
                (180.0, 0.0, m.PulseUsage.UNDEF, ti, (4001, 9001, 15013)[k]),
                (90.0, math.pi / 2, m.PulseUsage.EXCIT, te / 2, 32),
            ]
            for degrees, phase, use, wait, gradient in events:
                part = sequence.new_rep(1)
                pulse(part, degrees, phase, use)
                part.event_time[0], part.gradm[0, 0] = 1e-3 * wait, gradient
            last = sequence.new_rep(2)
            pulse(last, 180.0, 0.0, m.PulseUsage.REFOC)
            last.event_time[0], last.gradm[0, 0], last.adc_usage[0] = 1e-3 * te / 2, 32, 1
            last.event_time[1], last.gradm[1, 0] = 1e-3 * (tr - ti - te), (2011, 5003, 9007)[k]
        phantom = m.CustomVoxelPhantom(
            pos=[[0.0, 0, 0]], T1=1e-3 * t1, T2=1e-3 * t2, T2dash=1e4, D=0.0, voxel_size=1.0, voxel_shape="box"
        )
        found.append(abs(run(sequence, phantom, 2000)[-1]))
    assert ours == pytest.approx(np.array(found), abs=2e-4)


def test_edges_of_a_slice() -> None:
    """From 10 to 90 % over the width at half maximum: a Hann-windowed sinc of time-bandwidth product 4."""
    simulate = package("sigpy.mri.rf").sim.abrm
    shape = np.sinc(np.linspace(-2, 2, 256)) * np.hanning(256)
    place = np.linspace(-8, 8, 3201)
    a, b = simulate(shape / shape.sum() * np.pi / 2, place)
    size = np.abs(2 * np.conj(a) * b)[1600:] / np.abs(2 * np.conj(a) * b).max()
    z = place[1600:]
    half, high, low = (np.interp(-level, -size, z) for level in (0.5, 0.9, 0.1))
    assert pytest.approx((low - high) / (2 * half), rel=0.03) == slices.EDGE
    own = slices.profile(z / (2 * half), 1.0)
    assert np.interp(-0.5, -own, z) == pytest.approx(half, rel=0.03)
