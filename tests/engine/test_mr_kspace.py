"""Sampling, coils, slices and artefacts of MR against closed forms and sums written out here."""

import json

import numpy as np
import pytest
import torch
from scipy import stats

from engine.device import device
from engine.grid import Grid
from engine.random import Stream
from engine.render.mr import MR, slices
from engine.render.mr.acquire import acquire
from engine.render.mr.coils import Coils
from engine.render.mr.encode import Encoding
from engine.render.mr.field import dephasing, off_resonance
from engine.render.mr.layer import Layer, layers
from engine.render.mr.motion import encoding
from engine.render.mr.sampling import Sampling
from engine.render.mr.separate import separate
from engine.render.mr.sequence import SEQUENCES
from engine.render.mr.spikes import add_spikes
from engine.render.mr.spins import FAT_PPM, HZ_T_PPM
from engine.tissue import Material, resolve, tissue
from engine.volume import Volume
from tests.engine.phantoms import box, build, cylinder, renders, sphere, uniform

STREAM = Stream.of(7, "k-space")
FLAT = {"bias": 0.0, "noise_percent": 0.0}


def plain(name, **changes):
    """A tissue without texture."""
    return resolve(Material(like=name, texture=0, **changes), name=name)


def image(volume, **protocol):
    return MR(**{**FLAT, **protocol}).render(volume, STREAM).data.cpu().numpy().astype(float)


def on_device(values):
    return torch.from_numpy(np.asarray(values, np.float32)).to(device())


# --- sampling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [1, 2])
def test_truncation_rings_by_gibbs_overshoot(axis):
    step = torch.zeros(1, 512, 512, device=device())
    step.narrow(axis, 128, 256).fill_(1.0)
    matrix = (33, 512) if axis == 1 else (512, 33)
    made = acquire([Layer(step)], Encoding(Sampling((512, 512), matrix)), 0.0, STREAM)
    assert float(made.max()) == pytest.approx(1.0895, abs=0.001)
    along = made[0].mean(dim=2 - axis)  # the magnitude folds the ringing outside
    assert float(torch.fft.rfft(along - along.mean())[20:].abs().max()) < 3.0


def test_a_disk_rings_as_in_a_package_of_its_own():
    """MRzeroCore 1.2.0 gives 1.1007 for a disk of a quarter of the field of view, 64 samples."""
    axis = np.arange(512) - 256.0
    disk = on_device(np.hypot(*np.meshgrid(axis, axis))[None] < 128)
    made = acquire([Layer(disk)], Encoding(Sampling((512, 512), (64, 64))), 0.0, STREAM)[0].cpu().numpy()
    radius = np.hypot(*np.meshgrid(axis, axis))
    assert made[radius < 128].max() / made[radius < 77].mean() == pytest.approx(1.1007, abs=0.01)


@pytest.mark.parametrize(("wanted", "matrix"), [({"matrix": (48, 32)}, [48, 32]), ({"resolution_mm": 4.0}, [24, 24])])
def test_matrix_is_what_was_asked_for(wanted, matrix):
    volume = build(sphere("liver", (0, 0, 0), 30), grid=Grid.centred((64, 64, 2), (1.5, 1.5, 3.0)))
    made = MR(**wanted, noise_percent=0).render(volume, STREAM)
    assert made.meta["matrix"] == matrix
    assert made.meta["lines"] == matrix[1]


def test_all_samples_give_the_object_back():
    volume = build(sphere(plain("liver"), (0, 0, 0), 20), n=32)
    assert image(volume) == pytest.approx(
        volume.mix(MR().signals([s.tissue for s in volume.structures])).numpy(), abs=1e-3
    )


@pytest.mark.parametrize("share", [0.6, 0.75])
def test_partial_fourier_leaves_lines_out_and_blurs_that_axis_alone(share):
    sampling = Sampling((64, 64), (64, 64), share)
    assert len(sampling.lines) == pytest.approx(64 * share, abs=0.5)
    assert sampling.lines[-1] == 31
    point = torch.zeros(1, 64, 64, device=device())
    point[0, 32, 32] = 1.0
    made = acquire([Layer(point)], Encoding(sampling), 0.0, STREAM)[0]
    assert float(made[32, 32]) == pytest.approx(share, abs=0.01)
    assert float(made[33, 32]) > 0.1
    assert float(made[32, 33]) < 1e-5
    noise = acquire([Layer(torch.zeros(16, 64, 64, device=device()))], Encoding(sampling), 10.0, STREAM)
    assert float(noise.mean()) == pytest.approx(12.533, rel=0.01)


