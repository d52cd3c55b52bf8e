"""CT of fidelity `projection`: line integrals, photons, corrections and reconstruction."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from engine.device import device
from engine.errors import UserError
from engine.grid import Grid
from engine.random import Stream
from engine.render.ct import CT
from engine.render.ct.backproject import WINDOWS, backproject, filtered, ramp
from engine.render.ct.cone import project_cone, rows_of
from engine.render.ct.detect import detect
from engine.render.ct.detectors import bowtie, detectors
from engine.render.ct.dose import noise_sd
from engine.render.ct.geometry import Rays
from engine.render.ct.kernel import KERNELS
from engine.render.ct.materials import attenuation, mixtures, nodes
from engine.render.ct.number import ct_number
from engine.render.ct.project import LANES, project, stack
from engine.render.ct.spectrum import tube_output
from engine.tissue import Material, load_table, resolve, tissue
from tests.engine.phantoms import box, build, cylinder, renders, sphere, uniform

STREAM = Stream.of(11, "scan")
BEAMS = {"parallel": Rays(180, 200, 1.0, None), "fan": Rays(300, 240, 1.0, 570.0)}
STILL = {name: torch.zeros(rays.views, 2, device=device()) for name, rays in BEAMS.items()}


def ellipse(n, spacing, a, b, centre=(0.0, 0.0), fine=8):
    """Share `[y, x]` of each pixel that an ellipse covers."""
    dx, dy = spacing
    x = ((np.arange(n * fine) + 0.5) / fine - n / 2) * dx - centre[0]
    y = ((np.arange(n * fine) + 0.5) / fine - n / 2) * dy - centre[1]
    return ((x[None] / a) ** 2 + (y[:, None] / b) ** 2 < 1).reshape(n, fine, n, fine).mean((1, 3)).astype(np.float32)


def chords(rays, a, b, centre=(0.0, 0.0)):
    """Exact length `[view, detector]` of each ray in an ellipse, mm."""
    angle = rays.angles()[:, None]
    normal, along = (np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))
    t = rays.places()
    px, py = t * normal[0] - centre[0], t * normal[1] - centre[1]
    ux, uy = along[0] + t * rays.curvature * normal[0], along[1] + t * rays.curvature * normal[1]
    length = np.hypot(ux, uy)
    ux, uy = ux / length, uy / length
    aa, bb = (ux / a) ** 2 + (uy / b) ** 2, px * ux / a**2 + py * uy / b**2
    root = bb**2 - aa * ((px / a) ** 2 + (py / b) ** 2 - 1)
    return 2 * np.sqrt(np.maximum(root, 0)) / aa


def eight(image):
    return stack(torch.from_numpy(np.repeat(image[None], LANES, 0)).to(device()))


@pytest.mark.parametrize("beam", BEAMS)
@pytest.mark.parametrize(
    ("spacing", "a", "b", "centre"),
    [((1.0, 1.0), 70, 70, (0, 0)), ((1.0, 1.0), 60, 30, (12, -7)), ((0.8, 1.3), 50, 70, (5, 8))],
)
def test_line_integrals_of_ellipses(beam, spacing, a, b, centre):
    rays = BEAMS[beam]
    found = project(eight(ellipse(192, spacing, a, b, centre)), spacing, rays, STILL[beam])[..., 3].cpu().numpy()
    exact = chords(rays, a, b, centre)
    deep = exact > 0.4 * exact.max()
    assert found[deep].mean() == pytest.approx(exact[deep].mean(), rel=0.002)
    assert np.sqrt(((found - exact)[deep] ** 2).mean()) < 0.005 * exact.max()
    assert found[exact == 0].max() < 1.5 * max(spacing) * math.sqrt(max(a, b))  # a chord that just misses


def test_slices_are_projected_apart():
    slices = torch.zeros(LANES, 32, 32, device=device())
    slices[5, 10:20, 10:20] = 1.0
    found = project(stack(slices), (1.0, 1.0), BEAMS["fan"], STILL["fan"])
    assert [k for k in range(LANES) if float(found[..., k].abs().sum()) > 0] == [5]


def test_a_ray_along_the_axis_sums_a_row_or_a_column():
    image = np.zeros((6, 9), np.float32)
    image[2] = 3.0
    rays = Rays(2, 13, 0.5, None)  # views along +y and -x; the fourth row of detectors' half steps lies on y = -0.5
    slices = torch.from_numpy(np.repeat(image[None], LANES, 0)).to(device())
    found = project(stack(slices), (1.0, 1.0), rays, torch.zeros(2, 2, device=device()))[..., 0]
    assert found[0].cpu().numpy() == pytest.approx(3.0, rel=1e-5)
    between = np.interp(rays.places(), np.arange(-5, 6) - 0.5, [0, 0, 0, 0, -0.1, 1.2, -0.1, 0, 0, 0, 0])  # sharpened
    assert found[1].cpu().numpy() == pytest.approx(27 * between, abs=1e-4)
    assert found[1].sum() / 2 == pytest.approx(27, rel=1e-5)


@pytest.mark.parametrize("beam", BEAMS)
@pytest.mark.parametrize("shape", ["ram-lak", "hann", "standard"])
def test_reconstruction_of_exact_projections(beam, shape):
    rays, n = BEAMS[beam], 160
    exact = torch.from_numpy(chords(rays, 60, 60, (10, 5)).astype(np.float32)).to(device())
    image = backproject(filtered(exact[..., None].repeat(1, 1, LANES), rays, shape, False), (n, n), (1.0, 1.0), rays)
    y, x = np.mgrid[:n, :n] - (n - 1) / 2
    r = np.hypot(x - 10, y - 5)
    found = image[2].cpu().numpy()
    assert found[r < 50].mean() == pytest.approx(1, abs=0.002)
    assert found[(r > 65) & (np.hypot(x, y) < 75)].mean() == pytest.approx(0, abs=0.002)


def noise_of(beam, shape, seed, n=128):
    rays = BEAMS[beam]
    white = Stream.of(seed, "white").normal((rays.views, rays.detectors, LANES))
    return backproject(filtered(white, rays, shape, False), (n, n), (1.0, 1.0), rays).cpu().numpy()


def test_noise_spectrum_is_proportional_to_frequency():
    """(pi / N) sigma^2 a f at 0.1 to 0.15 cycles/px (Riederer, Pelc and Chesler 1978)."""
    power = (
        np.mean([(np.abs(np.fft.fft2(noise_of("parallel", "ram-lak", s))) ** 2).mean(0) for s in (1, 2)], 0) / 128**2
    )
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128)))
    for low, high in ((0.08, 0.1), (0.1, 0.125), (0.125, 0.15)):
        band = (f >= low) & (f < high)
        assert power[band].mean() / (np.pi / 180 * f[band]).mean() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("shape", ["smooth", "standard"])
def test_noise_spectrum_of_a_kernel(shape):
    """f MTF^2 within 5 %: interpolation between detectors is made up for."""
    power = np.mean([(np.abs(np.fft.fft2(noise_of("parallel", shape, s))) ** 2).mean(0) for s in range(3)], 0) / 128**2
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128)))
    edges = np.linspace(0.06, 0.36, 7)
    for low, high in itertools.pairwise(edges):
        band = (f >= low) & (f < high)
        theory = (np.pi / 180 * f * KERNELS[shape].mtf(f) ** 2)[band].mean()
        assert power[band].mean() / theory == pytest.approx(1, abs=0.06)


def test_ramp_of_a_constant_is_nothing():
    for shape in (*WINDOWS, *KERNELS):
        weights, f = ramp(4096, 0.7, shape), np.fft.rfftfreq(4096, 0.7)
        assert abs(weights[0]) < 0.3 * f[1]
        assert weights[10:100] == pytest.approx(f[10:100], rel=0.05)


@pytest.mark.parametrize("kvp", [80, 93, 120, 140])
@pytest.mark.parametrize("name", ["water", "cortical_bone", "blood_iodine", "titanium"])
def test_few_energies_stand_for_the_spectrum(kvp, name):
    energy, photons = tube_output(kvp)
    few = nodes(kvp)
    for mm in (5.0, 30.0, 200.0):
        full = (energy * photons) @ np.exp(-attenuation(tissue(name), energy) * mm) / (energy @ photons)
        assert few.weight @ np.exp(-attenuation(tissue(name), few.energy_kev) * mm) == pytest.approx(full, rel=5e-4)


def test_every_tissue_is_a_mixture_of_few():
    table = list({id(t): t for t in load_table().values()}.values())
    energy = nodes(120).energy_kev
    mix = mixtures(table, energy)
    true = np.array([attenuation(t, energy) for t in table])
    assert len(mix.attenuation) <= 6
    scale = np.maximum(true, attenuation(tissue("water"), energy))
    assert np.abs((mix.shares @ mix.attenuation - true) / scale).max() < 1e-3


def readings(paths, mas, height=1.0, electronic=0.0, seed=0, bowtie_mm=0.0, corrected=True):
    """What detectors make of water paths `[view, detector, 8]`, mm."""
    rays = Rays(paths.shape[0], paths.shape[1], 1.0, 570.0)
    row = detectors(rays, nodes(120), bowtie_mm, mas, height, corrected)
    mu = torch.from_numpy(attenuation(tissue("water"), nodes(120).energy_kev).astype(np.float32))[None].to(device())
    gain = torch.ones(paths.shape[1], LANES, device=device())
    return detect(paths[None].to(device()), mu, row, gain, electronic, Stream.of(seed, "photons")), row


@pytest.mark.parametrize("bowtie_mm", [0.0, 250.0])
def test_water_correction_gives_back_the_path(bowtie_mm):
    lengths = torch.tensor([1.0, 10, 50, 100, 200, 300, 400, 600])
    found, _ = readings(lengths.repeat(2, 300, 1), None, bowtie_mm=bowtie_mm)
    error = (found.cpu() / lengths - 1).abs().amax(dim=(0, 1))
    assert float(error[1:].max()) < 5e-4 and float(error[0]) < 2e-3


@pytest.mark.parametrize(
    ("cm", "per_cm"), [(1, 0.2032), (5, 0.2012), (10, 0.1991), (20, 0.1958), (30, 0.1932), (40, 0.1911)]
)
def test_projection_of_water(cm, per_cm):
    """spekpy 2.5.4 and xraydb 4.5.8, integrated apart from this package."""
    found, row = readings(torch.full((1, 3, LANES), 10.0 * cm), None, corrected=False)
    assert float(found.mean()) / float(row.correction[0, 0]) / cm == pytest.approx(per_cm, rel=0.003)


@pytest.mark.parametrize("water_mm", [0.0, 100.0, 250.0, 500.0])
def test_variance_of_photons(water_mm):
    """Of the projection 1 / quanta: (sum E n)^2 / sum E^2 n of independent Poisson numbers in each bin of energy."""
    mas, views, width = 20.0, 60, 400
    found, row = readings(torch.full((views, width, LANES), water_mm), mas, corrected=False)
    energy, photons = tube_output(120)
    counts = photons / photons.sum() * row.quanta * np.exp(-attenuation(tissue("water"), energy) * water_mm)
    quanta = (energy @ counts) ** 2 / (energy**2 @ counts)
    projections = (found / float(row.correction[0, 0])).cpu().double().numpy()
    assert np.var(projections) * quanta == pytest.approx(1, abs=0.02 if quanta > 100 else 0.06)


def test_few_photons_are_poisson():
    """Counts below 12 one by one, above by expansion: mean, variance and skewness."""
    for water_mm in (480.0, 560.0, 620.0):
        mas = 20.0
        rays_row = readings(torch.full((40, 300, LANES), water_mm), mas, corrected=False)
        found, row = rays_row
        signal = torch.exp(-found / float(row.correction[0, 0])).cpu().double().numpy() * row.quanta
        energy, photons = tube_output(120)
        counts = photons / photons.sum() * row.quanta * np.exp(-attenuation(tissue("water"), energy) * water_mm)
        mean_kev = energy @ photons / photons.sum()
        mean, square = energy @ counts / mean_kev, energy**2 @ counts / mean_kev**2
        if mean < 8:
            continue  # readings are kept above one photon
        assert signal.mean() == pytest.approx(mean, rel=0.01)
        assert signal.var() == pytest.approx(square, rel=0.02)


def test_projections_variance_falls_with_dose():
    def variance(mas):
        return float(readings(torch.full((50, 300, LANES), 200.0), mas)[0].var())

    assert variance(50.0) / variance(400.0) == pytest.approx(8, rel=0.03)


def test_electronic_noise_adds():
    still, row = readings(torch.full((50, 300, LANES), 300.0), 50.0, corrected=False)
    loud, _ = readings(torch.full((50, 300, LANES), 300.0), 50.0, electronic=20.0, corrected=False)
    slope = float(row.correction[0, 0])
    passed = math.exp(-float(still.mean()) / slope) * row.quanta
    assert float(loud.var() - still.var()) / slope**2 == pytest.approx((20.0 / passed) ** 2, rel=0.1)


def test_bowtie_spares_the_middle():
    rays = Rays(10, 301, 1.0, 570.0)
    thickness = bowtie(rays, 250.0)
    assert thickness[150] == 0 and np.all(np.diff(thickness[150:]) >= 0) and np.all(np.isfinite(thickness))
    assert not bowtie(rays, 0.0).any()


def scan(volume, /, **fields):
    protocol = CT.model_validate({"fidelity": "projection", **fields})
    return protocol.render(volume, STREAM)


def test_cone_reconstructs_a_ball():
    grid = Grid.centred((64, 64, 40), (3.0, 3.0, 3.0))
    volume = build(sphere("water", (0, 0, 0), 50), grid=grid)
    z, y, x = np.meshgrid(*[(np.arange(n) - (n - 1) / 2) * 3.0 for n in (40, 64, 64)], indexing="ij")
    r = np.sqrt(x**2 + y**2 + z**2)
    data = 1 + scan(volume, noise_hu=0, scanner={"geometry": "cone"}).data.cpu().numpy() / 1000
    assert data[r < 38].mean() == pytest.approx(1, abs=0.005)
    assert data[18:22][r[18:22] < 38].mean() == pytest.approx(1, abs=0.002)
    assert data[(r > 62) & (abs(z) < 15) & (np.hypot(x, y) < 85)].mean() == pytest.approx(0.001, abs=0.01)


def test_cone_is_a_fan_in_its_middle_slice():
    volume, r = disc(radius=70.0, n=80, slices=1)
    fan, cone = (scan(volume, noise_hu=0, scanner={"geometry": g, "views": 200}).data for g in ("fan", "cone"))
    assert float((fan - cone).abs()[:, torch.from_numpy(r < 80).to(fan.device)].max()) < 1


@pytest.mark.parametrize("height", [0.0, 40.0])
def test_cone_line_integrals_of_a_ball(height):
    rays, radius = Rays(12, 121, 1.5, 570.0), 60.0
    grid = Grid.centred((96, 96, 96), (1.5, 1.5, 1.5))
    ball = build(sphere("water", (0, 0, 0), radius), grid=grid, background="gas").mix([0.0, 1.0])
    drift = torch.zeros(12, 2, device=device())
    rows = rows_of(rays, 96)
    row = round(height / 1.5 + (rows - 1) / 2)
    first = 8 * (row // 8)
    found = project_cone(stack(ball), grid.spacing, rays, drift, slice(None), first, rows)[..., row - first]
    up = (row - (rows - 1) / 2) * 1.5
    target = np.stack([rays.places(), np.full(121, 570.0), np.full(121, up)], 1)  # from the focus
    unit = target / np.linalg.norm(target, axis=1, keepdims=True)
    middle = np.array([0.0, 570.0, 0.0])
    missed = np.linalg.norm(middle - (unit @ middle)[:, None] * unit, axis=1)
    exact = 2 * np.sqrt(np.maximum(radius**2 - missed**2, 0))
    deep = exact > 50
    assert found.cpu().numpy()[:, deep].mean() == pytest.approx(exact[deep].mean(), rel=0.002)
    assert np.sqrt(((found.cpu().numpy() - exact)[:, deep] ** 2).mean()) < 0.005 * 120


def disc(tissue_name="water", radius=80.0, n=96, spacing=2.1, slices=2, *more):
    grid = Grid.centred((n, n, slices), (spacing, spacing, 3.0))
    volume = build(cylinder(tissue_name, (0, 0), radius), *more, grid=grid)
    x = (np.arange(n) - (n - 1) / 2) * spacing
    return volume, np.hypot(x[None], x[:, None])


@pytest.mark.parametrize("geometry", ["parallel", "fan"])
def test_water_is_nothing_and_flat(geometry):
    volume, r = disc()
    data = scan(volume, noise_hu=0, scanner={"geometry": geometry}).data.cpu().numpy()
    assert data[:, r < 20].mean() == pytest.approx(0, abs=0.5)
    assert data[:, (r > 60) & (r < 72)].mean() == pytest.approx(0, abs=1)
    assert data[:, (r > 88) & (r < 100)].mean() == pytest.approx(ct_number(tissue("air"), 120), abs=3)


def test_cupping_without_correction():
    """gecatsim 1.6.9 gave 1.95 % for 20 cm of water, centre within 20 mm against 80 to 90 mm."""
    volume, r = disc(radius=100.0, n=144)
    bare = {"water_correction": False, "bowtie_mm": 0}
    data = 1 + scan(volume, noise_hu=0, scanner=bare).data.cpu().numpy() / 1000
    ratio = data[:, (r > 80) & (r < 90)].mean() / data[:, r < 20].mean()
    assert 100 * (ratio - 1) == pytest.approx(1.95, abs=0.3)


@pytest.mark.parametrize("name", ["liver", "adipose", "muscle", "lung_inflated", "blood_venous"])
def test_soft_tissue_in_water_has_its_ct_number(name):
    plain = resolve(Material(like=name, texture_density=0))
    volume, r = disc("water", 90.0, 128, 1.6, 1, cylinder(plain, (0, 0), 25))
    data = scan(volume, noise_hu=0).data.cpu().numpy()
    assert data[:, r < 15].mean() == pytest.approx(ct_number(tissue(name), 120), abs=2, rel=0.03)


@pytest.mark.parametrize("geometry", ["parallel", "fan"])
def test_both_fidelities_have_the_same_noise(geometry):
    volume, r = disc(radius=75.0, slices=8)
    data = scan(volume, mas=50, scanner={"geometry": geometry, "bowtie_mm": 0}).data.cpu().numpy()
    expected = noise_sd(120, 50, 150, KERNELS["standard"], 3.0)
    assert data[:, r < 20].std() == pytest.approx(expected, rel=0.08)


def test_thick_slices_are_quieter():
    volume, r = disc(radius=45.0, n=48, slices=24)
    clean = scan(volume, noise_hu=0).data
    thin, thick = ((scan(volume, mas=3, slice_mm=mm).data - clean)[4:-4].cpu().numpy() for mm in (3, 12))
    thin, thick = thin[:, r < 35].std(), thick[:, r < 35].std()
    assert thin / thick == pytest.approx(2, rel=0.1)


def test_edges_are_blurred_by_the_kernel():
    """MTF of a disc's edge, on voxels that are fine beside the kernel."""
    volume, r = disc("water", 30.0, 200, 0.4, 1)
    for kernel in ("smooth", "standard"):
        fields = {"kernel": kernel, "scanner": {"detector_mm": 0.4, "geometry": "parallel", "views": 500}}
        data = 1 + scan(volume, noise_hu=0, **fields).data[0].cpu().numpy() / 1000
        step = 0.1
        bins = np.floor((r - 30) / step).astype(int)
        near = abs(r - 30) < 6
        edge = np.bincount(bins[near] + 60, data[near]) / np.bincount(bins[near] + 60)
        spread = np.diff(edge)
        mtf = np.abs(np.fft.rfft(spread)) / abs(spread.sum())
        f = np.fft.rfftfreq(len(spread), step)
        seen = f < KERNELS[kernel].f50_per_mm * 1.3
        assert mtf[seen] == pytest.approx(KERNELS[kernel].mtf(f[seen]), abs=0.05)


