"""Panes: what each part of a window shows, where its slice lies in it, and its picture. No VTK here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from engine.picture import BACKGROUND, PLANES, Axis, slice_spacing
from viewer.beams import Beams, cut
from viewer.lettering import letter
from viewer.marks import mark
from viewer.places import draw_mark
from viewer.slices import extent_mm, kept_slice, position_mm
from viewer.state import Kind, Position, View, Voxel
from viewer.subject import Subject

_GAP = 4  # pixels between panes
_LINE = (120, 200, 120)
_RULER = (255, 214, 10)
BEAMS = (0, 214, 255)
_HOLE = 9  # pixels around the cursor that its lines leave free
_NORMAL = {"axial": "z", "coronal": "y", "sagittal": "x"}
_QUAD: tuple[tuple[Kind, Kind], ...] = (("axial", "3d"), ("coronal", "sagittal"))


@dataclass(frozen=True)
class Cell:
    """One pane of a window.

    Args:
        kind: what it shows.
        modality: the image; None shows labels alone.
        box: left, top, width, height in pixels of the window.
    """

    kind: Kind
    modality: str | None
    box: tuple[int, int, int, int]

    def holds(self, x: float, y: float) -> bool:
        """Whether a pixel of the window lies in it."""
        left, top, width, height = self.box
        return left <= x < left + width and top <= y < top + height


def cells(subject: Subject, view: View, size: tuple[int, int]) -> list[Cell]:
    """The panes of a window of `size` (width, height) pixels, row by row.

    Axial and 3-D above coronal and sagittal; or a row of the three planes for each image; or one pane alone.
    """
    if view.alone:
        return [Cell(view.alone, view.modality, (0, 0, *size))]
    if view.beside and subject.images:
        return _grid([[(plane, modality) for plane in PLANES] for modality in subject.images], size)
    return _grid([[(kind, view.modality) for kind in row] for row in _QUAD], size)


def view_in(view: View, cell: Cell) -> View:
    """The view with a cell's own image."""
    return view if cell.modality == view.modality else replace(view, modality=cell.modality)


def draw_panes(
    subject: Subject,
    view: View,
    size: tuple[int, int],
    organs: Callable[[tuple[int, int]], np.ndarray] | None = None,
) -> Image.Image:
    """A window of `size` (width, height) pixels.

    Args:
        organs: draws them in (width, height) pixels, uint8 `[h, w, 3]`; their pane stays empty without.
    """
    sheet = Image.new("RGB", size, BACKGROUND)
    for cell in cells(subject, view, size):
        if cell.kind != "3d":
            sheet.paste(draw_pane(subject, view_in(view, cell), cell.kind, cell.box[2:]), cell.box[:2])
        elif organs is not None:
            sheet.paste(Image.fromarray(organs(cell.box[2:])), cell.box[:2])
    return sheet


def _grid(rows: Sequence[Sequence[tuple[Kind, str | None]]], size: tuple[int, int]) -> list[Cell]:
    width = (size[0] - (len(rows[0]) - 1) * _GAP) // len(rows[0])
    height = (size[1] - (len(rows) - 1) * _GAP) // len(rows)
    return [
        Cell(kind, modality, (j * (width + _GAP), i * (height + _GAP), max(width, 1), max(height, 1)))
        for i, row in enumerate(rows)
        for j, (kind, modality) in enumerate(row)
    ]


