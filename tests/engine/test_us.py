"""Ultrasound: statistics of speckle, losses, geometry, placement and reproducibility."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from engine.device import device
from engine.errors import UserError
from engine.grid import Grid
from engine.random import Stream
from engine.render.us import US, protocol, speckle
from engine.render.us import psf as psf_module
from engine.render.us.acoustics import Medium, attenuation, reflection
from engine.render.us.blur import Filters
from engine.render.us.lattice import lay
from engine.render.us.path import Echoes, trace
from engine.render.us.placement import Pose, place
from engine.render.us.probe import PROBES
from engine.render.us.probes.curved import Curved
from engine.render.us.probes.linear import Linear
from engine.tissue import Tissue, tissue
from engine.volume import Volume
from tests.engine.phantoms import Part, box, build, cylinder, sphere, uniform

STREAM = Stream.of(7, "us")
GRID = Grid.centred((64, 64, 4), (1.0, 1.0, 1.0))
#: A flat probe in contact, without compensation, noise or clipping: grey levels are decibels.
LINEAR = US(
    probe=Linear(width_mm=60),
    depth_mm=64,
    tgc_db_cm_mhz=0,
    noise_db=-300,
    dynamic_range_db=150,
    gain_db=-30,
    press_mm=0,
)


def plain(name: str, **changes: float) -> Tissue:
    """A tissue of the table without texture."""
    return tissue(name).model_copy(update={"texture": 0.0, **changes})


def everywhere(what: Tissue) -> Part:
    return Part(what, lambda x, y, z: -1e6 + 0 * (x + y + z))


def decibels(us: US, volume: Volume) -> np.ndarray:
    """The picture in dB over an arbitrary level, `[z, y, x]`."""
    return us.render(volume, STREAM).data.cpu().numpy() * us.dynamic_range_db / 255.0


def flat(beams_mm: float = 40.0, depth_mm: float = 80.0, spacing: float = 0.2, focus_mm: float = 40.0):
    """A linear probe's lattice fine enough for the point-spread function, and its blur."""
    grid = Grid.centred((int(beams_mm / spacing), int(depth_mm / spacing), 8), (spacing, spacing, 1.0))
    pose = Pose((0.0, -depth_mm / 2), (0.0, 1.0))
    lattice = lay(Linear(width_mm=beams_mm), grid, pose, 5.0, focus_mm, depth_mm)
    return lattice, Filters(lattice, 5.0, focus_mm, 1.0)


def envelope(scatter: float, specular: torch.Tensor | None = None, slices: int = 1) -> tuple[np.ndarray, Filters]:
    lattice, blur = flat()
    shape = (slices + 2 * blur.halo, lattice.beams, lattice.path_samples)
    echoes = Echoes(
        torch.full(shape, scatter, device=device()),
        torch.zeros(shape, device=device()) if specular is None else specular,
    )
    return speckle.envelope(echoes, blur, lattice, -blur.halo, 0.0, STREAM).cpu().numpy(), blur


def test_speckle_is_fully_developed() -> None:
    found, _ = envelope(1.0, slices=2)
    assert found.mean() / found.std() == pytest.approx(1.913, abs=0.06)  # Rayleigh: sqrt(pi / (4 - pi))
    assert (found.astype(np.float64) ** 2).mean() == pytest.approx(1.0, rel=0.03)
    assert (20 * np.log10(found)).std() == pytest.approx(5.57, abs=0.15)


def test_neighbouring_slices_share_scatterers_and_far_ones_do_not() -> None:
    found, _ = envelope(1.0, slices=12)
    near = np.corrcoef(found[0].ravel(), found[1].ravel())[0, 1]
    far = np.corrcoef(found[0].ravel(), found[-1].ravel())[0, 1]
    assert 0.2 < near < 0.95
    assert abs(far) < 0.05


def test_coherent_echoes_keep_their_amplitude() -> None:
    lattice, blur = flat()
    specular = torch.full((1 + 2 * blur.halo, lattice.beams, lattice.path_samples), 3.0, device=device())
    found, _ = envelope(0.0, specular)
    assert found[0] == pytest.approx(3.0, rel=1e-3)


