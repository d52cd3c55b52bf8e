"""What is shown of a subject: the state that every window, page and picture shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.picture import PLANES, Axis, Window, windows
from viewer.subject import Subject


@dataclass(frozen=True)
class View:
    """One way of looking at a subject.

    Args:
        cursor: voxel (x, y, z) that the three planes pass through.
        modality: the image shown; None shows labels alone.
        window: (low, high) in the image's unit.
        preset: the window's name, for the caption.
        opacity: of the labels' fill, 0..1.
        outline: whether labels have borders.
        bare: labels drawn without fill, so that what they wrap is seen.
        hidden: labels not drawn.
    """

    cursor: tuple[int, int, int]
    modality: str | None = None
    window: Window = (0.0, 1.0)
    preset: str = ""
    opacity: float = 0.3
    outline: bool = True
    bare: frozenset[int] = frozenset()
    hidden: frozenset[int] = frozenset()

    def index(self, plane: Axis) -> int:
        """The slice that `plane` shows."""
        return self.cursor[2 - PLANES.index(plane)]


def first_view(
    subject: Subject,
    modality: str | None = None,
    point_mm: tuple[float, float, float] | None = None,
    preset: str | None = None,
) -> View:
    """The view a subject opens with: the modality's default window, planes where most is to be seen.

    Args:
        subject: what is looked at.
        modality: one of its images, the first unless given.
        point_mm: where the planes cross, LPS+ mm.
        preset: name of the window; the modality's first unless given.
    """
    modality = modality or next(iter(subject.images), None)
    cursor = richest_voxel(subject) if point_mm is None else nearest_voxel(subject, point_mm)
    if modality is None:
        return View(cursor, opacity=0.9)
    presets = windows(subject.images[modality], modality)
    preset = preset if preset in presets else next(iter(presets))
    return View(cursor, modality, presets[preset], preset, bare=frozenset(subject.wraps))


def nearest_voxel(subject: Subject, point_mm: tuple[float, float, float]) -> tuple[int, int, int]:
    """The voxel (x, y, z) at or nearest to a place in LPS+ mm."""
    index = np.rint(subject.grid.to_index(np.asarray(point_mm)))
    x, y, z = np.clip(index, 0, np.asarray(subject.grid.size) - 1).astype(int)
    return int(x), int(y), int(z)


def richest_voxel(subject: Subject) -> tuple[int, int, int]:
    """The voxel (x, y, z) whose three planes show most: per axis the slice that cuts most structures near their widest.

    A slice scores the sum over structures of sqrt(its area of the structure / the structure's largest area).
    """
    nx, ny, nz = subject.grid.size
    if subject.labels is None or not subject.labels.any():
        return nx // 2, ny // 2, nz // 2
    labels, compact = np.unique(subject.labels, return_inverse=True)
    compact = compact.reshape(subject.labels.shape)
    keep = ~np.isin(labels, [0, *subject.wraps])
    if not keep.any():
        keep = labels != 0
    z, y, x = (_richest_slice(compact, axis, len(labels), keep) for axis in range(3))
    return x, y, z


def _richest_slice(compact: np.ndarray, axis: int, count: int, keep: np.ndarray) -> int:
    n = compact.shape[axis]
    rank = np.arange(n).reshape([-1 if a == axis else 1 for a in range(3)])
    area = np.bincount((compact + rank * count).ravel(), minlength=n * count).reshape(n, count)[:, keep]
    score = np.sqrt(area / np.maximum(area.max(axis=0), 1)).sum(axis=1)
    best = np.flatnonzero(score >= score.max() - 1e-9)  # a plateau: take its middle
    return int(best[len(best) // 2])
