"""What is shown of a subject: the state that every window, page and picture shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from engine.picture import PLANES, Axis, Window
from viewer.subject import Subject

Voxel = tuple[int, int, int]  # x, y, z
Position = tuple[float, float, float]  # LPS+ mm
#: What a pane shows: a plane, or the organs in 3-D.
Kind = Literal["axial", "coronal", "sagittal", "3d"]

#: The name of a window that no preset gave.
OWN = "own"


@dataclass(frozen=True)
class View:
    """One way of looking at a subject.

    Args:
        cursor: voxel that the three planes pass through.
        modality: the image shown; None shows labels alone.
        windows: for each image its window's name and (low, high) in the image's unit.
        opacity: of the labels' fill, 0..1.
        outline: whether labels have borders.
        bare: labels drawn without fill, so that what they wrap is seen.
        hidden: labels not drawn.
        labelled: whether any label is drawn.
        zoom: 1 shows all of a slice, 2 half of it about the cursor.
        beside: every image in a row of its own instead of one.
        alone: the only pane shown.
        lines: whether slices show where the other planes cross them.
        beams: whether the scanner and its field of view are drawn, where they are known.
        ruler: ends of what is measured; one while the second is still sought.
    """

    cursor: Voxel
    modality: str | None = None
    windows: Mapping[str, tuple[str, Window]] = field(default_factory=lambda: MappingProxyType({}))
    opacity: float = 0.3
    outline: bool = True
    bare: frozenset[int] = frozenset()
    hidden: frozenset[int] = frozenset()
    labelled: bool = True
    zoom: float = 1.0
    beside: bool = False
    alone: Kind | None = None
    lines: bool = True
    beams: bool = True
    ruler: tuple[Position, ...] = ()

    @property
    def preset(self) -> str:
        """The window's name; nothing where labels are shown alone."""
        return self.windows[self.modality][0] if self.modality else ""

    @property
    def window(self) -> Window:
        """(low, high) in the image's unit."""
        return self.windows[self.modality][1] if self.modality else (0.0, 1.0)

    def index(self, plane: Axis) -> int:
        """The slice that `plane` shows."""
        return self.cursor[2 - PLANES.index(plane)]

    def windowed(self, name: str, window: Window) -> View:
        """The same with another window of the image shown."""
        return replace(self, windows={**self.windows, str(self.modality): (name, window)})


def first_view(
    subject: Subject,
    modality: str | None = None,
    point_mm: Position | None = None,
    preset: str | None = None,
) -> View:
    """The view a subject opens with: the modality's default window, planes where most is to be seen.

    Args:
        subject: what is looked at.
        modality: one of its images, the first unless given.
        point_mm: where the planes cross, LPS+ mm; the subject's own place unless given.
        preset: name of the window; the modality's first unless given.
    """
    modality = modality or next(iter(subject.images), None)
    point_mm = point_mm or subject.focus
    cursor = richest_voxel(subject) if point_mm is None else nearest_voxel(subject, point_mm)
    if modality is None:
        return View(cursor, opacity=0.9)
    shown = {name: next(iter(presets.items())) for name, presets in subject.presets.items()}
    if preset is not None and preset in subject.presets[modality]:
        shown[modality] = preset, subject.presets[modality][preset]
    return View(cursor, modality, shown, bare=frozenset(subject.wraps) | subject.hollow, zoom=subject.zoom)


def nearest_voxel(subject: Subject, point_mm: Position) -> Voxel:
    """The voxel (x, y, z) at or nearest to a place in LPS+ mm."""
    index = np.rint(subject.grid.to_index(np.asarray(point_mm)))
    x, y, z = np.clip(index, 0, np.asarray(subject.grid.size) - 1).astype(int)
    return int(x), int(y), int(z)


def richest_voxel(subject: Subject) -> Voxel:
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
