import math

import pytest

from engine.random import Stream
from engine.render.texture import heterogeneity
from engine.tissue import Material, resolve
from tests.engine.phantoms import build, sphere, uniform

STREAM = Stream.of(2, "texture")


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