def test_metal_makes_streaks():
    metals = [cylinder("steel", (x, 0), 6, f"metal{x}") for x in (-35, 35)]
    volume, _ = disc("water", 80.0, 128, 1.6, 2, *metals)
    streaked = scan(volume, noise_hu=0).data.cpu().numpy()[0]
    between = streaked[60:68, 54:74].mean()
    away = streaked[20:28, 54:74].mean()
    assert between < away - 100


def test_truncation_is_marked_and_its_middle_keeps_its_value():
    volume, r = disc(radius=90.0)
    image = scan(volume, noise_hu=0, scanner={"fov_mm": 140})
    data = image.data.cpu().numpy()
    assert np.all(data[:, r > 74] == -1024)
    assert data[:, r < 20].mean() == pytest.approx(0, abs=10)
    assert image.meta["scanner"]["fov_mm"] == pytest.approx(140, abs=4)


def test_rings_are_round():
    volume, r = disc(radius=80.0)
    plain, ringed = (scan(volume, noise_hu=0, scanner={"rings": g}).data.cpu().numpy()[0] for g in (0.0, 0.01))
    extra = ringed - plain
    bins = np.floor(r[r < 60] / 2.1).astype(int)
    along = np.bincount(bins, extra[r < 60]) / np.bincount(bins)
    assert along[2:].std() > 0.3 * extra[r < 60].std()
    assert extra[r < 60].std() > 5


