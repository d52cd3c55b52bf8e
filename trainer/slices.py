"""A volume as the pictures of a slice video: square, of the model's size, with true proportions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from engine.grid import Grid

AXES = ("x", "y", "z")

#: SAM 2's normalisation of pictures in 0..1.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Slicing:
    """How a grid is cut into square pictures across one of its axes.

    A slice is scaled so that its longer edge in mm fills the picture and centred on black: a round vessel stays round.

    Args:
        grid: of the volume.
        axis: `x`, `y` or `z`: the grid's axis that is cut across.
        size: edge of the pictures in pixels.
    """

    grid: Grid
    axis: str
    size: int

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
    def inner(self) -> tuple[int, int]:
        """Width and height in pixels of the part of a picture that the slice fills."""
        wide, high = (self.grid.extent[i] for i in self.columns_rows)
        longest = max(wide, high)
        return max(1, round(self.size * wide / longest)), max(1, round(self.size * high / longest))

    @property
    def corner(self) -> tuple[int, int]:
        """Column and row of the slice's first pixel."""
        width, height = self.inner
        return (self.size - width) // 2, (self.size - height) // 2

    def take(self, array: np.ndarray, indices: np.ndarray | slice) -> np.ndarray:
        """Slices `[n, rows, columns]` of an array `[z, y, x]`."""
        return np.moveaxis(array, 2 - self.number, 0)[indices]

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

    def restore(self, pictures: torch.Tensor) -> torch.Tensor:
        """Values `[n, rows, columns]` on the slices' own pixels, of pictures `[n, size, size]`."""
        (left, top), (width, height) = self.corner, self.inner
        columns, rows = (self.grid.size[i] for i in self.columns_rows)
        inner = pictures[:, None, top : top + height, left : left + width].float()
        return F.interpolate(inner, (rows, columns), mode="bilinear", align_corners=False)[:, 0]

    def to_pixel(self, index: tuple[float, float]) -> tuple[float, float]:
        """Column and row in a picture of a (column, row) position in a slice, both of pixel centres."""
        sizes = (self.grid.size[i] for i in self.columns_rows)
        parts = zip(index, sizes, self.inner, self.corner, strict=True)
        column, row = ((i + 0.5) * inner / n - 0.5 + corner for i, n, inner, corner in parts)
        return column, row

    def _pad(self, pictures: torch.Tensor, fill: float) -> torch.Tensor:
        (left, top), (width, height) = self.corner, self.inner
        return F.pad(pictures, (left, self.size - width - left, top, self.size - height - top), value=fill)


def normalise(grey: torch.Tensor) -> torch.Tensor:
    """SAM 2's input `[..., 3, h, w]` of grey pictures `[..., h, w]` in 0..1."""
    mean, deviation = (torch.tensor(v, device=grey.device)[:, None, None] for v in (MEAN, DEVIATION))
    return (grey.unsqueeze(-3) - mean) / deviation