@pytest.mark.parametrize(
    ("count", "echoes", "middle"), [(128, 16, 7), (100, 8, 0), (96, 12, 11), (64, 176, 88), (77, 9, 4)]
)
def test_echoes_are_ordered_outwards_from_the_middle(count, echoes, middle):
    sampling = Sampling((count, 8), (count, 8), 1.0, None, echoes, middle)
    echo, shot = sampling.order
    centre = int(np.flatnonzero(sampling.lines == 0)[0])
    assert abs(echo[centre] - middle) <= (1 if echoes > count else 0)
    taken = np.bincount(echo, minlength=echoes)
    assert taken.max() - taken.min() <= 2
    away = np.abs(echo - middle)
    assert np.all(np.diff(away[centre:]) >= -1)
    assert np.all(np.diff(away[: centre + 1]) <= 1)
    assert len(set(zip(echo.tolist(), shot.tolist(), strict=True))) == count


def test_separate_gives_the_table_back():
    rng = np.random.default_rng(0)
    table = np.exp(-np.outer(rng.uniform(0, 0.05, 9), np.arange(100)) + 1j * rng.uniform(0, 1, (9, 1)))
    pairs = separate(table)
    assert len(pairs) < 6
    assert np.abs(sum(np.outer(a, b) for a, b in pairs) - table).max() < 1.1e-4
    assert separate(np.zeros((3, 4))) == []


@pytest.mark.parametrize(("sequence", "more"), [("fse", {}), ("fse", {"te_ms": 10, "echo_train": 12}), ("mprage", {})])
def test_a_train_weighs_the_lines_of_every_tissue(sequence, more):
    parts = [
        sphere(plain("liver"), (0, 0, 0), 20),
        sphere(plain("csf"), (5, 0, 0), 8),
        sphere(plain("fat"), (-9, 4, 0), 5),
    ]
    volume = build(*parts, grid=Grid.centred((40, 48, 2), (1.5, 1.5, 1.5)))
    protocol = MR(sequence=sequence, **more, **FLAT)
    tissues, timing = [s.tissue for s in volume.structures], protocol.timing()
    sampling = Sampling((48, 40), (48, 40), 1.0, None, timing.echoes, protocol.contrast.sequence.middle(timing))
    weights = protocol.contrast.whole(tissues)[:, sampling.order[0]]
    total = 0
    for row, weight in enumerate(weights):
        one = volume.mix(np.eye(len(tissues))[row].tolist()).numpy()
        total = total + np.fft.fft2(one) * np.fft.ifftshift(weight)[:, None]
    assert protocol.render(volume, STREAM).data.cpu().numpy() == pytest.approx(np.abs(np.fft.ifft2(total)), abs=0.5)


def test_a_train_blurs_short_t2_along_the_phase_axis():
    def width(t2):
        line = plain("liver", t2_ms=t2)
        volume = build(box(line, (0, 0, 0), (99, 0.51, 99)), grid=Grid.centred((8, 128, 1), (1.0, 1.0, 1.0)))
        profile = image(volume, sequence="fse", te_ms=10, echo_train=32)[0, :, 4]
        return np.sum(profile) ** 2 / np.sum(profile**2)

    assert width(25.0) > 1.5 * width(800.0)


def test_field_of_view_wraps_what_lies_outside():
    volume = build(box(plain("liver"), (0, 0, 0), (20, 45, 99)), box(plain("fat"), (0, 40, 0), (8, 4, 99)), n=64)
    whole, cut = image(volume), image(volume, phase_fov=0.5)
    folded = np.abs(whole[:, 16:48] + np.concatenate([whole[:, 48:], whole[:, :16]], axis=1))
    assert cut[:, 16:48] == pytest.approx(folded, abs=0.01)
    assert not cut[:, :16].any()
    assert not cut[:, 48:].any()
    turned = Volume(
        volume.grid,
        *(a.transpose(1, 2).contiguous() for a in (volume.top, volume.under, volume.coverage)),
        volume.structures,
    )
    assert image(turned, phase_fov=0.5, phase_axis="x") == pytest.approx(cut.transpose(0, 2, 1), abs=0.01)


