"""Slices as pictures: pure functions of a subject and a view, shared by every viewer. No VTK here."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image

from engine.picture import Axis, grey, outlines, overlay, rgb_of, slice_of, slice_spacing, square
from engine.squared import square_labels
from viewer.state import View
from viewer.subject import Subject

_KEPT = 12  # pictures of a subject


def draw_slice(
    subject: Subject,
    view: View,
    plane: Axis,
    pixel_mm: float | None = None,
    region: tuple[slice, slice] = (slice(None), slice(None)),
) -> np.ndarray:
    """The slice of `plane` through the view's cursor, uint8 `[h, w, 3]` in radiological orientation.

    Args:
        pixel_mm: edge of a screen pixel; the finer voxel edge of the plane unless given.
        region: rows and columns that are drawn; all unless given.
    """
    values = _values(subject, view, plane)[region]
    picture = grey(square(values, slice_spacing(subject.grid.spacing, plane), pixel_mm), view.window)
    if subject.labels is None or not view.labelled:
        return np.repeat(picture[..., None], 3, axis=2)
    labels = slice_of(subject.labels, plane, view.index(plane))[region]
    spacing = slice_spacing(subject.grid.spacing, plane)
    if subject.members:
        return _overlapping(picture, labels, subject, view, spacing, pixel_mm)
    labels = square_labels(labels, spacing, pixel_mm)
    shown = {label: color for label, color in subject.colors.items() if label not in view.hidden}
    filled = {label: color for label, color in shown.items() if label not in view.bare}
    out = overlay(picture, labels, filled, view.opacity, outline=False)
    if view.outline:
        _trace(out, labels, shown, view.bare)
    return out


def kept_slice(subject: Subject, view: View, plane: Axis, pixel_mm: float, region: tuple[slice, slice]) -> Image.Image:
    """`draw_slice` as a picture to paste, drawn once: a click leaves one of three slices as it is, a wheel two."""
    shown = (view.modality, view.window, view.opacity, view.outline, view.bare, view.hidden, view.labelled)
    key = (plane, view.index(plane), pixel_mm, *((part.start, part.stop) for part in region), *shown)
    kept = subject.pictures
    if key not in kept:
        kept[key] = Image.fromarray(draw_slice(subject, view, plane, pixel_mm, region))
        if len(kept) > _KEPT:
            del kept[next(iter(kept))]
    return kept[key]


def _trace(picture: np.ndarray, labels: np.ndarray, colors: Mapping[int, str], bare: frozenset[int]) -> None:
    """Draw outlines; those of bare labels only beside the background and each other: organs inside draw their own."""
    rows, columns = np.nonzero(outlines(labels))
    own = labels[rows, columns]
    if bare:
        on = np.isin(own, list(bare))
        r, c, none = rows[on], columns[on], [0, *bare]
        height, width = labels.shape
        organ = np.zeros(len(r), bool)
        for dr, dc in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            beside = labels[np.clip(r + dr, 0, height - 1), np.clip(c + dc, 0, width - 1)]
            organ |= np.isin(beside, none, invert=True)
        on[on] = organ
        rows, columns, own = rows[~on], columns[~on], own[~on]
    for label, color in colors.items():
        at = np.flatnonzero(own == label)
        picture[rows[at], columns[at]] = rgb_of(color)


def _overlapping(
    picture: np.ndarray,
    labels: np.ndarray,
    subject: Subject,
    view: View,
    spacing: tuple[float, float],
    pixel_mm: float | None,
) -> np.ndarray:
    """Structures that overlap, each laid over those before it."""
    out = np.repeat(picture[..., None], 3, axis=2)
    for label, color in subject.colors.items():
        if label not in view.hidden:
            mask = square_labels(np.isin(labels, list(subject.values(label))).astype(np.uint8), spacing, pixel_mm)
            out = overlay(out, mask, {1: color}, 0.0 if label in view.bare else view.opacity, view.outline)
    return out


def _values(subject: Subject, view: View, plane: Axis) -> np.ndarray:
    """The image in the slice, every value finite; black where only labels are shown."""
    index, (low, high) = view.index(plane), view.window
    if view.modality is None:
        return np.full(slice_of(np.asarray(subject.labels), plane, index).shape, low, np.float32)
    return np.nan_to_num(slice_of(subject.images[view.modality], plane, index), nan=low, posinf=high, neginf=low)


def extent_mm(subject: Subject, plane: Axis) -> tuple[float, float]:
    """(height, width) in mm of a plane's picture."""
    x, y, z = subject.grid.extent
    return {"axial": (y, x), "coronal": (z, x), "sagittal": (z, y)}[plane]


def position_mm(subject: Subject, view: View, plane: Axis) -> float:
    """Where the plane lies along its normal, LPS+ mm (patient axis nearest to it)."""
    world = subject.grid.to_world(np.asarray(view.cursor, float))
    return float(world[{"axial": 2, "coronal": 1, "sagittal": 0}[plane]])
