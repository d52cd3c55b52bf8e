"""One picture that shows a subject whole: slices with labels for each modality, the organs in 3-D, and a legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from engine.errors import UserError
from engine.picture import BACKGROUND, INK, PLANES, Axis, font, write_png
from viewer.legend import draw_legend, legend_width, ordered
from viewer.marks import bar_mm, mark
from viewer.panes import caption, draw_beams, draw_places, pane
from viewer.slices import draw_slice, extent_mm
from viewer.stage import draw_organs
from viewer.state import View, first_view
from viewer.subject import Subject

_GAP = 10
_HEAD = 46
_QUIET = (139, 149, 161)

Box = tuple[int, int, int, int]  # left, top, width, height in pixels


@dataclass(frozen=True)
class _Page:
    """Where things go: boxes in pixels, and the common scale of all slices."""

    size: tuple[int, int]
    pixel_mm: float
    slices: tuple[tuple[View, Axis, Box], ...]
    organs: Box | None
    legend: Box | None


def screenshot(
    subject: Subject,
    path: str | Path,
    modality: str | None = None,
    point_mm: tuple[float, float, float] | None = None,
    width: int = 1600,
) -> Path:
    """Write the picture of a subject as PNG.

    Args:
        subject: what to show.
        path: a .png file, written whole or not at all.
        modality: the image to show; all of them, in rows, unless given.
        point_mm: where the three planes cross, LPS+ mm; where most structures are to be seen unless given.
        width: of the picture in pixels.
    """
    return write_png(path, draw_page(subject, modality, point_mm, width))


def draw_page(
    subject: Subject,
    modality: str | None = None,
    point_mm: tuple[float, float, float] | None = None,
    width: int = 1600,
) -> np.ndarray:
    """The picture of a subject, uint8 `[h, w, 3]`; arguments as in `screenshot`."""
    if width < 400:
        raise UserError(f"screenshot: a picture {width} px wide shows nothing; use 400 px or more")
    views = [first_view(subject, name, point_mm) for name in subject.only(modality).images or [None]]
    text_px = max(11, round(width / 110))
    page = _lay_out(subject, views, width, text_px)
    scale_mm = bar_mm(page.pixel_mm * min(box[2] for _, _, box in page.slices))
    sheet = Image.new("RGB", page.size, BACKGROUND)
    _title(sheet, subject, text_px)
    for view, plane, box in page.slices:
        cell = _centred(draw_slice(subject, view, plane, page.pixel_mm), box[2:])
        shown = pane(subject, view, plane, box[2:], page.pixel_mm)
        draw_beams(ImageDraw.Draw(cell), subject, view, shown)
        draw_places(ImageDraw.Draw(cell), subject, view, shown)
        mark(cell, plane, page.pixel_mm, caption(subject, view, plane), text_px, scale_mm)
        sheet.paste(cell, box[:2])
    if page.organs is not None:
        _paste(sheet, draw_organs(subject, page.organs[2:]), page.organs)
    if page.legend is not None:
        _paste(sheet, draw_legend(subject, page.legend[2:], text_px), page.legend)
    return np.asarray(sheet)


def _lay_out(subject: Subject, views: Sequence[View], width: int, text_px: int) -> _Page:
    """Two by two with one modality and labels; else a row of three planes for each modality, the organs beside them."""
    labelled = bool(ordered(subject))
    if len(views) == 1 and labelled:
        return _quarters(subject, views[0], width, side=min(legend_width(subject, text_px), width // 4))
    return _rows(subject, views, width, side=round(0.29 * width) if labelled else 0)


def _quarters(subject: Subject, view: View, width: int, side: int) -> _Page:
    """Axial and organs above, coronal and sagittal below, the legend of `side` pixels at the right."""
    (deep, wide), (high, _), _ = (extent_mm(subject, plane) for plane in PLANES)
    room = width - side - 4 * _GAP
    pixel_mm = max(2 * max(wide, deep) / room, (deep + high) / (1.1 * width))
    cell = room // 2
    upper, lower = round(deep / pixel_mm), round(high / pixel_mm)
    right, below = 2 * _GAP + cell, _HEAD + upper + _GAP
    slices = (
        (view, PLANES[0], (_GAP, _HEAD, cell, upper)),
        (view, PLANES[1], (_GAP, below, cell, lower)),
        (view, PLANES[2], (right, below, cell, lower)),
    )
    height = max(below + lower + _GAP, _HEAD + 200)
    legend = (right + cell + _GAP, _HEAD, side, height - _HEAD - _GAP)
    return _Page((width, height), pixel_mm, slices, (right, _HEAD, cell, max(upper, 80)), legend)


def _rows(subject: Subject, views: Sequence[View], width: int, side: int) -> _Page:
    """Axial, coronal, sagittal in a row for each view; organs and legend in a column of `side` pixels, if any."""
    extents = [extent_mm(subject, plane) for plane in PLANES]
    room = width - 4 * _GAP - (side + _GAP if side else 0)
    tallest = max(high for high, _ in extents)
    pixel_mm = max(sum(wide for _, wide in extents) / room, len(views) * tallest / (1.1 * width))
    total = sum(wide for _, wide in extents)
    widths = [int(room * wide / total) for _, wide in extents]
    row = max(round(tallest / pixel_mm), 40)
    slices = []
    for i, view in enumerate(views):
        left = _GAP
        for plane, cell in zip(PLANES, widths, strict=True):
            slices.append((view, plane, (left, _HEAD + i * (row + _GAP), cell, row)))
            left += cell + _GAP
    height = _HEAD + len(views) * (row + _GAP)
    if not side:
        return _Page((width, height), pixel_mm, tuple(slices), None, None)
    left, stage = width - side - _GAP, min(round(1.2 * side), max(height - _HEAD - 120, 120))
    height = max(height, _HEAD + stage + 120)
    legend = (left, _HEAD + stage + 2 * _GAP, side, height - _HEAD - stage - 3 * _GAP)
    return _Page((width, height), pixel_mm, tuple(slices), (left, _HEAD, side, stage), legend)


def _centred(picture: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """The picture in the middle of a black cell of (width, height); a pixel too many from rounding is cut."""
    cell = Image.new("RGB", size)
    cell.paste(Image.fromarray(picture), ((size[0] - picture.shape[1]) // 2, (size[1] - picture.shape[0]) // 2))
    return cell


def _paste(sheet: Image.Image, picture: np.ndarray, box: Box) -> None:
    sheet.paste(Image.fromarray(picture), box[:2])


def _title(sheet: Image.Image, subject: Subject, text_px: int) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP + 2, _HEAD / 2), subject.name or "Viscera", INK, font(text_px + 4, bold=True), anchor="lm")
    facts = " voxels of ".join(subject.measures)
    draw.text((sheet.width - _GAP - 2, _HEAD / 2), facts, _QUIET, font(text_px - 1), anchor="rm")
