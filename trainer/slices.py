"""A volume as the pictures of a slice video: square, of the model's size, with true proportions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from engine.grid import Grid

AXES = ("x", "y", "z")

#: Pixels of a slice in the edge of what is looked at closely, at least.
NARROWEST = 16.0

#: SAM 2's normalisation of pictures in 0..1.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Crop:
    """The part of a slice that is looked at: its columns and rows from the first one to before the last."""

    columns: tuple[int, int]
    rows: tuple[int, int]


@dataclass(frozen=True)
class Slicing:
    """How a grid is cut into square pictures across one of its axes.

    A slice, or the crop of it, is scaled so that its longer edge in mm fills the picture and centred on black: a round
    vessel stays round.

    Args:
        grid: of the volume.
        axis: `x`, `y` or `z`: the grid's axis that is cut across.
        size: edge of the pictures in pixels.
        crop: the part of each slice that is shown; all of it if left out.
    """

    grid: Grid
    axis: str
    size: int
    crop: Crop | None = None

    @property
    def number(self) -> int:
        """Axis as a position in x, y, z."""
        return AXES.index(self.axis)

    @property
    def count(self) -> int:
        """Slices along the axis."""
        return self.grid.size[self.number]

    @property
    def columns_rows(self) -> tuple[int, int]:
        """The grid's axes (as positions in x, y, z) that run along a picture's columns and rows."""
        first, second = (i for i in range(3) if i != self.number)
        return first, second

    @property
    def whole(self) -> Crop:
        """All of a slice."""
        columns, rows = (self.grid.size[i] for i in self.columns_rows)
        return Crop((0, columns), (0, rows))

    @property
    def shown(self) -> Crop:
        """The part of each slice that pictures show."""
        return self.crop or self.whole

    @property
    def inner(self) -> tuple[int, int]:
        """Width and height in pixels of the part of a picture that is not black."""
        wide, high = (
            (stop - start) * self.grid.spacing[i]
            for i, (start, stop) in zip(self.columns_rows, (self.shown.columns, self.shown.rows), strict=True)
        )
        longest = max(wide, high)
        return max(1, round(self.size * wide / longest)), max(1, round(self.size * high / longest))

    @property
    def corner(self) -> tuple[int, int]:
        """Column and row of the first pixel that is not black."""
        width, height = self.inner
        return (self.size - width) // 2, (self.size - height) // 2

    def holds(self, index: tuple[float, float]) -> bool:
        """Whether pictures show the pixel at a (column, row) position in a slice."""
        spans = (self.shown.columns, self.shown.rows)
        return all(start <= round(i) < stop for i, (start, stop) in zip(index, spans, strict=True))

    def longer_mm(self, box: tuple[float, float, float, float]) -> float:
        """The longer side of a box (left, top, right, bottom), its outermost pixels included."""
        columns, rows = (self.grid.spacing[i] for i in self.columns_rows)
        return max((box[2] - box[0] + 1.0) * columns, (box[3] - box[1] + 1.0) * rows)

    def diameter_mm(self, mask: np.ndarray) -> float:
        """The diameter of the circle with the area of a boolean mask `[rows, columns]`."""
        columns, rows = (self.grid.spacing[i] for i in self.columns_rows)
        return 2.0 * float(np.sqrt(np.count_nonzero(mask) * columns * rows / np.pi))

    def edge_mm(self, box: tuple[float, float, float, float], times: float) -> float:
        """The edge of a square `times` as wide as a box is long, at least `NARROWEST` pixels of the slice."""
        return max(times * self.longer_mm(box), NARROWEST * min(self.grid.spacing[i] for i in self.columns_rows))

    def around(self, box: tuple[float, float, float, float], edge_mm: float) -> Slicing:
        """The same slices cropped to a square of about `edge_mm` around a box (left, top, right, bottom).

        Where the square would reach over the slice's edge it is moved back, and cut where it is larger than the slice.
        """
        left, top, right, bottom = box
        columns, rows = (
            _span(0.5 * (low + high), edge_mm / self.grid.spacing[i], self.grid.size[i])
            for i, low, high in zip(self.columns_rows, (left, top), (right, bottom), strict=True)
        )
        return replace(self, crop=Crop(columns, rows))

    def take(self, array: np.ndarray, indices: np.ndarray | slice) -> np.ndarray:
        """What is shown `[n, rows, columns]` of slices of an array `[z, y, x]`."""
        return self.crop_of(np.moveaxis(array, 2 - self.number, 0)[indices])

    def crop_of(self, slices: np.ndarray) -> np.ndarray:
        """What is shown `[..., rows, columns]` of whole slices."""
        return slices[..., slice(*self.shown.rows), slice(*self.shown.columns)]

    def frames(self, slices: np.ndarray, fill: float = 0.0) -> torch.Tensor:
        """Pictures float32 `[n, size, size]` of slices `[n, rows, columns]`; smoothed where they shrink."""
        width, height = self.inner
        values = torch.from_numpy(np.ascontiguousarray(slices, np.float32))[:, None]
        shrinks = height < values.shape[2] or width < values.shape[3]
        small = F.interpolate(values, (height, width), mode="bilinear", align_corners=False, antialias=shrinks)[:, 0]
        return self._pad(small, fill)

    def masks(self, slices: np.ndarray) -> torch.Tensor:
        """Boolean pictures `[n, size, size]` of mask slices `[n, rows, columns]`: pixels at least half inside."""
        return self.frames(slices.astype(np.float32)) >= 0.5

    def restore(self, pictures: torch.Tensor, fill: float = 0.0) -> torch.Tensor:
        """Values `[n, rows, columns]` of whole slices, of pictures `[n, size, size]`; `fill` off the crop."""
        (left, top), (width, height) = self.corner, self.inner
        (first_column, last_column), (first_row, last_row) = self.shown.columns, self.shown.rows
        (_, columns), (_, rows) = self.whole.columns, self.whole.rows
        inner = pictures[:, None, top : top + height, left : left + width].float()
        size = (last_row - first_row, last_column - first_column)
        values = F.interpolate(inner, size, mode="bilinear", align_corners=False)[:, 0]
        return F.pad(values, (first_column, columns - last_column, first_row, rows - last_row), value=fill)

    def to_pixel(self, index: tuple[float, float]) -> tuple[float, float]:
        """Column and row in a picture of a (column, row) position in a slice, both of pixel centres."""
        spans = (self.shown.columns, self.shown.rows)
        parts = zip(index, spans, self.inner, self.corner, strict=True)
        column, row = (
            (i - start + 0.5) * inner / (stop - start) - 0.5 + corner for i, (start, stop), inner, corner in parts
        )
        return column, row

    def box_to_pixels(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """A box (left, top, right, bottom) between outermost pixels of a slice, as that of a picture.

        A slice's pixel may be many of the picture's, and all of them lie in the box.
        """
        left, top, right, bottom = box
        low, high = self.to_pixel((left - 0.5, top - 0.5)), self.to_pixel((right + 0.5, bottom + 0.5))
        inset = [min(0.5, 0.5 * (b - a)) for a, b in zip(low, high, strict=True)]
        return low[0] + inset[0], low[1] + inset[1], high[0] - inset[0], high[1] - inset[1]

    def _pad(self, pictures: torch.Tensor, fill: float) -> torch.Tensor:
        (left, top), (width, height) = self.corner, self.inner
        return F.pad(pictures, (left, self.size - width - left, top, self.size - height - top), value=fill)


def _span(middle: float, length: float, size: int) -> tuple[int, int]:
    """Start and stop of `length` pixels about `middle`, of `size` that there are."""
    count = min(size, max(1, round(length)))
    start = min(max(round(middle + 0.5 - 0.5 * count), 0), size - count)
    return start, start + count


def normalise(grey: torch.Tensor) -> torch.Tensor:
    """SAM 2's input `[..., 3, h, w]` of grey pictures `[..., h, w]` in 0..1."""
    mean, deviation = (torch.tensor(v, device=grey.device)[:, None, None] for v in (MEAN, DEVIATION))
    return (grey.unsqueeze(-3) - mean) / deviation