# --- fat and field ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bandwidth", "field_t"), [(220.0, 1.5), (130.0, 1.5), (440.0, 3.0)])
@pytest.mark.parametrize("matrix", [None, (48, 48)])
def test_fat_is_shifted_by_its_resonance_over_the_bandwidth(bandwidth, field_t, matrix):
    fat = plain("fat", fat_fraction=1.0)
    volume = build(cylinder(fat, (0, 0), 20), grid=Grid.centred((96, 96, 1), (1.5, 1.5, 1.5)))
    more = {"te_ms": 15, "tr_ms": 600, "field_t": field_t, "matrix": matrix}
    made = MR(**FLAT, bandwidth_hz=bandwidth, **more).render(volume, STREAM)
    still, moved = image(volume, **more)[0], made.data.cpu().numpy().astype(float)[0]
    x = np.arange(96)
    shift = (moved**2 @ x).sum() / (moved**2).sum() - (still**2 @ x).sum() / (still**2).sum()
    pixels = shift * (48 / 96 if matrix else 1)
    expected = abs(FAT_PPM) * HZ_T_PPM * field_t / bandwidth
    assert abs(pixels) == pytest.approx(expected, abs=0.02)
    assert abs(made.meta["fat_shift_px"]) == pytest.approx(expected, abs=1e-3)


def test_water_stays_and_fat_leaves_a_void_and_overlaps():
    volume = build(
        box(plain("fat", fat_fraction=1.0), (0, 0, 0), (60, 60, 60)), box(plain("liver"), (0, 0, 0), (20, 20, 60)), n=64
    )
    made = image(volume, bandwidth_hz=80, te_ms=20)[32, 32]
    middle = made[32]
    assert made[12:52].max() > 1.5 * middle  # fat on top of liver
    assert made[12:52].min() < 0.2 * middle  # neither


def test_field_of_a_sphere_is_a_dipoles():
    volume = build(sphere("air", (0, 0, 0), 10), background="water", n=64, spacing=1.5)
    found = off_resonance(volume, 1.5).cpu().numpy()
    z, y, x = np.meshgrid(*(1.5 * (np.arange(64) - 31.5) for _ in range(3)), indexing="ij")
    r = np.sqrt(x**2 + y**2 + z**2)
    jump = tissue("air").chi_ppm - tissue("water").chi_ppm
    exact = HZ_T_PPM * 1.5 * jump / 3 * (10 / np.maximum(r, 10)) ** 3 * (3 * z**2 / r**2 - 1)
    near = (r > 13) & (r < 30)
    assert found[near] == pytest.approx(exact[near], abs=0.04 * np.abs(exact[near]).max())
    assert np.sqrt(np.mean((found - exact)[near] ** 2)) < 0.04 * np.sqrt(np.mean(exact[near] ** 2))
    assert np.abs(found[r < 7]).max() < 0.05 * np.abs(exact).max()
    assert off_resonance(volume, 3.0, 0.5).cpu().numpy() == pytest.approx(found, abs=0.05)


def test_distortion_equals_the_sum_over_spins():
    rng = np.random.default_rng(3)
    n, bandwidth = 48, 100.0
    x = np.arange(n)
    field = 180.0 * np.sin(x / 6.0) + 60.0 * np.cos(x / 2.5)
    values = rng.uniform(0.5, 1.0, n) * (np.abs(x - n / 2) < 16)
    sampling = Sampling((8, n), (8, n), 1.0, bandwidth)
    off = on_device(np.tile(field, (1, 8, 1)))
    made = acquire([Layer(on_device(np.tile(values, (1, 8, 1))))], Encoding(sampling, field_hz=off), 0.0, STREAM)
    k = np.rint(np.fft.fftfreq(n) * n)
    samples = np.exp(-2j * np.pi * np.outer(k, x) / n + 2j * np.pi * np.outer(k, field) / (n * bandwidth)) @ values
    assert made[0, 3].cpu().numpy() == pytest.approx(np.abs(np.fft.ifft(samples)), abs=2e-3)


def test_a_slope_within_voxels_dephases_gradient_echoes_alone():
    slope = on_device(np.tile(40.0 * np.arange(16.0), (4, 8, 1)))
    assert dephasing(slope, 10.0).cpu().numpy() == pytest.approx(np.full((4, 8, 16), np.sinc(0.4)), rel=1e-4)
    volume = build(box(plain("liver"), (0, 0, 0), (40, 40, 40)), sphere("air", (0, 0, 0), 9), n=48, spacing=2.0)
    lost = {}
    for name in ("t2star", "t2w"):
        still, disturbed = (image(volume, sequence=name, susceptibility=s) for s in (0.0, 1.0))
        lost[name] = (disturbed < 0.5 * still)[still > 0.9 * still.max()].mean()
    assert lost["t2w"] == 0
    assert lost["t2star"] > 0.01


