"""Ultrasound: beams against diffraction theory, sparse speckle against a simulator, displacement by sound speed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.device import device
from engine.grid import Grid
from engine.random import Stream
from engine.render.us import US, aperture, psf, speckle
from engine.render.us.blur import Filters
from engine.render.us.lattice import lay
from engine.render.us.path import Echoes
from engine.render.us.placement import Pose
from engine.render.us.probes.linear import Linear
from engine.render.us.probes.phased import Phased
from engine.tissue import Material, resolve, tissue
from tests.engine.phantoms import Part, box, build, cylinder, uniform

STREAM = Stream.of(7, "us")
REFERENCE = json.loads((Path(__file__).parent / "us_reference.json").read_text(encoding="utf-8"))


def everywhere(what) -> Part:
    return Part(what, lambda x, y, z: -1e6 + 0 * (x + y + z))


def receive_width(f_number: float, depth_mm: float, wave_mm: float) -> float:
    """-6 dB width of a beam focused at every depth."""
    lateral = np.linspace(0.0, 6.0 * wave_mm * f_number, 400)[None]
    pattern = aperture.dynamic(np.array([depth_mm / f_number]), wave_mm, "rect", np.array([depth_mm]), lateral)
    return float(aperture.width(lateral, np.abs(pattern))[0])


@pytest.mark.parametrize("depth", [10.0, 20.0, 50.0, 120.0])
def test_receive_beams_are_as_wide_as_diffraction_says(depth: float) -> None:
    wave = psf.wavelength_mm(7.6)
    for f_number in (1.0, 1.5, 2.0, 3.0, 5.0):
        sine = 1.0 / np.hypot(1.0, 2.0 * f_number)
        assert receive_width(f_number, depth, wave) == pytest.approx(0.6035 * wave / sine, rel=0.03)


def test_receive_beams_are_within_a_simulators_widths() -> None:
    """Narrower: its elements, 1.5 wavelengths wide, hear obliquely worse, which apodizes low F-numbers."""
    wave = psf.wavelength_mm(7.6)
    for f_number, theirs in zip(REFERENCE["lateral_mm"]["f_number"], REFERENCE["lateral_mm"]["width"], strict=True):
        ours = receive_width(f_number, 20.0, wave)
        assert 0.85 * theirs < ours < 0.96 * theirs


def test_a_lens_is_as_thick_as_diffraction_says_at_its_focus_and_thickens_away_from_it() -> None:
    probe = Linear(elevation_mm=8, elevation_focus_mm=40)
    ranges = np.array([5.0, 20.0, 40.0, 80.0])
    thick = psf.elevation_width(probe, 5.0, ranges)
    assert thick[2] == pytest.approx(0.886 * psf.wavelength_mm(5.0) * 5.0, rel=0.03)
    assert thick[0] > thick[1] > thick[2] < thick[3]


@pytest.mark.parametrize(("kind", "level"), [("rect", -26.5), ("hamming", -79.0), ("hann", -60.0)])
def test_side_lobes_are_as_low_as_the_window_makes_them(kind: str, level: float) -> None:
    """The highest side lobe of the window's transform, twice: sent and heard."""
    probe = Linear(aperture_mm=20, apodization=kind, f_number=2)
    lateral = np.linspace(0.0, 8.0, 4000)[None]
    pattern = np.abs(psf.lateral_pattern(probe, 5.0, 40.0, np.array([40.0]), lateral))[0]
    decibel = 20 * np.log10(pattern / pattern.max() + 1e-9)
    rising = np.nonzero(np.diff(decibel) > 0)[0][0]  # the first null
    assert decibel[rising:].max() == pytest.approx(level, abs=6.0)


def flat(**changes):
    """A fine lattice of a flat probe focused at 40 mm, and its filters."""
    grid = Grid.centred((200, 400, 8), (0.2, 0.2, 1.0))
    lattice = lay(Linear(width_mm=40), grid, Pose((0.0, -40.0), (0.0, 1.0)), 5.0, 40.0, 80.0)
    return lattice, Filters(lattice, 5.0, 40.0, 1.0, **changes)


