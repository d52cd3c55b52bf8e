"""An image with the structures in it: what clips are cut from and what a model is evaluated on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from engine.grid import Grid
from engine.picture import WINDOWS, Window, window_of

MODALITIES = ("ct", "mr", "us")


@dataclass(frozen=True)
class Case:
    """One image and its labels.

    Args:
        name: what it is called in tables.
        modality: `ct`, `mr` or `us`.
        grid: of the image.
        image: float32 `[z, y, x]`.
        labels: integers `[z, y, x]`.
        structures: the labels whose union is a structure, by name.
        axes: the grid's axes that slices may be cut across: only `z` where nobody knows how far slices lie apart.
        windowed: the image holds a reader's grey values; another window would show nothing that is not there.
        dataset: where it comes from, for tables.
        expert: whether the labels are the truth, or an expert's word for it; a model's predictions are neither.
        nominal: whether the grid's spacing is made up, so that distances in mm mean nothing.
        file: that holds the image and nothing else, on this grid; None where there is none.
    """

    name: str
    modality: str
    grid: Grid
    image: np.ndarray
    labels: np.ndarray
    structures: Mapping[str, tuple[int, ...]]
    axes: str = "xyz"
    windowed: bool = False
    dataset: str = ""
    expert: bool = True
    nominal: bool = False
    file: Path | None = None

    @property
    def flat(self) -> bool:
        """Whether it is a single slice."""
        return self.grid.size[2] == 1

    @property
    def unit(self) -> str:
        """What distances are measured in: `mm`, or `px` (columns of a slice) where millimetres are not known."""
        return "px" if self.nominal or self.flat else "mm"

    @cached_property
    def window(self) -> Window:
        """(low, high) of the grey values that it is shown in."""
        return window_of(self.image, self.modality)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Of z, y and x, in `unit`."""
        x, y, z = self.grid.spacing
        pixel = x if self.unit == "px" else 1.0
        return z / pixel, y / pixel, x / pixel

    def mask(self, structure: str) -> np.ndarray:
        """Boolean `[z, y, x]`."""
        members = self.structures[structure]
        return self.labels == members[0] if len(members) == 1 else np.isin(self.labels, members)


def case_of_pictures(
    name: str,
    modality: str,
    pixels: np.ndarray,
    labels: np.ndarray,
    structures: Mapping[str, tuple[int, ...]],
    spacing: tuple[float, float, float] | None,
) -> Case:
    """A case from grey values 0..255, in which a reader's window was set before they were stored.

    Args:
        pixels: `[z, y, x]`; whatever goes beyond 0..255 counts as an image nobody has windowed.
        spacing: mm along x, y, z; None where it is not known.
    """
    depth, height, width = pixels.shape
    grid = Grid.centred((width, height, depth), spacing or (1.0, 1.0, 1.0))
    image, windowed = unwindowed(pixels.astype(np.float32), modality)
    axes = "z" if spacing is None else "xyz"
    return Case(name, modality, grid, image, labels, structures, axes, windowed, nominal=spacing is None)


def unwindowed(image: np.ndarray, modality: str) -> tuple[np.ndarray, bool]:
    """An image whose default window shows the grey values 0..255 of `image` as they are, and whether they were such.

    Values of no fixed unit (MR) stay: their window follows them.
    """
    grey = float(image.min()) >= 0.0 and float(image.max()) <= 255.0
    if not grey or modality not in WINDOWS:
        return image, grey
    low, high = window_of(image, modality)
    return (low + image * ((high - low) / 255.0)).astype(np.float32), True


def label_names(labels: np.ndarray) -> dict[str, tuple[int, ...]]:
    """`label 1`, `label 2`, ... for the labels that there are, of a file that does not name them."""
    return {f"label {value}": (int(value),) for value in np.unique(labels) if value}


def modality_of(name: str) -> str:
    """`ct`, `mr` or `us` of a channel's name as datasets write it (`CT`, `MRI`, `T1`, `ultrasound`)."""
    word = name.lower()
    if word.startswith(("ct", "nonorm_ct")):
        return "ct"
    return "us" if word.startswith(("us", "ultra")) else "mr"


def modality_in(name: str) -> str:
    """`ct`, `mr` or `us` of a file's name that ends or begins with it (`heart_0001_ct`, `CT_Lesion_12`); else `mr`.

    Only MR has no fixed unit, so it is the safe guess: the window follows the values.
    """
    words = re.split("[^a-z0-9]+", name.lower())
    return next((word for word in (words[-1], words[0]) if word in MODALITIES), "mr")
