"""What is looked at: images of one anatomy and its labels, whatever they came from, on one upright grid."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from engine.errors import UserError
from engine.generate import Sample
from engine.grid import Grid
from engine.picture import Window, upright, windows
from engine.volume import PALETTE, Volume
from viewer.beams import Beams, beams_of
from viewer.moments import Moments
from viewer.nesting import holdings, innermost, with_descendants, wraps
from viewer.places import Mark


@dataclass(frozen=True)
class Subject:
    """Co-registered images and labels, arrays `[z, y, x]` on LPS+ axes.

    Args:
        name: what it is called on the picture.
        grid: of every array.
        images: float32 by modality (`ct`, `mr`, `us`, or what the file says).
        labels: integers, 0 for background; None where there are none.
        names: of each label.
        colors: `#rrggbb` of each label.
        parents: label of the structure that each label lies inside.
        holds: labels of everything that lies inside each label.
        volume: the labelled volume with coverage, where the subject was generated.
        beams: where the scanner of an image stood, where that is known.
        members: values of `labels` in each structure's mask, where structures overlap; else each is its own label.
        hollow: labels drawn as outlines over the others, translucent in 3-D.
        marks: places to show on the slices.
        notes: lines about it, the first one on its picture too.
        moments: of its motion, the first of which it shows; None where it keeps still.
        focus: where to look first, LPS+ mm, and `zoom`: how close.
    """

    name: str
    grid: Grid
    images: Mapping[str, np.ndarray]
    labels: np.ndarray | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    colors: Mapping[int, str] = field(default_factory=dict)
    parents: Mapping[int, int] = field(default_factory=dict)
    holds: Mapping[int, frozenset[int]] = field(default_factory=dict)
    volume: Volume | None = None
    beams: Mapping[str, Beams] = field(default_factory=dict)
    members: Mapping[int, frozenset[int]] = field(default_factory=dict)
    hollow: frozenset[int] = frozenset()
    marks: tuple[Mark, ...] = ()
    notes: tuple[str, ...] = ()
    focus: tuple[float, float, float] | None = None
    zoom: float = 1.0
    moments: Moments | None = None

    @classmethod
    def from_sample(cls, sample: Sample) -> Subject:
        """The subject of a generated sample."""
        images = {name: image.data.detach().cpu().numpy() for name, image in sample.images.items()}
        headers = {name: image.meta for name, image in sample.images.items()}
        return cls.from_volume(sample.volume, images, sample.name).scanned(headers, sample.volume.grid)

    @classmethod
    def from_volume(cls, volume: Volume, images: Mapping[str, np.ndarray] | None = None, name: str = "") -> Subject:
        """The subject of a labelled volume and of images on its grid."""
        labels, grid = upright(volume.labels().cpu().numpy(), volume.grid)
        turned = {modality: upright(np.asarray(data), volume.grid)[0] for modality, data in (images or {}).items()}
        rows = volume.structures
        names = {label: group for group, label in volume.names().items() if label}
        colors: dict[int, str] = {}
        parents: dict[int, int] = {}
        for row in rows[1:]:  # of several with one label the first counts, so that none lies in itself by way of others
            colors.setdefault(row.label, row.color)
            above = rows[row.parent].label if row.parent else 0
            if above != row.label:
                parents.setdefault(row.label, above)
        parents = {label: above for label, above in parents.items() if above}
        holds = with_descendants(holdings(labels), parents)
        return cls(name, grid, turned, labels, names, colors, parents, holds, volume)

    @classmethod
    def from_arrays(
        cls,
        grid: Grid,
        images: Mapping[str, np.ndarray],
        labels: np.ndarray | None = None,
        names: Mapping[int, str] | None = None,
        colors: Mapping[int, str] | None = None,
        parents: Mapping[int, int] | None = None,
        name: str = "",
    ) -> Subject:
        """The subject of images and labels as read from files, `[z, y, x]` on `grid`; checks that they can be shown.

        Labels without a name or colour get their number as name and a colour of the palette; what lies inside what is
        seen from their places where `parents` does not say it.
        """
        for modality, data in images.items():
            _check_image(data, grid, f"{name} {modality}".strip())
        turned = {modality: upright(data, grid)[0] for modality, data in images.items()}
        if labels is None:
            return cls(name, upright(np.empty(grid.shape, bool), grid)[1], turned)
        if labels.shape != grid.shape:
            raise UserError(
                f"{name}: the labels have {_size(labels.shape)} voxels and the image {_size(grid.shape)}; "
                "resample the labels to the image's grid"
            )
        turned_labels, lps = upright(labels, grid)
        present = [int(v) for v in np.unique(turned_labels) if v]
        names, colors = names or {}, colors or {}
        seen = holdings(turned_labels)
        return cls(
            name,
            lps,
            turned,
            turned_labels,
            {label: names.get(label, f"label {label}") for label in present},
            {label: colors.get(label, PALETTE[(label - 1) % len(PALETTE)]) for label in present},
            parents or innermost(seen),
            with_descendants(seen, parents or {}),
        )

    def scanned(self, headers: Mapping[str, Mapping[str, Any]], grid: Grid) -> Subject:
        """The same with the scanners of its images, as far as their headers tell of them.

        Args:
            headers: by modality what an image of ours says of itself (`engine.volume.Image.meta`).
            grid: of the images as they were made.
        """
        known = {name: beams for name, meta in headers.items() if (beams := beams_of(name, meta, grid))}
        return replace(self, beams=known)

    def at_moment(self, number: int) -> Subject:
        """The same at another phase of its motion.

        Raises:
            UserError: it cannot be read.
        """
        assert self.moments is not None
        images, labels = self.moments.at(number)
        return replace(self, images=images, labels=self.labels if labels is None else labels)

    def only(self, modality: str | None) -> Subject:
        """The same with one of its images; as it is where none is named."""
        if modality is None:
            return self
        if modality not in self.images:
            raise UserError(f"{self.name}: there is no '{modality}' image; it has: {', '.join(self.images) or 'none'}")
        return replace(self, images={modality: self.images[modality]})

    def values(self, label: int) -> frozenset[int]:
        """Values of the label map that a structure's voxels have."""
        return self.members.get(label, frozenset((label,)))

    def at(self, value: int) -> list[int]:
        """Labels of the structures whose voxels have a value of the label map."""
        return [label for label in self.names if value in self.values(label)]

    @cached_property
    def pictures(self) -> dict[Hashable, Image.Image]:
        """Slices that have been drawn, the oldest first; see `viewer.slices.kept_slice`."""
        return {}

    @cached_property
    def presets(self) -> Mapping[str, Mapping[str, Window]]:
        """For each image its windows by name, the default one first."""
        return {modality: windows(data, modality) for modality, data in self.images.items()}

    @property
    def measures(self) -> tuple[str, str]:
        """Voxels and their spacing as text: `96 × 96 × 72`, `2 × 2 × 3 mm`."""
        spacing = " × ".join(f"{step:.3g}" for step in self.grid.spacing)
        return " × ".join(map(str, self.grid.size)), f"{spacing} mm"

    @property
    def wraps(self) -> list[int]:
        """Labels that wrap many others, outermost first; see `viewer.nesting.wraps`."""
        return wraps(self.holds, len(self.names))


def _check_image(data: np.ndarray, grid: Grid, where: str) -> None:
    if data.shape != grid.shape:
        raise UserError(f"{where}: the image has {_size(data.shape)} voxels, the grid {_size(grid.shape)}")
    if not np.isfinite(data).any():
        raise UserError(f"{where}: the image holds no number that is finite; there is nothing to show")


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in reversed(shape))
