"""Ultrasound: repeats between probe and interfaces, tails behind gas, and frames that stay on the screen."""

from __future__ import annotations

import numpy as np
import pytest

from engine.grid import Grid
from engine.random import Stream
from engine.render.us import US, protocol
from engine.render.us.acoustics import Medium, impedance, reflection
from engine.render.us.lattice import lay
from engine.render.us.path import MIRROR_DB, trace
from engine.render.us.placement import Pose
from engine.render.us.probes.linear import Linear
from engine.render.us.reverberation import reverberate
from engine.tissue import tissue
from tests.engine.phantoms import Part, box, build, cylinder

STREAM = Stream.of(7, "us")
MIRROR = 10 ** (MIRROR_DB / 20)


def everywhere(what) -> Part:
    return Part(what, lambda x, y, z: -1e6 + 0 * (x + y + z))


def layered(back: str, face: float):
    """Muscle over `back`, 12 mm deep, without loss: echoes with reverberation, and the lattice."""
    front, behind = (tissue(n).model_copy(update={"texture": 0.0, "attenuation_db_cm": 0.0}) for n in ("muscle", back))
    grid = Grid.centred((40, 80, 5), (0.5, 0.5, 1.0))
    lattice = lay(Linear(width_mm=12), grid, Pose((0.0, -19.0), (0.0, 1.0)), 5.0, 20.0, 38.0)
    volume = build(everywhere(front), box(behind, (0, 53, 0), (1e3, 60, 1e3)), grid=grid)
    echoes = trace(Medium.of(volume, 5.0, STREAM), lattice, np.arange(5), grid.spacing, 0.0)
    return (
        echoes,
        reverberate(echoes, lattice, face, 0, STREAM),
        lattice,
        reflection(impedance(front), impedance(behind)),
    )


def test_an_interface_is_seen_again_at_twice_and_thrice_its_depth() -> None:
    _, found, lattice, r = layered("cortical_bone", 0.5)
    beam = found.specular[2, lattice.beams // 2].cpu().numpy() / MIRROR
    depth = lattice.path_ranges
    for times, amplitude in ((1, r), (2, 0.5 * r**2), (3, 0.25 * r**3)):
        near = np.abs(depth - 12 * times) < 2
        assert depth[near][beam[near].argmax()] == pytest.approx(12 * times, abs=lattice.path_mm * times)
        assert beam[near].max() == pytest.approx(amplitude, rel=0.02)


def test_a_face_that_swallows_sound_repeats_nothing() -> None:
    single, found, _, _ = layered("cortical_bone", 0.0)
    assert (found.specular == single.specular).all()


def test_gas_trails_tails_in_places() -> None:
    single, found, lattice, _ = layered("gas", 0.6)
    behind = (lattice.path_ranges > 14) & (lattice.path_ranges < 20)
    gain = 20 * np.log10(found.scatter[..., behind].cpu().numpy() / single.scatter[..., behind].cpu().numpy())
    tails = gain.mean(-1) > 10
    assert 0.02 < tails.mean() < 0.4
    none = layered("cortical_bone", 0.6)[:2]
    assert none[1].scatter[..., behind].mean() < 3 * none[0].scatter[..., behind].mean()


def test_reverberation_is_seen_and_is_the_same_whatever_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid.centred((48, 48, 12), (1.0, 1.0, 1.5))
    volume = build(everywhere("muscle"), cylinder("gas", (0, 0), 6), background="water", grid=grid)
    us = US(probe="linear", reverberation=0.5)
    with_, without = (u.render(volume, STREAM).data for u in (us, US(probe="linear")))
    assert (with_ - without)[:, 30:, 20:28].mean() > 2
    monkeypatch.setattr(protocol, "CHUNK_BYTES", 1)
    assert (us.render(volume, STREAM).data == with_).all()


def test_frames_stay_on_the_screen() -> None:
    volume = build(everywhere("liver"), n=24)
    frames, kept = (US(probe="linear", persistence=p).render(volume, STREAM).data.cpu().numpy() for p in (0.0, 0.6))
    for i in range(1, len(frames)):
        frames[i] = 0.4 * frames[i] + 0.6 * frames[i - 1]
    assert kept == pytest.approx(frames, abs=1e-3)