def test_motion_blurs_what_moves():
    volume, r = disc("water", 60.0)
    still, moved = (scan(volume, noise_hu=0, scanner={"motion_mm": mm}).data.cpu().numpy()[0] for mm in (0.0, 6.0))
    assert abs(moved - still)[abs(r - 60) < 3].mean() > 5 * abs(moved - still)[r < 30].mean() > 0


def test_few_photons_streak_across_the_wide_side():
    grid = Grid.centred((96, 40, 1), (4.0, 4.0, 3.0))
    volume = build(box("water", (0, 0, 0), (170, 60, 50)), grid=grid)
    coarse = {"window": "hann", "detector_mm": 4}
    data = scan(volume, mas=10, scanner=coarse).data.cpu().numpy()[0, 8:32, 20:76]
    data = data[:, :24] - data[:, :24].mean()
    power = np.abs(np.fft.fft2(data * np.outer(np.hanning(24), np.hanning(24)))) ** 2
    fy, fx = np.meshgrid(np.fft.fftfreq(24), np.fft.fftfreq(24), indexing="ij")
    assert power[abs(fy) > abs(fx)].mean() > 2 * power[abs(fx) > abs(fy)].mean()  # streaks run along x


@pytest.mark.parametrize("geometry", ["parallel", "fan", "cone"])
def test_same_bits_whatever_the_threads(geometry):
    volume = build(sphere("liver", (0, 0, 0), 25), sphere("bone", (10, 0, 0), 8), n=20, spacing=3.0)
    protocol = CT.model_validate({"fidelity": "projection", "mas": 40, "scanner": {"geometry": geometry, "views": 90}})
    images = renders(protocol, volume, STREAM)
    assert torch.equal(images[0], images[1]) and torch.equal(images[0], images[2])
    assert not torch.equal(images[0], protocol.render(volume, STREAM.child("other")).data)
    assert images[0].shape == volume.grid.shape and bool(images[0].isfinite().all())