@pytest.mark.parametrize("depth", [10.0, 40.0, 70.0])
def test_a_point_is_as_wide_as_diffraction_says(depth: float) -> None:
    lattice, blur = flat()
    specular = torch.zeros((1 + 2 * blur.halo, lattice.beams, lattice.path_samples), device=device())
    specular[:, lattice.beams // 2, int(depth / lattice.path_mm)] = 1.0
    found = envelope(0.0, specular)[0][0]
    profile = found[:, int(depth / lattice.step_mm)] / found[:, int(depth / lattice.step_mm)].max()
    beams = np.arange(lattice.beams)
    rising = np.interp(0.5, profile[: lattice.beams // 2 + 1], beams[: lattice.beams // 2 + 1])
    width = 2 * (lattice.beams // 2 - rising) * float(lattice.pitch(np.array([depth]))[0])
    assert width == pytest.approx(float(blur.lateral_mm[int(depth / lattice.step_mm)]), rel=0.1)


def test_beam_widens_away_from_the_focus_with_wavelength_and_f_number() -> None:
    ranges = np.array([15.0, 30.0, 60.0, 90.0])
    width = psf_module.lateral_width(Linear(aperture_mm=15), 5.0, 30.0, ranges)
    assert width[1] == width.min()
    assert width[2] < width[3]
    # the square of sinc(x) is 0.886 wide; at F/2, 1 / (2 sin theta) is 3 % over F
    assert width[1] == pytest.approx(0.886 * psf_module.wavelength_mm(5.0) * np.hypot(2.0, 0.5), rel=0.02)
    half = psf_module.lateral_width(Linear(aperture_mm=15), 10.0, 30.0, ranges)
    assert half[1] == pytest.approx(width[1] / 2, rel=1e-3)


def test_reflection_of_fat_on_muscle_is_that_of_pressure() -> None:
    # k-Wave finds |R| 0.1378 for these (c, rho); energy would reflect 0.019
    assert reflection(1440 * 911e-6, 1588 * 1090e-6) == pytest.approx(0.1378, abs=2e-4)
    assert reflection(1588 * 1090e-6, 3515 * 1908e-6) == pytest.approx(0.5900, abs=1e-3)


def test_tilted_interfaces_reflect_less() -> None:
    grid = Grid.centred((64, 64, 3), (1.0, 1.0, 1.0))
    lattice = lay(Linear(width_mm=30), grid, Pose((0.0, -32.0), (0.0, 1.0)), 5.0, 30.0, 60.0)
    peaks = []
    for slope in (0.0, 0.35, 1.0):
        plane = Part(plain("muscle"), lambda x, y, z, s=slope: (s * x - y) / np.hypot(s, 1) + 0 * z)
        medium = Medium.of(build(everywhere(plain("adipose")), plane, grid=grid), 5.0, STREAM)
        echoes = trace(medium, lattice, np.arange(3), grid.spacing, 0.0)
        peaks.append(float(echoes.specular[1, lattice.beams // 2, 10:].max()))
    assert peaks[0] > 2 * peaks[1] > 4 * peaks[2] > 0


def test_attenuation_slope_is_recovered_without_compensation() -> None:
    liver = plain("liver")
    level = decibels(LINEAR, build(everywhere(liver), background="water", grid=GRID))
    depth = np.arange(10, 60)
    slope = np.polyfit(depth, level[:, 10:60, 4:60].mean((0, 2)), 1)[0]
    assert -10 * slope == pytest.approx(2 * attenuation(liver, 3.5), rel=0.03)


def test_bone_and_gas_shadow_and_fluid_enhances() -> None:
    liver = plain("liver")
    parts = [box("cortical_bone", (-20, -10, 0), (8, 3, 1e3)), box("gas", (0, -10, 0), (4, 3, 1e3))]
    level = decibels(
        LINEAR, build(everywhere(liver), *parts, cylinder("cyst", (20, -10), 8), background="water", grid=GRID)
    )
    behind = level[:, 40:50]
    alone = decibels(LINEAR, build(everywhere(liver), background="water", grid=GRID))[:, 40:50]
    assert (alone - behind)[..., 9:15].mean() > 20
    assert (alone - behind)[..., 31:33].mean() > 10  # a dirty shadow: echoes between gas and probe fill it
    spared = 2 * 1.6 * (attenuation(liver, 3.5) - attenuation(tissue("cyst"), 3.5))
    assert (behind - alone)[..., 51:53].mean() == pytest.approx(spared, abs=2.0)
    cyst = level[:, 18:26, 48:56]
    assert (alone.mean() - cyst).mean() > 20


def test_shadow_of_a_small_stone_has_a_penumbra() -> None:
    liver = plain("liver")
    shadow = decibels(LINEAR, build(everywhere(liver), cylinder("stone", (0, -20), 2.5), background="water", grid=GRID))
    alone = decibels(LINEAR, build(everywhere(liver), background="water", grid=GRID))
    loss = (alone - shadow).mean(0)
    near, far = loss[18:24, 31:33].mean(), loss[52:60, 31:33].mean()
    assert near > 20
    assert 3 < far < near  # seen past its sides from further behind
    assert loss[52:60, 26:28].mean() > loss[18:24, 26:28].mean() + 1  # and its shadow widens


@pytest.mark.parametrize("probe", ["linear", "curved"])
@pytest.mark.parametrize("rotation", [0.0, 90.0, 200.0])
def test_a_point_appears_where_it_is(probe: str, rotation: float) -> None:
    grid = Grid.centred((56, 64, 3), (1.0, 0.8, 2.0))
    us = US(probe=probe, rotation_deg=rotation, press_mm=0, frequency_mhz=5)
    for at in ((4.5, 3.6), (-5.5, 8.4)):
        volume = build(sphere("stone", (*at, 0), 1.2), background="water", grid=grid)
        image = us.render(volume, STREAM).data[1].cpu().numpy()
        iy, ix = np.nonzero(image >= image.max() - 1)
        x, y, _ = grid.to_world(np.array([ix.mean(), iy.mean(), 1]))
        assert (x, y) == pytest.approx(at, abs=1.3)


def test_field_of_view_is_a_rectangle_or_a_sector() -> None:
    volume = uniform(plain("liver"), n=64)
    seen = {}
    for probe in (Linear(width_mm=40), Curved(radius_mm=30, angle_deg=60)):
        image = US(probe=probe, depth_mm=60, press_mm=0, gain_db=20, dynamic_range_db=120).render(volume, STREAM)
        seen[probe.kind] = image.data[32].cpu().numpy() > 0
    # a volume in air: the skin is the grid's front face at y = -48 mm
    axis = (np.arange(64) - 31.5) * 1.5
    x, v = axis[None, :], axis[:, None] + 48.0
    assert np.array_equal(seen["linear"], (np.abs(x) <= 20) & (v <= 60))
    radius, angle = np.hypot(x, v + 30), np.degrees(np.arctan2(x, v + 30))
    sector = (np.abs(angle) <= 30) & (radius >= 30) & (radius <= 90)
    assert (seen["curved"] != sector).mean() < 0.005


def test_probe_stands_on_the_skin_or_at_the_front_of_what_has_none() -> None:
    body = build(cylinder("muscle", (0, 6), 20), n=64, spacing=1.0)
    assert place(body).face == pytest.approx((0, -14), abs=0.6)
    assert place(body, press_mm=2).face == pytest.approx((0, -12), abs=0.6)
    assert place(body, rotation_deg=90).face == pytest.approx((np.sqrt(400 - 36), 0), abs=0.6)
    assert place(build(sphere("bone", (0, 0, 0), 10), background="liver", n=32)).face == pytest.approx((0, -24))
    aside = build(sphere("liver", (12, 5, 0), 6), n=32, spacing=1.5)  # nothing lies on the axis
    assert place(aside).face == pytest.approx((0, -1), abs=1.5)


def test_impossible_places_and_settings_are_refused() -> None:
    body = build(cylinder("muscle", (0, 0), 20), cylinder("bone", (0, 0), 8), n=64, spacing=1.5)
    refused = {
        "bone": {"position_mm": (0, 0)},
        "hangs in air: the skin is 2. mm": {"position_mm": (0, -45)},
        "no tissue": {"position_mm": (0, 30)},
        "past the volume": {"position_mm": (0, 90)},
        "hangs in air, no tissue": {"offset_mm": 40},
        "beside the volume": {"offset_mm": 80},
    }
    for reason, where in refused.items():
        with pytest.raises(UserError, match=reason):
            US(**where).render(body, STREAM)
    with pytest.raises(UserError, match="nothing but air"):
        US().render(build(n=16), STREAM)
    for wrong in ({"frequency_mhz": 1}, {"frequency_mhz": {"uniform": [2, 20]}}, {"depth_mm": 0}, {"probe": "curvd"}):
        with pytest.raises(ValueError, match=r"frequency_mhz|depth_mm|curvd"):
            US(**wrong)


def test_scenes_of_anything_are_imaged() -> None:
    for background, blob in (("liver", "gas"), ("bone", "water"), ("gas", "bone"), ("lung_inflated", "steel")):
        volume = build(sphere(blob, (0, -10, 0), 15), sphere("liver", (5, 10, 5), 9), background=background, n=32)
        data = US().render(volume, STREAM).data
        assert torch.isfinite(data).all()
        assert data.min() >= 0
        assert 0 < data.max() <= 255


@pytest.mark.parametrize("kind", sorted(PROBES))
def test_probes_locate_what_they_send(kind: str) -> None:
    probe = PROBES[kind].example()
    fraction = np.linspace(0, 1, 7)
    origin, direction = probe.rays(fraction)
    assert np.hypot(*direction.T) == pytest.approx(1.0)
    for range_mm in (0.5, 25.0, 90.0):
        found, back = probe.locate(*(origin + range_mm * direction).T)
        assert found == pytest.approx(fraction)
        assert back == pytest.approx(range_mm, abs=1e-9)
    assert US.model_validate(US(probe=probe).model_dump(exclude_unset=True)).probe == probe


def digest(image: torch.Tensor) -> str:
    return hashlib.sha256(image.cpu().numpy().tobytes()).hexdigest()


def scanned() -> str:
    volume = build(cylinder("muscle", (0, 2), 30), sphere("liver", (0, 0, 0), 15), n=40, spacing=1.6)
    return digest(US().render(volume, STREAM).data)


def test_same_stream_same_bits_whatever_the_threads_and_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = scanned()
    monkeypatch.setattr(protocol, "CHUNK_BYTES", 1)  # one slice at a time
    assert scanned() == reference
    code = (
        "import torch; torch.set_num_threads(1); from engine.device import start; start('cpu', threads=1);"
        "from tests.engine.test_us import scanned; print(scanned())"
    )
    if device().type == "cpu":
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
        assert run.stdout.split()[-1] == reference


FINE = Grid.centred((100, 110, 10), (0.4, 0.4, 1.0))
#: The probe stays where it is, so that all differences are the tissue's.
STAYING = US(
    probe=Linear(width_mm=40), frequency_mhz=5, position_mm=(0, -22), depth_mm=43, noise_db=-300, dynamic_range_db=90
)


def to_phase(volume: Volume, u: np.ndarray, phase: float = 0.25) -> Volume:
    """The volume at a later phase, after the displacement `u` mm (x, y, z last); its labels are left as they are."""
    field = np.broadcast_to(np.asarray(u, np.float32), (*volume.grid.shape, 3)).copy()
    return replace(volume, phase=phase, displacement=torch.from_numpy(field).to(device()), rest=lambda: volume)


def correlations(us: US, volume: Volume, u: np.ndarray) -> tuple[float, float]:
    """Of a later phase with phase 0, where its tissue was and where it is; away from the probe and the grid's ends."""
    first, then = us.render(volume, STREAM), us.render(to_phase(volume, u), STREAM)
    place = np.moveaxis(np.indices(volume.grid.shape), 0, -1)
    index = place + np.broadcast_to(u, (*place.shape[:3], 3))[..., ::-1] / np.array(volume.grid.spacing[::-1])
    a, b = (image.data.cpu().numpy() for image in (first, then))
    warped = map_coordinates(a, np.moveaxis(index, -1, 0), order=1)
    low, high = np.array([2, 20, 4]), np.array(volume.grid.shape) - [3, 11, 5]
    inner = ((index >= low) & (index <= high) & (place >= low) & (place <= high)).all(-1)
    inner &= (a > 0) & (b > 0) & (warped > 0)
    assert inner.mean() > 0.1
    return np.corrcoef(warped[inner], b[inner])[0, 1], np.corrcoef(a[inner], b[inner])[0, 1]


@pytest.mark.parametrize(
    ("probe", "u"),
    [("linear", (0, 3.2, 0)), ("linear", (-2.8, 0, 0)), ("linear", (0, 0, 3)), ("curved", (1.2, -2, 3))],
)
def test_speckle_moves_with_the_tissue(probe: str, u: tuple[float, ...]) -> None:
    """By whole voxels, so that the comparison interpolates nothing; a curved probe sees the tissue turned a little."""
    us = STAYING.model_copy(update={"probe": Curved.example()}) if probe == "curved" else STAYING
    along, in_place = correlations(us, build(everywhere(plain("liver")), grid=FINE), np.array(u))
    # along the beam samples are finer than across it, where the nearest scatterer may be half a beam away
    assert along > (0.7 if probe == "curved" else 0.85 if u[0] else 0.9)
    assert in_place < along - 0.3


def test_tissue_turned_against_the_beam_loses_its_speckle_by_and_by() -> None:
    volume = build(everywhere(plain("liver")), grid=FINE)
    x, y = ((np.arange(n) - 0.5 * (n - 1)) * 0.4 for n in FINE.size[:2])
    across = np.stack(np.broadcast_arrays(y[:, None], -x[None, :], 0.0), -1)
    small, large = (correlations(STAYING, volume, angle * across) for angle in (0.02, 0.12))
    assert small[0] > 0.7 > large[0] > large[1] + 0.05
    sheared = correlations(STAYING, volume, 0.12 * across * [1, 0, 0])  # sideways: no range is won or lost
    assert sheared[0] > 0.75


def test_speckle_stays_fully_developed_whatever_the_motion() -> None:
    volume = build(everywhere(plain("liver")), grid=FINE)
    wave = np.sin(np.linspace(0, 6, FINE.size[1]))[None, :, None, None] * [1.0, 2.0, 1.5]
    first, then = (decibels(STAYING, v)[2:-2, 20:-11, 4:-5] for v in (volume, to_phase(volume, wave)))
    assert then.mean() == pytest.approx(first.mean(), abs=0.5)
    assert then.std() == pytest.approx(first.std(), rel=0.06)


def test_tissue_that_stays_keeps_its_scatterers_and_noise_is_new() -> None:
    volume = build(everywhere(plain("liver")), grid=FINE)
    quiet = [STAYING.render(v, STREAM).data.cpu().numpy() for v in (volume, to_phase(volume, np.zeros(3)))]
    assert np.abs(quiet[0] - quiet[1]).max() < 1.0
    loud = STAYING.model_copy(update={"noise_db": 30.0, "gain_db": -20.0, "tgc_db_cm_mhz": 0.0})
    still = replace(volume, phase=0.5)  # a moment at which nothing has moved
    images = [loud.render(v, STREAM).data.cpu().numpy() for v in (volume, to_phase(volume, np.zeros(3)), still)]
    seen = images[0] > 0
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert abs(np.corrcoef(images[i][seen], images[j][seen])[0, 1]) < 0.05


def test_the_probe_rides_on_the_skin_and_finds_the_same_scatterers() -> None:
    """Everything comes forward by 2 mm: the picture is that of phase 0, as far forward."""
    body = [cylinder(plain("liver"), (0, shift), 18.0) for shift in (0.0, -2.0)]
    first, then = (build(part, grid=FINE) for part in body)
    then = replace(to_phase(first, np.array([0, 2.0, 0])), top=then.top, under=then.under, coverage=then.coverage)
    us = US(probe=Linear(width_mm=30), frequency_mhz=5, depth_mm=20, focus_mm=12, noise_db=-300, dynamic_range_db=90)
    a, b = (us.render(volume, STREAM).data.cpu().numpy() for volume in (first, then))
    near, far = b[2:-2, 15:60, 30:70], a[2:-2, 20:65, 30:70]
    assert np.corrcoef(near.ravel(), far.ravel())[0, 1] > 0.95


def moved_scan() -> str:
    volume = build(cylinder("muscle", (0, 2), 24), sphere("liver", (0, 0, 0), 12), n=20, spacing=2.5)
    x = np.linspace(-2, 3, 20)[:, None] * [1.0, -0.7, 0.9]
    return digest(US().render(to_phase(volume, x), STREAM).data)


def test_a_later_phase_is_the_same_whatever_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = moved_scan()
    monkeypatch.setattr(protocol, "CHUNK_BYTES", 1)
    assert moved_scan() == reference


def test_header_says_what_was_simulated() -> None:
    volume = uniform("liver", n=24)
    image, other = (US(probe="curved").render(volume, Stream.of(seed)) for seed in (1, 2))
    header = json.loads(json.dumps(image.meta))
    assert header["probe"]["kind"] == "curved"
    assert header["depth_mm"] > 30
    assert image.unit == "grey"
    assert image.grid == volume.grid
    assert image.data.shape == volume.grid.shape
    assert not torch.equal(image.data, other.data)
