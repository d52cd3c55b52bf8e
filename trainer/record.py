"""Records: a label map with a JSON file beside it that says of what image it is, so that `viscera view` shows both.

The image stays where it is. The JSON file holds:

- `viscera`: `result`, by which a record is known.
- `title`, `notes`: lines to show; `dice`, where there is one: records with the least come first.
- `image`: where it lies, as an absolute path and as one from the record; `modality`: what it is shown as.
- `labels`: the label map's file beside the record.
- `structures`: by name the label values that it has (structures may share some), its colour, whether it is `hollow`.
- `marks`: what was shown to the model, in mm on LPS+ axes: `on` and `off` (a click), `box` (two corners), `dots`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from engine.atomic import write_text
from engine.grid import Grid
from engine.io import write_labels
from trainer.prompts import Point, Prompt, voxel_on

KIND = "result"


@dataclass(frozen=True)
class Structure:
    """How a structure is shown.

    Args:
        labels: the values whose voxels are its own.
        color: `#rrggbb`.
        hollow: as an outline, so that what lies under it is seen.
    """

    labels: tuple[int, ...]
    color: str
    hollow: bool = False


def write_record(
    labels_file: Path,
    labels: np.ndarray,
    grid: Grid,
    image: Path,
    modality: str,
    structures: Mapping[str, Structure],
    marks: Sequence[dict[str, Any]],
    title: str,
    notes: Sequence[str] = (),
    dice: float | None = None,
) -> Path:
    """Write a label map `[z, y, x]` and its record; returns the record's file.

    Args:
        labels_file: NAME.nii.gz or the like; the record is NAME.json beside it.
        image: the file, or the folder, that the labels are of.
    """
    write_labels(labels_file, labels, grid)
    image = image.resolve()
    content = {
        "viscera": KIND,
        "title": title,
        "notes": list(notes),
        **({} if dice is None else {"dice": dice}),
        "image": [str(image), os.path.relpath(image, labels_file.parent.resolve())],
        "modality": modality,
        "labels": labels_file.name,
        "structures": {
            name: {"labels": list(one.labels), "color": one.color, "hollow": one.hollow}
            for name, one in structures.items()
        },
        "marks": list(marks),
    }
    return write_text(record_file(labels_file), json.dumps(content) + "\n")


def record_file(labels_file: Path) -> Path:
    """mask.json of mask.nii.gz."""
    return labels_file.with_name(labels_file.name.removesuffix(".gz")).with_suffix(".json")


def marks_of(grid: Grid, prompt: Prompt, later: Iterable[tuple[int, Point, bool]] = ()) -> list[dict[str, Any]]:
    """The marks of a prompt, and of clicks (slice, position, on the structure) on other slices."""

    def mark(kind: str, *places: tuple[int, Point]) -> dict[str, Any]:
        voxels = np.array([voxel_on(prompt.axis, index, position) for index, position in places])
        return {"kind": kind, "points": np.round(grid.to_world(voxels), 3).tolist()}

    marks = []
    if prompt.mask is not None:
        marks.append(mark("dots", *((prompt.index, place) for place in _rim(prompt.mask))))
    if prompt.box is not None:
        left, top, right, bottom = prompt.box  # of pixel centres: the box holds these pixels whole
        corners = ((left - 0.5, top - 0.5), (right + 0.5, bottom + 0.5))
        marks.append(mark("box", *((prompt.index, corner) for corner in corners)))
    clicks = [(prompt.index, position, on) for position, on in prompt.clicks]
    marks += [mark("on" if on else "off", (index, position)) for index, position, on in (*clicks, *later)]
    return marks


def _rim(mask: np.ndarray) -> list[Point]:
    """The outermost pixels (column, row) of a mask."""
    rows, columns = np.nonzero(mask & ~ndimage.binary_erosion(mask))
    return [(float(column), float(row)) for column, row in zip(columns, rows, strict=True)]