def test_meta_says_what_was_simulated():
    volume = build(sphere("liver", (0, 0, 0), 10), n=16)
    meta = json.loads(json.dumps(scan(volume, kvp=100, scanner={"geometry": "parallel"}).meta))
    assert meta["fidelity"] == "projection" and meta["mas"] == 200 and meta["kvp"] == 100
    assert meta["scanner"]["geometry"] == "parallel" and meta["scanner"]["views"] > 100


def test_flat_and_anisotropic_grids():
    grid = Grid.centred((33, 20, 1), (0.7, 1.9, 5.0))
    assert scan(build(sphere("liver", (0, 0, 0), 8), grid=grid)).data.shape == (1, 20, 33)


def test_a_grid_outside_the_scanner_is_refused():
    wide = build(grid=Grid.centred((20, 20, 1), (60.0, 60.0, 3.0)))
    with pytest.raises(UserError, match="1697 mm across does not fit a fan"):
        scan(wide)
    with pytest.raises(UserError, match="420 mm long does not fit a cone"):
        scan(build(grid=Grid.centred((8, 8, 84), (5.0, 5.0, 5.0))), scanner={"geometry": "cone"})
    with pytest.raises(UserError, match="million samples a slice"):
        scan(uniform("water", n=48, spacing=20.0), scanner={"geometry": "parallel", "views": 7200, "detector_mm": 0.1})


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"scanner": {}, "fidelity": "image"}, "scanner belongs to fidelity: projection"),
        ({"noise_hu": 10}, "give mas, or noise_hu: 0"),
        ({"cupping": 0.5}, "water_correction: false"),
        ({"patient_mm": 300, "mas": 10}, "leave patient_mm out"),
        ({"scanner": {"fov_mm": 0}}, "greater than or equal to 20"),
        ({"scanner": {"fov_mm": 900, "source_mm": 400}}, "does not fit a fan"),
        ({"scanner": {"views": 100000}}, "less than or equal to 7200"),
        ({"scanner": {"views": {"uniform": [100, 200]}}}, "whole number"),
        ({"scanner": {"detector_mm": 0}}, "greater than or equal to 0.1"),
        ({"scanner": {"window": "blackman"}}, "ram-lak"),
        ({"scanner": {"rings": {"normal": [0, 1]}}}, "at least 0"),
        ({"scanner": {"geometry": "helix"}}, "fan"),
        ({"scanner": {"mas": 10}}, "[Ee]xtra"),
        ({"fidelity": "monte-carlo"}, "projection"),
    ],
)
def test_impossible_scans_are_refused(wrong, why):
    with pytest.raises(ValidationError, match=why):
        CT.model_validate({"fidelity": "projection", **wrong})


def test_scanners_may_vary():
    CT.model_validate(
        {
            "fidelity": {"choice": ["image", "projection"]},
            "mas": {"lognormal": [100, 0.3]},
            "scanner": {"rings": {"uniform": [0, 0.01]}, "views": {"integer": [300, 900]}, "fov_mm": "$fov"},
        }
    )
