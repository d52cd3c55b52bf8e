"""The phases of a motion: images and labels of one anatomy at equal steps of a cycle, read when first shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from engine.errors import UserError
from engine.grid import Grid
from engine.io import count_phases, read_phases, same_place
from engine.picture import upright


@dataclass(frozen=True, eq=False)
class Moments:
    """The phases of a subject.

    Args:
        count: how many there are.
        grid: of all of them, as the subject's own was before it was brought upright.
        files: an image's phases by modality, `[t, z, y, x]` each.
        labels: file with a label map for each phase, or None where the subject's own serves for all.
        merged: what is made of such a label map before it is shown.
    """

    count: int
    grid: Grid
    files: Mapping[str, Path]
    labels: Path | None = None
    merged: Callable[[np.ndarray], np.ndarray] | None = None

    def at(self, number: int) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        """The images by modality and the labels of a phase, `[z, y, x]` on LPS+ axes.

        Raises:
            UserError: a file cannot be read, or holds other phases than the first one.
        """
        images, labels = self._read
        shown = {name: self._upright(array[number]) for name, array in images.items()}
        if labels is None:
            return shown, None
        return shown, self._upright(self.merged(labels[number]) if self.merged else labels[number])

    @cached_property
    def _read(self) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        images = {name: self._phases(file) for name, file in self.files.items()}
        return images, None if self.labels is None else self._phases(self.labels, labels=True)

    def _phases(self, file: Path, labels: bool = False) -> np.ndarray:
        array, grid = read_phases(file, labels)
        if len(array) != self.count or not same_place(grid, self.grid):
            raise UserError(f"{file}: does not hold the {self.count} phases of the image's grid")
        return array

    def _upright(self, array: np.ndarray) -> np.ndarray:
        return upright(array, self.grid)[0]


def moments_of(
    grid: Grid,
    files: Mapping[str, Path],
    labels: Path | None = None,
    merged: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Moments | None:
    """The phases in files, by modality; None where they hold one volume each. Arguments as of `Moments`."""
    count = max((count_phases(file) for file in files.values()), default=1)
    if count == 1:
        return None
    return Moments(count, grid, files, labels if labels and count_phases(labels) > 1 else None, merged)
