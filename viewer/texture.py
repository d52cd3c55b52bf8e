"""What grey values look like, in numbers: patches, their spread, spectrum and correlation, edges, entropy.

All measures are of slices `[n, h, w]`. Patches lose their best plane first, so that shading and slow differences
between organs are no texture. White noise of sd s on pixels of edge p has the flat spectrum s^2 p^2 and a correlation
length below one pixel; noise that a Gaussian of sd g has smoothed has the autocorrelation exp(-r^2 / 4 g^2), so the
length 2 g; an edge blurred by it rises from 10 to 90 % within 2.563 g.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

#: Pixels beside an edge that its profile is followed for.
_REACH = 8
#: Steps of the profile in a pixel.
_FINE = 8
#: Share of the pixels, those of steepest slope, that edges are looked for in.
_STEEPEST = 0.01
#: Edges that are measured at most.
_MOST_EDGES = 2000
_SMOOTH = 1.5  # pixels that slices are blurred by to tell tissue from noise


def within(slices: np.ndarray, low: float, high: float) -> np.ndarray:
    """Boolean `[n, h, w]`: where the slices, blurred by 1.5 pixels, lie between `low` and `high`."""
    blurred = ndimage.gaussian_filter(slices, (0.0, _SMOOTH, _SMOOTH))
    return (blurred > low) & (blurred < high)


def patches(slices: np.ndarray, inside: np.ndarray, edge: int) -> np.ndarray:
    """Square patches `[m, edge, edge]` that lie in `inside` whole, half overlapping, each without its best plane."""
    step = max(1, edge // 2)
    found = [
        part[i : i + edge, j : j + edge]
        for part, mask in zip(slices, inside, strict=True)
        for i in range(0, part.shape[0] - edge + 1, step)
        for j in range(0, part.shape[1] - edge + 1, step)
        if mask[i : i + edge, j : j + edge].all()
    ]
    flat = np.asarray(found, float).reshape(-1, edge * edge)
    x, y = np.meshgrid(np.arange(edge), np.arange(edge))
    plane, _ = np.linalg.qr(np.stack([np.ones(edge * edge), x.ravel(), y.ravel()], axis=1).astype(float))
    return (flat - flat @ plane @ plane.T).reshape(-1, edge, edge)


def deviations(parts: np.ndarray) -> np.ndarray:
    """Standard deviation of each patch `[m]`, free of bias by the three degrees of freedom that the plane took."""
    return np.sqrt((parts**2).sum((1, 2)) / (parts[0].size - 3)) if len(parts) else np.empty(0)


def quiet(parts: np.ndarray, share: float = 0.25) -> np.ndarray:
    """The patches that vary least, `share` of all: nearest to noise alone."""
    order = np.argsort(deviations(parts), kind="stable")
    return parts[order[: max(1, round(share * len(parts)))]]


def spectrum(parts: np.ndarray, pixel: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Power by frequency, averaged over directions and patches `[m, h, w]`, under a Hann window.

    Args:
        parts: patches or whole slices; each one's mean is taken away.
        pixel: (row, column) spacing, mm.

    Returns:
        Frequencies (cycles/mm, up to the coarser axis' Nyquist frequency, without 0) and power (square of the values'
        unit times mm^2).
    """
    h, w = parts.shape[1:]
    taper = np.outer(np.hanning(h + 2)[1:-1], np.hanning(w + 2)[1:-1])
    centred = parts - parts.mean((1, 2), keepdims=True)
    scale = pixel[0] * pixel[1] / (taper**2).sum()
    power = (np.abs(np.fft.fft2(centred * taper)) ** 2).mean(0) * scale
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(h, pixel[0]), np.fft.fftfreq(w, pixel[1]), indexing="ij"))
    bins = max(3, min(h, w) // 2)
    edges = np.linspace(0.0, 0.5 / max(pixel), bins + 1) + 0.25 / (max(pixel) * bins)
    place = np.digitize(frequency.ravel(), edges) - 1
    used = (place >= 0) & (place < bins) & (frequency.ravel() > 0)
    count = np.bincount(place[used], minlength=bins)
    some = count > 0
    mean = [np.bincount(place[used], of.ravel()[used], bins)[some] / count[some] for of in (frequency, power)]
    return mean[0], mean[1]


def centroid(frequency: np.ndarray, power: np.ndarray, pixel_mm: float) -> float:
    """Mean frequency of a spectrum averaged over directions, cycles a pixel.

    White noise has 0.26 in patches of 32 pixels and 0.36 in patches of 8, which lack the lowest frequencies.
    """
    return float(np.average(frequency, weights=power) * pixel_mm)


def slope(frequency: np.ndarray, power: np.ndarray, low: float, high: float) -> float:
    """The power a of frequency that a spectrum falls with, f^-a, between two frequencies in its own unit."""
    band = (frequency >= low) & (frequency <= high)
    return float(-np.polyfit(np.log(frequency[band]), np.log(power[band]), 1)[0])


def correlation_lengths(parts: np.ndarray) -> tuple[float, float]:
    """Distances along rows and along columns, in pixels, at which the patches' autocorrelation falls to 1/e.

    Along axis 1 (downwards) and axis 2 (across); half the patch where it never falls so far.
    """
    return _length(parts), _length(parts.transpose(0, 2, 1))


def _length(parts: np.ndarray) -> float:
    """Of axis 1."""
    n = parts.shape[1]
    lags = range(n // 2 + 1)
    curve = np.array([(parts[:, : n - lag] * parts[:, lag:]).mean() for lag in lags])
    curve = curve / curve[0]
    below = np.flatnonzero(curve < np.exp(-1.0))
    if not below.size:
        return float(n // 2)
    k = below[0]
    return float(k - 1 + (curve[k - 1] - np.exp(-1.0)) / (curve[k - 1] - curve[k]))


def edge_width(slices: np.ndarray) -> float:
    """Median 10-90 % rise of the steepest edges, in pixels: how sharp the image is where anatomy is.

    Profiles run along the gradient through its local maxima, from where the rise begins to where it ends.
    """
    blurred = ndimage.gaussian_filter(np.asarray(slices, float), (0.0, 1.0, 1.0))
    gy, gx = np.gradient(blurred, axis=(1, 2))
    steep = np.hypot(gy, gx)
    plain = steep[:, _REACH:-_REACH, _REACH:-_REACH]
    if not plain.size:
        return float("nan")
    ridge = steep >= ndimage.maximum_filter(steep, (1, 3, 3))
    ridge &= (steep >= np.quantile(plain, 1.0 - _STEEPEST)) & (steep > 0)
    ridge[:, :_REACH] = ridge[:, -_REACH:] = ridge[:, :, :_REACH] = ridge[:, :, -_REACH:] = False
    found = np.argwhere(ridge)
    found = found[:: max(1, -(-len(found) // _MOST_EDGES))]
    widths = [_rise(slices[k], (i, j), (gy[k, i, j], gx[k, i, j])) for k, i, j in found]
    return float(np.nanmedian(widths)) if widths else float("nan")


def _rise(image: np.ndarray, at: tuple[int, int], gradient: tuple[float, float]) -> float:
    """10-90 % width of the rise through `at` along `gradient`, pixels."""
    t = np.linspace(-_REACH, _REACH, 2 * _REACH * _FINE + 1)
    norm = np.hypot(*gradient)
    line = ndimage.map_coordinates(
        image.astype(float), [at[0] + t * gradient[0] / norm, at[1] + t * gradient[1] / norm], order=1, mode="nearest"
    )
    middle = len(t) // 2
    rising = np.diff(line) > 0
    ends_before, ends_after = np.flatnonzero(~rising[:middle]), np.flatnonzero(~rising[middle:])
    first = ends_before[-1] + 1 if ends_before.size else 0
    last = middle + ends_after[0] if ends_after.size else len(t) - 1
    if last <= first:
        return float("nan")
    part = line[first : last + 1]
    low, high = np.interp(part[0] + np.array([0.1, 0.9]) * (part[-1] - part[0]), part, t[first : last + 1])
    return float(high - low)


def density(values: np.ndarray, window: tuple[float, float], bins: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Share of the values in each of `bins` bins of `window`, over all values inside it: (centres, shares)."""
    count, edges = np.histogram(values, bins, window)
    return 0.5 * (edges[1:] + edges[:-1]), count / max(1, count.sum())


def entropy(values: np.ndarray, window: tuple[float, float], bins: int = 64) -> float:
    """Entropy of the values' histogram over `window`, bits; 6 for 64 bins filled evenly."""
    _, share = density(values, window, bins)
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())


def mode(values: np.ndarray, low: float, high: float) -> float:
    """The commonest of the values between `low` and `high`: the peak of their histogram, smoothed by 3 % of it."""
    centres, share = density(values, (low, high), 100)
    return float(centres[np.argmax(ndimage.gaussian_filter1d(share, 3.0, mode="nearest"))])