def test_metal_leaves_a_void_and_the_rest_as_it_was():
    def scanned(name):
        parts = [box(plain("liver"), (0, 0, 0), (45, 45, 45)), sphere(name, (0, 0, 0), 3)]
        return image(build(*parts, n=48, spacing=2.0), sequence="t2w", bandwidth_hz=300, susceptibility=1)[24]

    steel, none = scanned("steel"), scanned(plain("liver"))
    hidden = (steel < 0.3 * none) & (none > 0.9 * none[24, 24])
    assert 20 < hidden.sum() < 600
    assert steel[6, 24] == pytest.approx(none[6, 24], rel=0.25)


def test_bssfp_bands_follow_the_field():
    volume = build(box(plain("liver"), (0, 0, 0), (200, 99, 99)), grid=Grid.centred((200, 4, 1), (1.0, 1.0, 1.0)))
    protocol = MR(sequence="bssfp")
    tissues = [s.tissue for s in volume.structures]
    field = np.tile(np.linspace(-300, 300, 200), (1, 4, 1))
    at = np.linspace(-300, 300, 256)
    weights = np.ones((len(tissues), 4))
    (made,) = layers(volume, weights, 0.0, protocol.contrast.response(tissues, "water", at), at, on_device(field))
    exact = [abs(protocol.contrast.echoes(tissues, "water", f)[1, 0]) for f in field[0, 0]]
    assert made.image.abs()[0, 0].cpu().numpy() == pytest.approx(exact, abs=0.01 * max(exact))
    dark = field[0, 0][np.argmin(exact)]
    assert abs(dark) == pytest.approx(125, abs=3)  # half a turn in 4 ms


# --- coils ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 4, 12])
@pytest.mark.parametrize("name", ["air", "liver"])
def test_magnitude_of_several_coils_is_non_central_chi(channels, name):
    made = MR(channels=channels, bias=0, noise_percent=20).render(uniform(plain(name), n=24), STREAM).data
    level = MR().signals([tissue(name)])[0] / 200.0
    squares = (made.double().cpu().numpy().ravel() / 200.0) ** 2
    expected = stats.ncx2(2 * channels, level**2) if level else stats.chi2(2 * channels)
    assert stats.kstest(squares, expected.cdf).pvalue > 0.01


def test_coils_together_leave_no_shading():
    volume = uniform(plain("liver"), n=16)
    assert image(volume, channels=32) == pytest.approx(image(volume), rel=1e-4)
    one = Coils(volume.grid, 8).sensitivity(0).abs()
    assert float(one.max() / one.min()) > 4


@pytest.mark.parametrize("acceleration", [2, 3])
def test_parallel_imaging_raises_the_noise_as_unfolding_does(acceleration):
    grid = Grid.centred((20, 24, 1), (10.0, 10.0, 10.0))
    coils = Coils(grid, 8)
    s = np.stack([coils.sensitivity(c).cpu().numpy()[0] for c in range(8)]).astype(complex)
    rng = np.random.default_rng(1)
    rows = 24 // acceleration
    noise = rng.standard_normal((400, 8, rows, 20)) + 1j * rng.standard_normal((400, 8, rows, 20))
    noise *= np.sqrt(acceleration)  # of the aliased images: each sample measured counts for R
    found = np.empty((24, 20))
    for y in range(rows):
        for x in range(20):
            places = [y + k * rows for k in range(acceleration)]
            unfold = np.linalg.pinv(s[:, places, x])
            found[places, x] = (unfold @ noise[:, :, y, x].T).real.std(axis=1)
    assert coils.noise(acceleration, 1)[0].cpu().numpy() == pytest.approx(found, rel=0.15)
    assert np.mean(coils.noise(acceleration, 1)[0].cpu().numpy() / found) == pytest.approx(1, abs=0.02)
    volume = uniform(plain("liver"), n=24)
    made = MR(channels=8, acceleration=acceleration, bias=0, noise_percent=1).render(volume, STREAM)
    raised = Coils(volume.grid, 8).noise(acceleration, 1)
    level = MR().signals([tissue("liver")])[0]
    z_score = (made.data - level) / (10.0 * raised)
    assert float(z_score.std()) == pytest.approx(1, rel=0.03)
    assert made.meta["noise_gain"][0] > acceleration**0.5


