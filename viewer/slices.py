"""Slices as pictures: pure functions of a subject and a view, shared by every viewer. No VTK here."""

from __future__ import annotations

import numpy as np

from engine.picture import Axis, grey, outlines, overlay, slice_of, slice_spacing, square, square_labels
from viewer.state import View
from viewer.subject import Subject


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
    out = overlay(picture, labels, filled, view.opacity, view.outline)
    if view.outline and view.bare:
        out = overlay(out, _bare_outlines(labels, view.bare), shown, opacity=1.0, outline=False)
    return out


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


def _bare_outlines(labels2d: np.ndarray, bare: frozenset[int]) -> np.ndarray:
    """The borders of bare labels with the background and with each other; organs inside draw their own."""
    is_bare = np.isin(labels2d, list(bare))
    organ = (labels2d != 0) & ~is_bare
    beside_organ = organ.copy()
    beside_organ[1:] |= organ[:-1]
    beside_organ[:-1] |= organ[1:]
    beside_organ[:, 1:] |= organ[:, :-1]
    beside_organ[:, :-1] |= organ[:, 1:]
    return np.where(is_bare & outlines(labels2d) & ~beside_organ, labels2d, 0)


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
