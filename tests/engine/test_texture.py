import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from engine.grid import Grid
from engine.pattern import PATTERNS
from engine.random import Stream
from engine.render.ct import CT
from engine.render.mr import MR
from engine.render.texture import heterogeneity
from engine.render.us.acoustics import Medium
from engine.tissue import Material, resolve
from tests.engine.phantoms import box, build, renders, sphere, uniform

STREAM = Stream.of(2, "texture")
FIBRES = {"kind": "fibres", "direction": [0, 0, 3], "length": 12, "width": 4}
LOBULES = {"kind": "lobules", "size": 14, "septum": 0.8, "signal": -0.2}
EXAMPLES = {kind: cls.example().model_dump(exclude_none=True) for kind, cls in PATTERNS.items()}


def tissue_with(*patterns, **more):
    return resolve(Material.model_validate({"like": "liver", "pattern": list(patterns), **more}))


def deviations(*patterns, n=64, spacing=1.0, draws=4, sd=0.1):
    """The factor less 1 in several draws, `[draw, z, y, x]`."""
    volume = uniform(tissue_with(*patterns), n=n, spacing=spacing)
    return np.stack([heterogeneity(volume, [0, sd], Stream.of(seed)).cpu().numpy() - 1 for seed in range(draws)])


def autocorrelation(fields):
    """Mean product at shifts in voxels (periodic) over draws, relative to the variance asked for.

    The fields' own variance lacks what is finer than a voxel.
    """
    power = np.mean(np.abs(np.fft.fftn(fields, axes=(1, 2, 3))) ** 2, axis=0)
    return np.fft.ifftn(power).real / power.size / 0.1**2


def e_folding(line):
    """Position along `line` at which it falls to 1/e, in steps."""
    last = int(np.argmax(line < math.exp(-1)))
    return last - 1 + (line[last - 1] - math.exp(-1)) / (line[last - 1] - line[last])


def rough(length_mm):
    return resolve(Material(like="water", texture_mm=length_mm))


def field(length_mm, spacing, n=64):
    return heterogeneity(uniform(rough(length_mm), n=n, spacing=spacing), [0, 0.1], STREAM)


def test_deviation_is_the_one_asked_for_where_voxels_are_fine():
    """Over several draws: one box holds few correlation lengths."""
    volume = uniform(rough(8.0), n=64, spacing=1.0)
    factors = [heterogeneity(volume, [0, 0.1], Stream.of(seed, "texture")) for seed in range(8)]
    assert all(float(factor.mean()) == pytest.approx(1, abs=1e-4) for factor in factors)
    variance = sum(float(factor.var()) for factor in factors) / len(factors)
    # the box's mean (variance 8 pi L^3 / V) and what is finer than a voxel (about r / L, r its mean distance) are out
    expected = 0.01 * (1 - 8 * math.pi * 8.0**3 / 64**3 - 0.66 / 8.0)
    assert variance == pytest.approx(expected, rel=0.1)


def test_coarse_voxels_average_variation_away():
    assert float(field(2.0, 4.0).std()) < 0.7 * float(field(2.0, 1.0).std())


def test_correlation_falls_exponentially_with_distance_in_mm():
    for spacing, steps in ((1.0, 8), (2.0, 4)):
        deviation = field(8.0, spacing, n=96) - 1
        correlation = float((deviation[..., :-steps] * deviation[..., steps:]).mean() / deviation.var())
        assert correlation == pytest.approx(math.exp(-1), abs=0.08)


def test_only_rough_tissues_vary():
    volume = build(sphere(rough(2.0), (0, 0, 0), 15), n=32)
    factor = heterogeneity(volume, [0, 0.2], STREAM)
    assert bool((factor[volume.fraction("water.1") == 0] == 1).all())
    assert float(factor[volume.fraction("water.1") == 1].std()) > 0.05
    assert bool((heterogeneity(volume, [0, 0], STREAM) == 1).all())