@dataclass(frozen=True)
class Pane:
    """Where a slice lies in its cell; positions in pixels of the cell, (0, 0) the middle of the first.

    Args:
        plane: that it shows.
        size: (width, height) of the cell in pixels.
        spacing: (column, row) of the slice, mm.
        count: (columns, rows) of the slice.
        pixel_mm: edge of a pixel.
        middle: where the cell's middle lies on the slice, mm from its left and upper edge.
    """

    plane: Axis
    size: tuple[int, int]
    spacing: tuple[float, float]
    count: tuple[int, int]
    pixel_mm: float
    middle: tuple[float, float]

    def index(self, x: float, y: float) -> tuple[float, float]:
        """(column, row) of the slice at a pixel, outside the slice too."""
        column, row = (
            (middle + (p + 0.5 - n / 2) * self.pixel_mm) / step - 0.5
            for p, n, middle, step in zip((x, y), self.size, self.middle, self.spacing, strict=True)
        )
        return column, row

    def pixel(self, column: float, row: float) -> tuple[float, float]:
        """The pixel at a (column, row) of the slice."""
        x, y = (
            ((i + 0.5) * step - middle) / self.pixel_mm + n / 2 - 0.5
            for i, n, middle, step in zip((column, row), self.size, self.middle, self.spacing, strict=True)
        )
        return x, y

    @property
    def region(self) -> tuple[slice, slice]:
        """Rows and columns of the slice that the cell shows at least in part; all may be off it."""
        first, last = self.index(-0.5, -0.5), self.index(self.size[0] - 0.5, self.size[1] - 0.5)
        columns, rows = (
            slice(max(0, math.floor(a + 0.5)), max(0, min(n, math.ceil(b + 0.5))))
            for a, b, n in zip(first, last, self.count, strict=True)
        )
        return rows, columns


def pane(subject: Subject, view: View, plane: Axis, size: tuple[int, int], pixel_mm: float | None = None) -> Pane:
    """Where the slice of `plane` lies in a cell: all of it, or as much about the cursor as the zoom leaves.

    Args:
        pixel_mm: edge of a pixel; as the zoom says unless given.
    """
    (high, wide), (row, column) = extent_mm(subject, plane), slice_spacing(subject.grid.spacing, plane)
    extent, spacing = (wide, high), (column, row)
    count = (round(wide / column), round(high / row))
    pixel_mm = pixel_mm or max(e / n for e, n in zip(extent, size, strict=True)) / view.zoom
    at = column_row(subject, plane, view.cursor)
    middle = tuple(
        _kept((i + 0.5) * step, 0.5 * n * pixel_mm, e) for i, step, n, e in zip(at, spacing, size, extent, strict=True)
    )
    return Pane(plane, size, spacing, count, pixel_mm, middle)  # type: ignore[arg-type]


def _kept(place: float, reach: float, extent: float) -> float:
    """`place`, moved so that `reach` to each side of it lies in [0, extent]; the middle where that cannot be."""
    return 0.5 * extent if 2 * reach >= extent else min(max(place, reach), extent - reach)


def column_row(subject: Subject, plane: Axis, voxel: tuple[float, float, float]) -> tuple[float, float]:
    """Where a voxel (x, y, z) lies on the slices of a plane."""
    x, y, z = voxel
    up = subject.grid.size[2] - 1 - z
    return {"axial": (x, y), "coronal": (x, up), "sagittal": (y, up)}[plane]


def voxel_at(subject: Subject, view: View, shown: Pane, x: float, y: float) -> Voxel:
    """The voxel of the cursor's slice at a pixel, or the nearest one where the pixel is off the slice."""
    column, row = shown.index(x, y)
    nx, ny, nz = subject.grid.size
    cx, cy, cz = view.cursor
    up = nz - 1 - row
    found = {"axial": (column, row, cz), "coronal": (column, cy, up), "sagittal": (cx, column, up)}[shown.plane]
    i, j, k = (min(max(round(v), 0), n - 1) for v, n in zip(found, (nx, ny, nz), strict=True))
    return i, j, k


def draw_pane(subject: Subject, view: View, plane: Axis, size: tuple[int, int], text_px: int = 13) -> Image.Image:
    """A slice in a cell of `size` with its marks, the other planes' lines and the ruler."""
    shown = pane(subject, view, plane, size)
    cell = Image.new("RGB", size)
    rows, columns = shown.region
    if rows.start < rows.stop and columns.start < columns.stop:
        picture = kept_slice(subject, view, plane, shown.pixel_mm, (rows, columns))
        left, top = shown.pixel(columns.start - 0.5, rows.start - 0.5)
        cell.paste(picture, (round(left + 0.5), round(top + 0.5)))
    draw = ImageDraw.Draw(cell)
    draw_beams(draw, subject, view, shown)
    draw_places(draw, subject, view, shown)
    if view.lines:
        _cross(draw, shown.pixel(*column_row(subject, plane, view.cursor)), size)
    _measure(cell, subject, view, shown, text_px)
    mark(cell, plane, shown.pixel_mm, caption(subject, view, plane), text_px)
    return cell