def constant(lattice, filters, planes: int, value: float, sparsity: float | None = None) -> Echoes:
    shape = (planes + 2 * filters.halo, lattice.beams, lattice.path_samples)
    full = [torch.full(shape, v, device=device()) for v in (value, 0.0, sparsity or 0.0)]
    return Echoes(full[0], full[1], full[2] if sparsity else None)


def test_sparse_scatterers_speckle_as_in_a_simulator() -> None:
    lattice, filters = flat()
    near = np.abs(lattice.ranges - 40) < 6
    # what counts is (int h^2)^2 / int h^4: 1.064 widths of a Gaussian, 1.243 of the reference's lateral sinc
    gaussian = 1.064 * filters.lateral_mm[near] * 1.064 * filters.axial_mm * 1.064 * filters.elevation_mm[near]
    cell = gaussian.mean() / (1.243 * 1.064)
    found = []
    for count in REFERENCE["speckle_snr"]["scatterers_per_cell"]:
        echoes = constant(lattice, filters, 3, 1.0, sparsity=cell / count)
        seen = speckle.envelope(echoes, filters, lattice, 0, 0.0, STREAM).cpu().numpy()[..., near]
        assert (seen.astype(np.float64) ** 2).mean() == pytest.approx(1.0, rel=0.06)
        found.append(seen.mean() / seen.std())
    assert found == pytest.approx(REFERENCE["speckle_snr"]["snr"], abs=0.04)