def test_never_negative():
    assert float(heterogeneity(uniform(rough(4.0), n=24), [0, 2.0], STREAM).min()) == 0


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_tissue_keeps_its_mean(kind):
    """In a structure small against the grid, over draws; a gradient exactly."""
    volume = build(box(tissue_with(EXAMPLES[kind]), (3, -2, 1), (16, 12, 14)), n=48, spacing=1.0)
    share = volume.fraction("liver.1")
    draws = [heterogeneity(volume, [0, 0.1], Stream.of(seed)) for seed in range(12)]
    means = np.array([float((factor * share).sum() / share.sum()) for factor in draws])
    assert abs(means.mean() - 1) <= 3 * means.std() / math.sqrt(len(means)) + 1e-6
    assert all(bool((factor[share == 0] == 1).all()) for factor in draws)


def test_mr_and_ultrasound_may_see_a_pattern_apart():
    """Septa that are dark in MR and bright in ultrasound, at the same places."""
    apart, shared = (
        uniform(tissue_with({**LOBULES, **more}), n=32, spacing=1.0) for more in ({"mr": -0.3, "us": 0.4}, {})
    )
    mr, us = (heterogeneity(apart, [0, 0], STREAM, of) - 1 for of in ("mr", "us"))
    assert torch.allclose(us, mr * (0.4 / -0.3), atol=1e-5)
    both = [heterogeneity(shared, [0, 0], STREAM, of) for of in ("mr", "us")]
    assert torch.equal(*both)
    assert torch.allclose(both[0] - 1, mr * (-0.2 / -0.3), atol=1e-5)
    scatter = Medium.of(apart, 3.5, STREAM).scatter
    assert torch.allclose(scatter / scatter.mean() - 1, us, atol=2e-3)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_patterns_move_with_the_tissue(kind):
    """By whole voxels: what a voxel shows is what the voxel at its tissue's place showed."""
    volume = uniform(tissue_with(EXAMPLES[kind]), n=40, spacing=1.0)
    steps = np.array([3, -2, 4])
    field = torch.from_numpy(np.broadcast_to(steps.astype(np.float32), (*volume.grid.shape, 3)).copy())
    later = replace(volume, phase=0.5, displacement=field.to(volume.top.device), rest=lambda: volume)
    first, then = (heterogeneity(v, [0, 0.1], STREAM).cpu().numpy() for v in (volume, later))
    came, now = first[4:, :-2, 3:], then[:-4, 2:, :-3]
    assert now - now.mean() == pytest.approx(came - came.mean(), abs=2e-4)
    assert now.mean() == pytest.approx(came.mean(), abs=5e-3)
    # what comes in over the grid's edge is tissue like any other, not the edge drawn out
    if kind != "gradient":
        assert np.abs(np.diff(then[-4:], axis=0)).mean() > 0.5 * np.abs(np.diff(then[:-4], axis=0)).mean()


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_same_for_any_number_of_threads(kind):
    volume = uniform(tissue_with(EXAMPLES["noise"], EXAMPLES[kind]), n=24, spacing=2.0)
    for protocol in (MR(), CT()):
        first, *others = renders(protocol, volume, STREAM)
        assert all(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("pattern", [FIBRES, {"kind": "noise", "length": 6, "smoothness": 2.5}])
def test_random_fields_have_the_deviation_asked_for(pattern):
    sd = deviations(pattern, n=64, spacing=0.75, draws=8).std()
    kept = 1 - (0.66 * 0.75 / 4.0 if pattern is FIBRES else 0)  # the rest is finer than a voxel
    assert sd == pytest.approx(0.1 * math.sqrt(kept), rel=0.05)


@pytest.mark.parametrize("smoothness", [0.3, 0.5, 1.5, 4])
def test_noise_is_correlated_over_its_length(smoothness):
    correlation = autocorrelation(
        deviations({"kind": "noise", "length": 8, "smoothness": smoothness}, n=96, spacing=1.0)
    )
    for axis in range(3):
        line = np.moveaxis(correlation, axis, 0)[:40, 0, 0]
        assert e_folding(line) == pytest.approx(8, rel=0.1)


def test_smoothness_takes_the_fine_part_away():
    rough, soft = (
        autocorrelation(deviations({"kind": "noise", "length": 8, "smoothness": nu}, draws=2)) for nu in (0.3, 3)
    )
    assert 1 - soft[0, 0, 1] < 0.25 * (1 - rough[0, 0, 1])


@pytest.mark.parametrize("axis", range(3))
def test_fibres_are_long_along_and_short_across(axis):
    direction = np.eye(3)[axis].tolist()
    correlation = autocorrelation(deviations({**FIBRES, "direction": direction}, n=96))
    lengths = [e_folding(line) for line in (correlation[0, 0, :48], correlation[0, :48, 0], correlation[:48, 0, 0])]
    for other, length in enumerate(lengths):
        assert length == pytest.approx(12 if other == axis else 4, rel=0.1)


def test_fibres_may_run_obliquely():
    correlation = autocorrelation(deviations({**FIBRES, "direction": [1, 1, 0]}, n=96))
    along = e_folding(np.array([correlation[0, i, i] for i in range(40)])) * math.sqrt(2)
    across = e_folding(np.array([correlation[0, i, -i] for i in range(40)])) * math.sqrt(2)
    assert (along, across) == (pytest.approx(12, rel=0.1), pytest.approx(4, rel=0.1))


def test_directions_are_the_worlds():
    """A grid whose x runs along the world's z sees fibres and trends along z in its x."""
    turned = replace(Grid.centred((40, 40, 40), (1.0,) * 3), direction=(0, 0, 1, 0, 1, 0, 1, 0, 0))
    trend = {"kind": "gradient", "direction": [0, 0, 1], "signal": 0.2}
    everywhere = sphere(tissue_with(trend), (0, 0, 0), 1e3)
    factor = heterogeneity(build(everywhere, grid=turned), [0, 0], STREAM)
    assert float(factor[0, 0, -1] - factor[0, 0, 0]) == pytest.approx(0.2 * 39 / 40, rel=1e-3)
    everywhere = sphere(tissue_with({**FIBRES, "length": 10, "width": 1.5}), (0, 0, 0), 1e3)
    field = heterogeneity(build(everywhere, grid=turned), [0, 0.1], STREAM).cpu().numpy()[None] - 1
    correlation = autocorrelation(field)
    assert correlation[0, 0, 4] > 0.5 > 0.3 > max(correlation[0, 4, 0], correlation[4, 0, 0])


@pytest.mark.parametrize("pattern", [FIBRES, {"kind": "noise", "length": 3}, LOBULES])
def test_coarse_voxels_see_the_average_of_fine_ones(pattern):
    fine, coarse = (deviations(pattern, n=n, spacing=96 / n, draws=3) for n in (96, 24))
    averaged = fine.reshape(3, 24, 4, 24, 4, 24, 4).mean(axis=(2, 4, 6))
    # lobules are averaged by parts of a voxel and flat walls, which loses some where walls meet
    assert coarse.std() == pytest.approx(averaged.std(), rel=0.1 if pattern is LOBULES else 0.05)


@pytest.mark.parametrize("kind", PATTERNS)
def test_tissue_that_no_voxel_holds_spoils_nothing(kind):
    pattern = PATTERNS[kind].example().model_dump(exclude_unset=True)
    volume = build(
        sphere(tissue_with({**pattern, "kind": kind}), (500, 0, 0), 5), grid=Grid.centred((16,) * 3, (1,) * 3)
    )
    assert torch.isfinite(heterogeneity(volume, [0, 0.1], STREAM)).all()


def test_every_grid_sees_the_same_lobules():
    fine, coarse = (deviations(LOBULES, n=n, spacing=96 / n, draws=1)[0] for n in (96, 32))
    averaged = fine.reshape(32, 3, 32, 3, 32, 3).mean(axis=(1, 3, 5))
    assert np.corrcoef(averaged.ravel(), coarse.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("size", [8, 14])
def test_lobules_have_the_size_asked_for(size):
    """Counted: lobules that are apart once their septa are cut out."""
    field = deviations({**LOBULES, "size": size, "septum": 0.12 * size}, n=96, spacing=size / 14, draws=1)[0]
    inside = field > 0.5 * field.max()
    # walls thinner than a voxel leak: keep what is two voxels from a septum, one piece a lobule
    depth = ndimage.distance_transform_edt(inside)
    peaks = (depth == ndimage.maximum_filter(depth, size=9)) & (depth > 2)
    count = ndimage.label(peaks, np.ones((3, 3, 3)))[1]
    volume = (96 * size / 14) ** 3 / count
    assert (6 * volume / math.pi) ** (1 / 3) == pytest.approx(size, rel=0.15)


@pytest.mark.parametrize("contrast", [-0.2, 0.3])
def test_septa_differ_from_lobules_by_the_contrast(contrast):
    field = deviations({**LOBULES, "size": 20, "septum": 1, "signal": contrast}, n=64, draws=1)[0]
    assert field.max() - field.min() == pytest.approx(abs(contrast), rel=0.02)
    lobule = field.max() if contrast < 0 else field.min()
    assert np.median(field) == pytest.approx(lobule, abs=1e-6)
    assert float(field.mean()) == pytest.approx(0, abs=1e-5)


def test_septa_have_the_mean_thickness_asked_for():
    """A thin septum's share of the volume grows with its thickness, at the walls' area per volume."""
    thin, thick = (deviations({**LOBULES, "size": 20, "septum": t}, draws=1).max() for t in (0.4, 0.8))
    share = thin / 0.2, thick / 0.2
    assert share[1] / share[0] == pytest.approx(2, rel=0.1)
    # Voronoi cells of one point in a volume v have walls of 2.91 v^(-1/3) (Moller 1989, for scattered points)
    assert share[1] == pytest.approx(0.8 * 2.91 / (20 * (math.pi / 6) ** (1 / 3)), rel=0.1)


def test_gradients_have_the_slope_asked_for():
    both = {"kind": "gradient", "direction": [0, 2, 0], "signal": 0.2, "density": 0.4}
    per_cm = {"kind": "gradient", "direction": [1, 0, 0], "signal": -0.05, "per": "cm"}
    volume = build(
        box(tissue_with(both), (0, -20, 0), (20, 15, 20)),
        box(tissue_with(per_cm), (4, 20, 0), (12, 12, 20)),
        n=80,
        spacing=1,
    )
    for of, change in (("signal", 0.2), ("density", 0.4)):
        column = heterogeneity(volume, [0, 0, 0], STREAM, of=of)[40, :, 40].cpu().numpy()
        inside = np.flatnonzero(column[:34] != 1)[1:-1]
        assert np.polyfit(inside, column[inside], 1)[0] == pytest.approx(change / 30, rel=0.02)
    row = heterogeneity(volume, [0, 0, 0], STREAM)[40, 60].cpu().numpy()
    inside = np.flatnonzero(row != 1)[1:-1]
    assert np.polyfit(inside, row[inside], 1)[0] == pytest.approx(-0.005, rel=0.02)


def test_every_structure_has_a_gradient_of_its_own():
    trend = tissue_with({"kind": "gradient", "direction": [0, 1, 0], "signal": 0.2})
    volume = build(box(trend, (0, -20, 0), (15, 6, 15)), box(trend, (0, 18, 0), (15, 14, 15)), n=80, spacing=1)
    factor = heterogeneity(volume, [0, 0, 0], STREAM)
    for name in ("liver.1", "liver.2"):
        inside = factor[volume.fraction(name) == 1]
        assert float(inside.min()) == pytest.approx(0.9, abs=0.01)
        assert float(inside.max()) == pytest.approx(1.1, abs=0.01)


def test_patterns_of_one_tissue_are_independent_and_add_up():
    noise = {"kind": "noise", "length": 4, "smoothness": 2, "signal": 0.06}
    assert deviations(noise, {**noise, "signal": 0.08}).std() == pytest.approx(0.1, rel=0.06)


def test_strength_is_the_tissues_unless_the_pattern_says():
    volume = uniform(tissue_with({**FIBRES, "density": 0.02}), n=24)
    same = heterogeneity(volume, [0, 0.02], STREAM, of="signal")
    assert torch.equal(heterogeneity(volume, [0, 0.5], STREAM, of="density"), same)
