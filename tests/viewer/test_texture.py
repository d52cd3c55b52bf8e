"""The measures of texture against fields whose answers are known."""

import numpy as np
import pytest
from scipy import ndimage, stats

from viewer import texture

PIXEL = (0.8, 0.8)
RNG = np.random.default_rng(5)
WHITE = 7.0 * RNG.standard_normal((20, 160, 160))
EVERYWHERE = np.ones_like(WHITE, bool)


def smoothed(sigma):
    """White noise blurred by Gaussians of `sigma` (rows, columns) pixels."""
    return ndimage.gaussian_filter(WHITE, (0, *np.broadcast_to(sigma, 2)), mode="wrap")


def test_white_noise_has_a_flat_spectrum():
    frequency, power = texture.spectrum(texture.patches(WHITE, EVERYWHERE, 32), PIXEL)
    high = frequency > 0.1  # below, the planes are missing
    assert power[high] == pytest.approx(49 * 0.64, rel=0.05)
    assert texture.centroid(frequency, power, 0.8) == pytest.approx(0.26, abs=0.01)
    assert texture.slope(frequency, power, 0.1, 0.6) == pytest.approx(0.0, abs=0.03)


def test_spectrum_of_smoothed_noise_is_the_filters():
    frequency, power = texture.spectrum(smoothed(1.5), PIXEL)
    theory = 49 * 0.64 * np.exp(-((2 * np.pi * frequency * 1.5 * 0.8) ** 2))
    band = (frequency > 0.05) & (frequency < 0.25)
    ratio = power[band] / theory[band]  # rings of low frequency hold few waves
    assert ratio.mean() == pytest.approx(1.0, abs=0.02)
    assert ratio.std() < 0.08


def test_a_power_law_has_its_slope():
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256), indexing="ij"))
    f[0, 0] = 1.0
    field = np.fft.ifft2(np.fft.fft2(RNG.standard_normal((4, 256, 256))) * f**-1.25).real
    frequency, power = texture.spectrum(field, (1.0, 1.0))
    assert texture.slope(frequency, power, 0.05, 0.4) == pytest.approx(2.5, abs=0.06)


@pytest.mark.parametrize("sigma", [(1.0, 1.0), (1.5, 3.0)])
def test_correlation_length_of_smoothed_noise(sigma):
    lengths = texture.correlation_lengths(texture.patches(smoothed(sigma), EVERYWHERE, 80))
    assert lengths == pytest.approx([2 * s for s in sigma], rel=0.06)


def test_white_noise_correlates_over_no_pixel():
    assert max(texture.correlation_lengths(texture.patches(WHITE, EVERYWHERE, 16))) < 0.7


def test_deviations_are_those_of_chi_square_whatever_plane_lies_below():
    y, x = np.mgrid[:160, :160]
    found = texture.deviations(texture.patches(WHITE + 3.0 * x - 2.0 * y, EVERYWHERE, 8))
    free = 61  # 64 pixels less a plane
    for q in (0.1, 0.5, 0.9):
        assert np.quantile(found, q) == pytest.approx(7.0 * np.sqrt(stats.chi2.ppf(q, free) / free), rel=0.02)


def test_patches_lie_inside_and_the_quiet_ones_vary_least():
    inside = np.zeros_like(EVERYWHERE)
    inside[:, :, 80:] = True
    field = np.where(inside, WHITE, 1e6)
    field[:, :, 120:] *= 5
    parts = texture.patches(field, inside, 8)
    assert len(parts) == 20 * 39 * 19
    assert texture.deviations(texture.quiet(parts, 0.4)).max() < 14
    assert np.isclose(texture.patches(np.full_like(WHITE, 3.0), EVERYWHERE, 8), 0).all()
    assert texture.deviations(texture.patches(WHITE, ~EVERYWHERE, 8)).size == 0


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.2])
def test_width_of_a_blurred_edge(angle):
    y, x = np.mgrid[-40:40, -40:40].astype(float)
    edge = stats.norm.cdf((x * np.cos(angle) + y * np.sin(angle)) / 1.6)
    assert texture.edge_width(100 * edge[None]) == pytest.approx(2.563 * 1.6, rel=0.05)


def test_entropy_and_mode():
    assert texture.entropy(np.linspace(0, 1, 64 * 50, endpoint=False), (0, 1)) == pytest.approx(6.0, abs=0.01)
    assert texture.entropy(np.full(99, 0.3), (0, 1)) == 0.0
    values = np.concatenate([RNG.normal(-100, 15, 20000), RNG.normal(50, 12, 30000)])
    assert texture.mode(values, -150, -50) == pytest.approx(-100, abs=3)
    assert texture.mode(values, 0, 120) == pytest.approx(50, abs=3)
    # a Gaussian's entropy: log2(sd sqrt(2 pi e)) over the bin's width
    normal = RNG.normal(0, 1, 400000)
    assert texture.entropy(normal, (-8, 8)) == pytest.approx(np.log2(np.sqrt(2 * np.pi * np.e) / 0.25), abs=0.01)


def test_within_ignores_single_pixels_of_noise():
    slices = np.full((1, 40, 40), 50.0)
    slices[0, 20, 20] = 250.0
    slices[0, :, 30:] = -100.0
    found = texture.within(slices, 0, 120)
    assert found[0, 20, 20] and found[0, 5, 5] and not found[0, :, 33:].any()