# --- slices -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slice_mm", [3.0, 5.0, 8.0])
def test_slice_profile_has_the_thickness_asked_for(slice_mm):
    grid = Grid.centred((4, 4, 121), (1.0, 1.0, 0.25))
    volume = build(box(plain("liver"), (0, 0, 0), (9, 9, 0.125)), grid=grid)
    profile = image(volume, slice_mm=slice_mm)[:, 2, 2]
    above = np.interp(0.5 * profile.max(), profile[60:][::-1], 0.25 * np.arange(61)[::-1])
    assert 2 * above == pytest.approx(slice_mm, rel=0.03)


def test_edges_of_the_profile_are_as_steep_as_a_real_pulses():
    """A 90 degree Hann-windowed sinc of time-bandwidth product 4, by rotations of magnetisation."""
    position, count = np.linspace(-6, 6, 1201), 256
    shape = np.sinc(np.linspace(-2, 2, count)) * np.hanning(count)
    flips = shape / shape.sum() * np.pi / 2
    m = np.zeros((len(position), 3))
    m[:, 2] = 1
    turn = 2 * np.pi * position / count
    for flip in flips:
        y, z = m[:, 1].copy(), m[:, 2].copy()
        m[:, 1], m[:, 2] = y * np.cos(flip) - z * np.sin(flip), y * np.sin(flip) + z * np.cos(flip)
        x, y = m[:, 0].copy(), m[:, 1].copy()
        m[:, 0], m[:, 1] = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    size = np.hypot(m[:, 0], m[:, 1])[600:]
    right = position[600:]
    half, high, low = (np.interp(-v, -size, right) for v in (0.5, 0.9, 0.1))
    assert (low - high) / (2 * half) == pytest.approx(slices.EDGE, rel=0.02)
    z = np.linspace(0, 1, 20001)
    own = slices.profile(z, 1.0)
    assert np.interp(-0.1, -own, z) - np.interp(-0.9, -own, z) == pytest.approx(slices.EDGE, rel=0.02)


def test_gaps_are_not_seen():
    table = slices.weights(42, 1.0, 3.0, 3.0)
    assert table.sum(axis=1) == pytest.approx(1)
    assert len(np.unique(table.round(9), axis=0)) == 7
    assert table.sum(axis=0).min() < 0.03 * table.sum(axis=0).max()
    assert np.allclose(slices.weights(5, 4.0, 1.0, None), np.eye(5), atol=1e-6)


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_motion_equals_encoding_each_line_where_the_body_is():
    rng = np.random.default_rng(5)
    n = 32
    lines = np.arange(-16, 16)
    values, moving = rng.uniform(0, 1, n), np.linspace(1, 0, n)
    shift = 2.0 * np.sin(2 * np.pi * np.arange(n) / 8)
    made = encoding(n, lines, shift, moving)
    for j, k in enumerate(lines):
        exact = np.sum(values * np.exp(-2j * np.pi * k * (np.arange(n) + shift[j] * moving) / n)) / np.sqrt(n)
        assert (made @ values)[k] == pytest.approx(exact, abs=1e-4)
    at_rest = encoding(n, lines, 0 * shift, moving)
    assert at_rest @ at_rest.conj().T == pytest.approx(np.eye(n), abs=1e-5)


def test_breathing_leaves_ghosts_a_period_apart():
    volume = build(box(plain("fat"), (0, -20, 0), (99, 2, 99)), grid=Grid.centred((4, 128, 1), (1.0, 1.0, 1.0)))
    ghosts = image(volume, motion_mm=3, motion_period_s=4, tr_ms=500)[0, :, 2]  # 8 lines a period: every 16 voxels
    bright = [ghosts[44 + 16 * k + o] for k in (1, -1, 2) for o in (-3, 0, 3)]
    between = [ghosts[44 + 16 * k + 8] for k in (1, -1, 2)]
    assert max(bright) > 60
    assert max(bright) > 2 * max(between)
    assert image(volume, motion_mm=0)[0, :, 2][60] < 1e-3


def test_pulsing_blood_has_ghosts_of_half_its_swing():
    blood = plain("blood", pulsation=0.4)
    volume = build(
        cylinder(blood, (0, 0), 4),
        cylinder(plain("liver"), (30, 0), 4),
        grid=Grid.centred((96, 128, 1), (1.0, 1.0, 1.0)),
    )
    made = image(volume, heart_rate_bpm=60, tr_ms=125)[0]  # 8 lines a beat
    assert made[64 + 16, 48] == pytest.approx(0.2 * made[64, 48], rel=1e-3)
    assert made[64 - 16, 48] == pytest.approx(0.2 * made[64, 48], rel=1e-3)
    assert made[64 + 8, 48] < 1e-2 * made[64, 48]
    assert made[64 + 16, 78] < 1e-2 * made[64, 78]


