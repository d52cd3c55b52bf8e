"""What needs no learning: the scores a model must beat before anyone is pleased with it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import SimpleITK as sitk

from trainer.prompts import Prompt, box_around
from trainer.slices import AXES

ELLIPSE, REGION, COPY = "ellipse in the box", "region growing", "slice copied"

_MULTIPLIER = 2.5  # grey values within this many standard deviations of the region's mean belong to it
_ITERATIONS = 4
_RADIUS = 1  # voxels around the click that start the region


def ellipsoid(shape: tuple[int, ...], low: tuple[float, ...], high: tuple[float, ...]) -> np.ndarray:
    """The ellipsoid (in two dimensions: ellipse) inscribed in a box, as a boolean array of `shape`.

    Args:
        low, high: indices of the box's outermost voxels, in the order of the array's axes.
    """
    total = np.zeros(shape, np.float64)
    for axis, (n, a, b) in enumerate(zip(shape, low, high, strict=True)):
        distance = (np.arange(n) - (a + b) / 2) / ((b - a + 1) / 2)
        total += (distance**2).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return total <= 1.0


def ellipse_in_box(image: np.ndarray, truth: np.ndarray, prompt: Prompt) -> tuple[np.ndarray, np.ndarray]:
    """The ellipse in the prompt's box; in the volume the ellipsoid in the structure's box, moved as the prompt's was.

    It is told the structure's true extent along every axis.
    """
    left, top, right, bottom = prompt.box or box_around(truth[prompt.index])
    on_slice = ellipsoid(truth.shape[1:], (top, left), (bottom, right))
    moved = np.subtract((left, top, right, bottom), box_around(truth[prompt.index]))
    z, y, x = np.nonzero(truth)
    low = (float(z.min()), y.min() + moved[1], x.min() + moved[0])
    high = (float(z.max()), y.max() + moved[3], x.max() + moved[2])
    return on_slice, ellipsoid(truth.shape, low, high)


def region_about_click(image: np.ndarray, truth: np.ndarray, prompt: Prompt) -> tuple[np.ndarray, np.ndarray]:
    """The region grown from the prompt's first click: on its slice alone, and in the volume."""
    z, y, x = seed_of(prompt)
    on_slice = grow_region(image[z], (y, x))
    return on_slice, on_slice[None] if len(image) == 1 else grow_region(image, (z, y, x))


def slice_copied(image: np.ndarray, truth: np.ndarray, prompt: Prompt) -> tuple[np.ndarray, np.ndarray]:
    """The prompted slice's true mask on every slice of the structure's true extent."""
    on_slice = truth[prompt.index]
    there = np.nonzero(truth.any(axis=(1, 2)))[0]
    volume = np.zeros_like(truth)
    volume[there.min() : there.max() + 1] = on_slice
    return on_slice, volume


#: What each makes of an image and a true mask `[z, y, x]` and a prompt across z: masks `[y, x]` and `[z, y, x]`.
BASELINES: dict[str, Callable[[np.ndarray, np.ndarray, Prompt], tuple[np.ndarray, np.ndarray]]] = {
    ELLIPSE: ellipse_in_box,
    REGION: region_about_click,
    COPY: slice_copied,
}


def grow_region(image: np.ndarray, seed: tuple[int, ...]) -> np.ndarray:
    """SimpleITK's ConfidenceConnected: voxels connected to a seed, within 2.5 standard deviations of the region's mean.

    Args:
        image: two or three dimensions.
        seed: index in the order of the array's axes.
    """
    grown = sitk.ConfidenceConnected(
        sitk.GetImageFromArray(np.ascontiguousarray(image, np.float32)),
        seedList=[tuple(int(i) for i in reversed(seed))],
        numberOfIterations=_ITERATIONS,
        multiplier=_MULTIPLIER,
        initialNeighborhoodRadius=_RADIUS,
        replaceValue=1,
    )
    return sitk.GetArrayFromImage(grown) > 0


def seed_of(prompt: Prompt) -> tuple[int, int, int]:
    """The voxel `[z, y, x]` that a prompt's first click, or the middle of its box, lies on."""
    if prompt.clicks:
        column, row = prompt.clicks[0][0]
    else:
        left, top, right, bottom = prompt.box or (0.0, 0.0, 0.0, 0.0)
        column, row = (left + right) / 2, (top + bottom) / 2
    number = AXES.index(prompt.axis)
    first, second = (i for i in range(3) if i != number)
    voxel = {number: prompt.index, first: round(column), second: round(row)}
    return voxel[2], voxel[1], voxel[0]
