"""Prompts: clicks, a box or a mask on one slice, given by a person or taken from a true mask."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from engine.errors import UserError
from engine.grid import Grid
from trainer.slices import AXES

Point = tuple[float, float]
Click = tuple[Point, bool]
_INNER = 0.7  # of the greatest depth


@dataclass(frozen=True, eq=False)
class Prompt:
    """What a person shows on one slice. Positions are (column, row) of pixel centres in the slice's own pixels.

    Clicks may stand beside a box or a mask; box and mask exclude each other.

    Args:
        axis: grid axis that the slices are cut across: `x`, `y` or `z`.
        index: the slice.
        clicks: positions, each on the structure (True) or off it (False).
        box: (left, top, right, bottom) positions of the outermost pixels of the structure, or None.
        mask: the structure on that slice, boolean `[rows, columns]`, or None.
        ends: the first and the last slice that can show the structure, or None for all.
    """

    axis: str
    index: int
    clicks: tuple[Click, ...] = ()
    box: tuple[float, float, float, float] | None = None
    mask: np.ndarray | None = None
    ends: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not self.clicks and self.box is None and self.mask is None:
            raise ValueError("a prompt needs a click, a box or a mask")
        if self.box is not None and self.mask is not None:
            raise ValueError("a prompt has a box or a mask, not both")
        if self.mask is not None and not self.mask.any():
            raise ValueError("a prompt's mask is not empty")
        if not self.shows(self.index):
            raise ValueError("a prompt lies on a slice that can show the structure")

    def clicked(self, position: Point, on: bool) -> Prompt:
        """This prompt with one more click."""
        return replace(self, clicks=(*self.clicks, (position, on)))

    def shows(self, index: int) -> bool:
        """Whether a slice can show the structure."""
        return self.ends is None or self.ends[0] <= index <= self.ends[1]


def click_at(grid: Grid, voxel: tuple[float, float, float], axis: str = "z") -> Prompt:
    """A click on a voxel (x, y, z index), seen on its slice across `axis`."""
    _require_inside(grid, voxel)
    number, (first, second) = _split(axis)
    return Prompt(axis, _nearest(grid, number, voxel[number]), clicks=(((voxel[first], voxel[second]), True),))


def box_between(
    grid: Grid, low: tuple[float, float, float], high: tuple[float, float, float], axis: str = "z"
) -> Prompt:
    """A box from voxel `low` to voxel `high` (x, y, z indices, both inside), on its middle slice across `axis`.

    Where it spans several slices the structure ends with it; on one slice it says nothing of the others.
    """
    _require_inside(grid, low)
    _require_inside(grid, high)
    number, (first, second) = _split(axis)
    a, b = (tuple(pick(pair) for pair in zip(low, high, strict=True)) for pick in (min, max))
    middle = _nearest(grid, number, (a[number] + b[number]) / 2)
    ends = _nearest(grid, number, a[number]), _nearest(grid, number, b[number])
    box = a[first], a[second], b[first], b[second]
    return Prompt(axis, middle, box=box, ends=ends if ends[0] < ends[1] else None)


def voxel_on(axis: str, index: int, position: Point) -> tuple[float, float, float]:
    """Voxel index (x, y, z) of a position (column, row) on a slice across `axis`."""
    number, (first, second) = _split(axis)
    voxel = {number: float(index), first: position[0], second: position[1]}
    return voxel[0], voxel[1], voxel[2]


def voxel_of(grid: Grid, world: tuple[float, float, float]) -> tuple[float, float, float]:
    """Voxel index (x, y, z) of a position in mm (LPS+)."""
    x, y, z = map(float, grid.to_index(np.asarray(world)))
    return x, y, z


def largest_slice(mask: np.ndarray, axis: str = "z") -> int:
    """The slice across `axis` on which a mask `[z, y, x]` has the most pixels; the lowest of equals."""
    return int(np.argmax(across(mask, axis).sum(axis=(1, 2))))


def central_click(mask: np.ndarray) -> Point:
    """The position (column, row) deepest inside a mask `[rows, columns]`; the first of equals."""
    row, column = np.unravel_index(int(np.argmax(_depth(mask))), mask.shape)
    return float(column), float(row)


def inner_click(mask: np.ndarray, rng: np.random.Generator) -> Point:
    """A position (column, row) about as deep inside a mask `[rows, columns]` as can be: where people click."""
    depth = _depth(mask)
    return random_click(depth >= _INNER * depth.max(), rng)


def random_click(mask: np.ndarray, rng: np.random.Generator) -> Point:
    """A position (column, row) anywhere on a mask `[rows, columns]`."""
    rows, columns = np.nonzero(_require_any(mask))
    chosen = int(rng.integers(len(rows)))
    return float(columns[chosen]), float(rows[chosen])


def box_around(mask: np.ndarray) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of the outermost pixels of a mask `[rows, columns]`."""
    rows, columns = np.nonzero(_require_any(mask))
    return float(columns.min()), float(rows.min()), float(columns.max()), float(rows.max())


def across(array: np.ndarray, axis: str = "z") -> np.ndarray:
    """A view of an array `[z, y, x]` as slices `[n, rows, columns]` across `axis`."""
    number, _ = _split(axis)
    return np.moveaxis(array, 2 - number, 0)


def _depth(mask: np.ndarray) -> np.ndarray:
    """Pixels from each pixel of a mask to the nearest one off it; the slice's edge counts as off."""
    return np.asarray(ndimage.distance_transform_edt(np.pad(_require_any(mask), 1)))[1:-1, 1:-1]


def _split(axis: str) -> tuple[int, tuple[int, int]]:
    if axis not in AXES:
        raise UserError(f"axis '{axis}' is unknown; use x, y or z")
    number = AXES.index(axis)
    first, second = (i for i in range(3) if i != number)
    return number, (first, second)


def _nearest(grid: Grid, number: int, position: float) -> int:
    return min(max(round(position), 0), grid.size[number] - 1)


def _require_inside(grid: Grid, voxel: tuple[float, float, float]) -> None:
    if not all(-0.5 <= v <= n - 0.5 for v, n in zip(voxel, grid.size, strict=True)):
        shown = ", ".join(f"{v:g}" for v in voxel)
        ends = ", ".join(f"0..{n - 1}" for n in grid.size)
        raise UserError(f"position ({shown}) is outside the image; x, y, z go over {ends}")


def _require_any(mask: np.ndarray) -> np.ndarray:
    if not mask.any():
        raise UserError("the mask is empty: there is nothing to prompt")
    return mask