def test_a_spike_lays_stripes_of_its_height():
    samples = torch.zeros(400, 32, 40, dtype=torch.complex64, device=device())
    add_spikes(samples, Sampling((32, 40), (16, 40)), 1.5, 80.0, STREAM)
    hits = (samples != 0).sum(dim=(1, 2))
    assert float(hits.double().mean()) == pytest.approx(1.5, abs=0.2)
    one = samples[hits == 1][0]
    stripes = torch.fft.ifft2(one, norm="ortho").abs()
    assert stripes.cpu().numpy() == pytest.approx(np.full((32, 40), 80.0), rel=1e-4)
    assert not samples[:, 8:24].any()  # lines that nothing measures


EVERYTHING = {
    "sequence": "fse",
    "channels": 4,
    "bandwidth_hz": 250,
    "susceptibility": 1,
    "matrix": (40, 32),
    "partial_fourier": 0.75,
    "phase_fov": 0.8,
    "phase_axis": "x",
    "slice_mm": 4,
    "slice_gap_mm": 1,
    "motion_mm": 3,
    "heart_rate_bpm": 70,
    "spikes": 0.5,
}


def test_everything_at_once_is_reproducible_and_says_what_it_was():
    volume = build(
        sphere("fat", (0, 0, 0), 30),
        sphere("liver", (0, 0, 0), 24),
        sphere("blood", (9, 0, 0), 5),
        sphere("air", (-9, 0, 0), 5),
        n=44,
    )
    protocol = MR(**EVERYTHING)
    images = renders(protocol, volume, STREAM, threads=(1, 2))
    assert torch.equal(images[0], images[1])
    assert bool(torch.isfinite(images[0]).all())
    meta = json.loads(json.dumps(protocol.render(volume, STREAM).meta))
    assert {key: meta[key] for key in EVERYTHING if key != "matrix"} == {
        k: v for k, v in EVERYTHING.items() if k != "matrix"
    }
    assert (meta["matrix"], meta["lines"], meta["te_ms"]) == ([40, 26], 20, 90)
    assert {"fat_shift_px", "off_resonance_hz", "echo_spacing_ms", "refocus_deg"} <= set(meta)


def test_no_noise_on_request():
    volume = build(sphere("liver", (0, 0, 0), 20), n=24)
    quiet = MR(noise_percent=0, channels=2)
    assert torch.equal(quiet.render(volume, STREAM).data, quiet.render(volume, STREAM).data)
    tissue_only = volume.fraction("liver.1").cpu().numpy() == 0
    assert quiet.render(volume, STREAM).data.cpu().numpy()[tissue_only].max() < 1e-2


def test_every_parameter_may_vary():
    spread = {"uniform": [1, 2]}
    MR(
        sequence={"choice": ["fse", "flair"]},
        echo_train={"integer": [4, 16]},
        refocus_deg={"uniform": [120, 180]},
        matrix=[{"integer": [128, 256]}, "$lines"],
        channels={"integer": [1, 8]},
        phase_axis={"choice": ["x", "y"]},
        slice_mm=spread,
        motion_mm=spread,
        susceptibility={"uniform": [0, 1]},
        partial_fourier={"uniform": [0.6, 1]},
    )


DISTURBED = {key: value for key, value in EVERYTHING.items() if key not in ("sequence", "bandwidth_hz", "matrix")}


@pytest.mark.parametrize("size", [(14, 12, 9), (16, 9, 1), (1, 1, 1)])
@pytest.mark.parametrize("sequence", SEQUENCES)
def test_every_sequence_stands_everything_on_every_grid(sequence, size):
    grid = Grid.centred(size, (3.0, 3.0, 4.0))
    ball = build(sphere("fat", (0, 0, 0), 15), sphere("blood", (0, 0, 0), 9), sphere("air", (5, 0, 0), 4), grid=grid)
    for volume in (ball, build(grid=grid)):
        for more in ({}, {"acceleration": 3}):
            made = MR(sequence=sequence, **DISTURBED, **more).render(volume, STREAM)
            assert made.data.shape == grid.shape
            assert bool(torch.isfinite(made.data).all())
