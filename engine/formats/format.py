"""What a file format is, and the table of those there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.discovery import import_all
from engine.errors import UserError
from engine.grid import Grid

#: Array `[z, y, x]`, or `[z, y, x, channel]` for colour, as stored; and where its voxels are.
Raw = tuple[np.ndarray, Grid]


@dataclass(frozen=True)
class Format:
    """How files of one kind are read and written.

    Args:
        name: as people call it.
        endings: of file names, lower case, with the dot; the first is the usual one.
        read: `read(path, labels)`; `labels` says that the values are labels, not grey values.
        write: `write(path, array, grid)`, array `[z, y, x]`; None where the format is only read.
    """

    name: str
    endings: tuple[str, ...]
    read: Callable[[Path, bool], Raw]
    write: Callable[[Path, np.ndarray, Grid], None] | None = None


FORMATS: dict[str, Format] = {}


def register(format: Format) -> Format:
    """Make a format known by its endings."""
    for ending in format.endings:
        if ending in FORMATS:
            raise ValueError(f"ending '{ending}' is registered twice")
        FORMATS[ending] = format
    return format


def discover() -> None:
    """Import every file of this folder, so that the table is complete."""
    import_all("engine.formats")


def ending_of(path: Path) -> str | None:
    """The longest known ending that the file's name has."""
    name = path.name.lower()
    return max((e for e in FORMATS if name.endswith(e)), key=len, default=None)


def unreadable(path: Path, why: object, advice: str = "copy or export the file again") -> UserError:
    """The error for a file that is damaged or not what its name says."""
    reason = " ".join(str(why).split())
    return UserError(f"{path}: cannot be read: {reason[:300]}; {advice}")


def grid_from_lps(path: Path, size: tuple[int, int, int], affine: np.ndarray) -> Grid:
    """The grid of an index-to-world matrix 4x4 in mm, LPS+; UserError where it is none or there is no voxel."""
    if min(size) < 1:
        raise unreadable(path, "it holds no voxels")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    usable = np.isfinite(affine).all() and (spacing > 0).all()
    direction = affine[:3, :3] / spacing if usable else np.zeros((3, 3))
    if abs(np.linalg.det(direction)) < 1e-3:
        raise unreadable(path, "its header does not say where the voxels are (singular affine)")
    x, y, z = (float(s) for s in spacing)
    a, b, c = (float(o) for o in affine[:3, 3])
    return Grid(size, (x, y, z), (a, b, c), tuple(float(v) for v in direction.ravel()))