def draw_beams(draw: ImageDraw.ImageDraw, subject: Subject, view: View, shown: Pane) -> None:
    """The edge of what the scanner saw in the cursor's slice, and the probe's face, bold, where it crosses it."""
    if (beams := beams_in(subject, view)) is None:
        return
    axis = 2 - PLANES.index(shown.plane)
    for triangles, width in ((beams.seen, 1), (beams.face, 4)):
        for ends in cut(triangles, subject.grid, axis, view.cursor[axis]).tolist():
            draw.line([shown.pixel(*column_row(subject, shown.plane, end)) for end in ends], fill=BEAMS, width=width)


def beams_in(subject: Subject, view: View) -> Beams | None:
    """What is drawn of the scanner of the view's image."""
    return subject.beams.get(view.modality or "") if view.beams else None


def draw_places(draw: ImageDraw.ImageDraw, subject: Subject, view: View, shown: Pane) -> None:
    """The subject's marks that lie on the slice; none where labels are off."""
    along = 2 - PLANES.index(shown.plane)
    for one in subject.marks if view.labelled else ():
        voxels = subject.grid.to_index(np.asarray(one.points))
        away = voxels[:, along] - view.cursor[along]
        if one.kind != "box":
            voxels = voxels[np.abs(away) <= 0.5]
        elif away.min() > 0.5 or away.max() < -0.5:
            continue
        pixels = [shown.pixel(*column_row(subject, shown.plane, (x, y, z))) for x, y, z in voxels]
        draw_mark(draw, one.kind, pixels)


def _cross(draw: ImageDraw.ImageDraw, place: tuple[float, float], size: tuple[int, int]) -> None:
    """Lines through the cursor, broken about it."""
    x, y = round(place[0]), round(place[1])
    for a, b in ((0, x - _HOLE), (x + _HOLE, size[0])):
        if a < b:
            draw.line((a, y, b, y), fill=_LINE)
    for a, b in ((0, y - _HOLE), (y + _HOLE, size[1])):
        if a < b:
            draw.line((x, a, x, b), fill=_LINE)


def _measure(cell: Image.Image, subject: Subject, view: View, shown: Pane, text_px: int) -> None:
    """The ruler and its length, on slices that both its ends lie on."""
    voxels = [subject.grid.to_index(np.asarray(end)) for end in view.ruler]
    along = 2 - PLANES.index(shown.plane)
    if not voxels or any(abs(v[along] - view.cursor[along]) > 0.5 + 1e-6 for v in voxels):
        return
    draw = ImageDraw.Draw(cell)
    ends = [shown.pixel(*column_row(subject, shown.plane, (v[0], v[1], v[2]))) for v in voxels]
    for x, y in ends:
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), outline=_RULER, width=2)
    if len(ends) == 2:
        draw.line((*ends[0], *ends[1]), fill=_RULER, width=2)
        text = f"{length_mm(view.ruler):.1f} mm"
        x, y = ends[1]
        letter(cell, (x + 8, y), text, _RULER, text_px, "lm", shadow=(0, 0, 0))


def length_mm(ruler: Sequence[Position]) -> float:
    """The distance between the two ends of a ruler."""
    return math.dist(*ruler)


def caption(subject: Subject, view: View, plane: Axis) -> tuple[str, ...]:
    """The image and plane, where it lies, and, with the axial plane, the window, the scanner and the first note."""
    title = (view.modality or "labels").upper()
    along = position_mm(subject, view, plane)
    count = subject.grid.shape[PLANES.index(plane)]
    where = f"{_NORMAL[plane]} {along:+.1f} mm  ({view.index(plane) + 1}/{count})"
    if plane != "axial" or view.modality is None:
        return f"{title} {plane}", where
    low, high = view.window
    window = f"{view.preset}  W {high - low:.0f}  L {(low + high) / 2:.0f}"
    beams = beams_in(subject, view)
    return (f"{title} {plane}", where, window, *([beams.title] if beams else []), *subject.notes[:1])
