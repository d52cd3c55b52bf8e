"""Slices of labels on square pixels: outlines are smooth when enlarged, and no label appears that is not there."""

from __future__ import annotations

import itertools

import numpy as np
from PIL import Image

from engine.picture import square_size

_ALIKE = 1e-6  # shares that differ by less are equal


def square_labels(labels2d: np.ndarray, spacing: tuple[float, float], pixel_mm: float | None = None) -> np.ndarray:
    """A label slice resampled to square pixels: each pixel takes the label that fills most of it, of equals the lowest.

    Each label's mask is interpolated by itself, linearly (averaged where it shrinks).

    Args:
        labels2d: `[rows, columns]`.
        spacing: (row, column) in mm.
        pixel_mm: edge of the square pixels; the finer of the two spacings unless given.
    """
    labels2d = np.asarray(labels2d)
    width, height = square_size(labels2d.shape, spacing, pixel_mm)
    if height >= labels2d.shape[0] and width >= labels2d.shape[1]:
        return _enlarged(labels2d, width, height)
    return _resized(labels2d, width, height)


def _enlarged(labels2d: np.ndarray, width: int, height: int) -> np.ndarray:
    """Where pixels are no larger than voxels four of these at most have a share in each."""
    (up, down, v), (left, right, u) = (
        _beside(n, size) for n, size in zip(labels2d.shape, (height, width), strict=True)
    )
    corners = [row[:, columns] for row in (labels2d[up], labels2d[down]) for columns in (left, right)]
    out = corners[0].copy()
    mixed = np.flatnonzero((corners[0] != corners[1]) | (corners[0] != corners[2]) | (corners[0] != corners[3]))
    u, v = u[mixed % width], v[mixed // width]
    weights = ((1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v)
    found = [corner.ravel()[mixed] for corner in corners]
    shares = [weight.copy() for weight in weights]
    for i, j in itertools.combinations(range(4), 2):
        same = found[i] == found[j]
        shares[i] += weights[j] * same
        shares[j] += weights[i] * same
    best, most = found[0], shares[0]
    for label, share in zip(found[1:], shares[1:], strict=True):
        wins = (share > most + _ALIKE) | ((share > most - _ALIKE) & (label < best))
        best, most = np.where(wins, label, best), np.where(wins, share, most)
    out.ravel()[mixed] = best
    return out


def _beside(n: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of `size` pixels along `n` voxels: the voxels before and after each, and where between them it lies, 0..1."""
    place = (np.arange(size) + 0.5) * (n / size) - 0.5
    before = np.floor(place)
    kept = [np.clip(index, 0, n - 1).astype(np.intp) for index in (before, before + 1)]
    return kept[0], kept[1], (place - before).astype(np.float32)


def _resized(labels2d: np.ndarray, width: int, height: int) -> np.ndarray:
    """Any size; each label's mask only where it reaches."""
    best = np.full((height, width), -1.0, np.float32)
    out = np.zeros((height, width), labels2d.dtype)
    down, across = labels2d.shape[0] / height, labels2d.shape[1] / width
    for label in np.unique(labels2d):
        mask = labels2d == label
        (top, bottom), (left, right) = (
            _reach(mask.any(axis=1 - axis), size) for axis, size in enumerate((height, width))
        )
        box = (left * across, top * down, min(right * across, mask.shape[1]), min(bottom * down, mask.shape[0]))
        image = Image.fromarray(mask.astype(np.float32))
        share = np.asarray(image.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box))
        part = slice(top, bottom), slice(left, right)
        wins = share > best[part]
        best[part][wins] = share[wins]
        out[part][wins] = label
    return out


def _reach(on: np.ndarray, size: int) -> tuple[int, int]:
    """Start and stop of the pixels, of `size`, that interpolation of a line of voxels may reach, some of them `on`."""
    first, last = np.flatnonzero(on)[[0, -1]]
    margin = 1 + len(on) / size  # bilinear: a voxel, or a pixel where pixels are larger
    start, stop = (first - margin) * size / len(on), (last + 1 + margin) * size / len(on)
    return max(0, int(start)), min(size, int(np.ceil(stop)))