def test_steered_beams_speckle_as_straight_ones() -> None:
    grid = Grid.centred((200, 200, 8), (0.5, 0.5, 1.0))
    lattice = lay(Phased(), grid, Pose((0.0, -50.0), (0.0, 1.0)), 3.0, 50.0, 90.0)
    filters = Filters(lattice, 3.0, 50.0, 1.0)
    seen = speckle.envelope(constant(lattice, filters, 3, 1.0), filters, lattice, 0, 0.0, STREAM).cpu().numpy()
    for beams in (slice(0, 30), slice(-30, None), slice(lattice.beams // 3, -lattice.beams // 3)):
        part = seen[:, beams, lattice.ranges > 20].astype(np.float64)
        assert part.mean() / part.std() == pytest.approx(1.913, abs=0.08)
        assert (part**2).mean() == pytest.approx(1.0, rel=0.1)
    # the aperture looks narrower to a steered beam
    assert filters.across_sum[-1, -1] == pytest.approx(float(filters.across_sum[0, -1]) * 2**0.25, rel=0.05)


def test_a_lesion_of_minus_6_db_has_its_contrast() -> None:
    lattice, filters = flat()
    tissue_, lesion = (
        speckle.envelope(constant(lattice, filters, 2, v), filters, lattice, 0, 0.0, STREAM.child(str(v)))
        for v in (1.0, 10 ** (-6 / 20))
    )
    a, b = (e.cpu().numpy().ravel() for e in (tissue_, lesion))
    assert 20 * np.log10(b.mean() / a.mean()) == pytest.approx(-6.0, abs=0.5)
    edges = np.linspace(0, 5, 120)
    shares = [np.histogram(e, edges)[0] / e.size for e in (a, b)]
    assert 1 - np.minimum(*shares).sum() == pytest.approx(0.471, abs=0.04)  # gCNR


def test_looks_average_speckle_away() -> None:
    """Log-compressed speckle varies by 5.57 dB; n independent looks by 1 / sqrt(n) of it, about the same mean."""
    volume = uniform(tissue("liver").model_copy(update={"texture": 0.0}), n=96)
    parts = {}
    for looks in (1, 4):
        us = US(probe="linear", frequency_mhz=4, noise_db=None, dynamic_range_db=120, tgc_db_cm_mhz=0.5, looks=looks)
        level = us.render(volume, STREAM).data.cpu().numpy()[:, 20:60, 34:62] * 120 / 255
        parts[looks] = level, (level - level.mean((0, 2), keepdims=True)).std()
    assert parts[1][1] / parts[4][1] == pytest.approx(2.0, rel=0.06)
    assert parts[4][0].mean() == pytest.approx(parts[1][0].mean(), abs=0.15)


def test_side_lobes_fill_cysts_by_apodization() -> None:
    liver = tissue("liver").model_copy(update={"texture": 0.0})
    grid = Grid.centred((120, 120, 4), (0.4, 0.4, 1.0))
    volume = build(everywhere(liver), cylinder("cyst", (0, 0), 5), background="water", grid=grid)
    inside = {}
    for name, kind, lobes in (("none", "rect", False), ("rect", "rect", True), ("hann", "hann", True)):
        probe = Linear(width_mm=40, aperture_mm=30, apodization=kind)
        us = US(probe=probe, frequency_mhz=5, noise_db=None, side_lobes=lobes, dynamic_range_db=120, focus_mm=24)
        level = us.render(volume, STREAM).data.cpu().numpy() * 120 / 255
        y, x = np.mgrid[:120, :120] * 0.4 - 23.8
        inside[name] = level[1:3][:, np.hypot(x, y) < 2.5].mean()
    assert inside["rect"] > inside["hann"] + 6
    assert inside["rect"] > inside["none"] + 6


def test_noise_is_left_out_on_request() -> None:
    volume = uniform("water", n=32)
    us = US(dynamic_range_db=250, press_mm=0)
    deep = [us.model_copy(update={"noise_db": n}).render(volume, STREAM).data[16, 24:, 16].mean() for n in (-30, None)]
    assert deep[0] > deep[1] + 20


def test_echoes_lie_where_1540_m_s_puts_them() -> None:
    fat, muscle = (
        tissue(n).model_copy(update={"texture": 0.0, "backscatter_db": -90.0}) for n in ("adipose", "muscle")
    )
    grid = Grid.centred((60, 160, 3), (0.4, 0.4, 1.0))
    layers = build(
        everywhere(fat), box(muscle, (0, 32, 0), (1e3, 36, 1e3)), box(fat, (0, 44, 0), (1e3, 24, 1e3)), grid=grid
    )
    found = []
    for timed in (False, True):
        us = US(probe=Linear(width_mm=16), frequency_mhz=5, noise_db=None, dynamic_range_db=120, time_of_flight=timed)
        us = us.model_copy(update={"position_mm": (0, -32), "gain_db": 30.0})
        beam = us.render(layers, STREAM).data[1, :, 30].cpu().numpy()
        depth = (np.arange(160) + 0.5) * 0.4
        peaks = [depth[window][beam[window].argmax()] for window in ((depth > 20) & (depth < 35), depth > 42)]
        found.append(peaks)
    assert found[0] == pytest.approx([28.0, 52.0], abs=0.4)
    slow, fast = 1540 / fat.sound_speed_m_s, 1540 / muscle.sound_speed_m_s
    assert found[1] == pytest.approx([28 * slow, 28 * slow + 24 * fast], abs=0.4)
    assert found[1][0] - found[0][0] > 1.0


def test_materials_may_be_sparse() -> None:
    sparse = resolve(Material(like="liver", scatterers_mm3=2.0))
    grid = Grid.centred((100, 110, 6), (0.4, 0.4, 1.0))
    us = US(probe=Linear(width_mm=30), frequency_mhz=5, noise_db=None, dynamic_range_db=100, position_mm=(0, -22))
    spread = {}
    for name, what in (("dense", tissue("liver")), ("sparse", sparse)):
        smooth = what.model_copy(update={"texture": 0.0})
        data = us.render(build(everywhere(smooth), grid=grid), STREAM).data[1:-1, 20:90, 20:80]
        spread[name] = float(data.std())
    assert spread["sparse"] > 1.3 * spread["dense"]


def test_header_says_how_frames_were_converted() -> None:
    volume = uniform("liver", n=24)
    view = US(probe=Phased(angle_deg=70)).render(volume, STREAM).meta["view"]
    assert view["angles_deg"] == [-35.0, 35.0]
    assert view["apex_mm"] == [0.0, 0.0]
    assert view["depths_mm"][0] == 0.0
    assert US(probe=Linear(width_mm=30)).render(volume, STREAM).meta["view"]["lateral_mm"] == [-15.0, 15.0]
