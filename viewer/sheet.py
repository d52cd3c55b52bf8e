"""The contact sheet: the same anatomy in each modality side by side, one row for each subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from engine.picture import BACKGROUND, INK, TITLES, Axis, font, slice_of, slice_spacing
from viewer.slices import draw_slice, extent_mm
from viewer.stage import draw_organs
from viewer.state import first_view
from viewer.subject import Subject

_GAP = 8
_MARGIN_MM = 10.0


def contact_sheet(rows: Sequence[tuple[str, Mapping[str, np.ndarray]]], tile: int = 320) -> np.ndarray:
    """Pictures in rows and columns, uint8 `[h, w, 3]`.

    Args:
        rows: (title, pictures by column), each picture uint8 `[h, w]` or `[h, w, 3]` with square pixels. Columns stand
            in the order in which they first appear; a row may leave some out.
        tile: width of a column in pixels; pictures are scaled to fit, each row as high as its highest.
    """
    columns = list(dict.fromkeys(key for _, pictures in rows for key in pictures))
    if not columns:
        raise ValueError("a contact sheet needs at least one picture")
    text_px = max(12, tile // 20)
    named = any(title for title, _ in rows)
    left, top = (round(1.9 * text_px) if named else 0) + _GAP, round(2.2 * text_px)
    strips = [{key: _fit(picture, tile) for key, picture in pictures.items()} for _, pictures in rows]
    heights = [max(picture.height for picture in strip.values()) for strip in strips]
    size = (left + len(columns) * (tile + _GAP), top + sum(heights) + _GAP * len(rows))
    sheet = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for i, key in enumerate(columns):
        place = (left + i * (tile + _GAP) + tile / 2, top / 2)
        draw.text(place, TITLES.get(key, key), INK, font(text_px, bold=True), anchor="mm")
    for (title, _), strip, height in zip(rows, strips, heights, strict=True):
        for key, picture in strip.items():
            across = left + columns.index(key) * (tile + _GAP) + (tile - picture.width) // 2
            sheet.paste(picture, (across, top + (height - picture.height) // 2))
        if title:
            _sideways(sheet, title, (left - _GAP, top, height), text_px)
        top += height + _GAP
    return np.asarray(sheet)


def _fit(picture: np.ndarray, tile: int) -> Image.Image:
    """The picture scaled to the column's width, but no higher than wide and a half."""
    image = Image.fromarray(picture).convert("RGB")
    factor = min(tile / image.width, 1.5 * tile / image.height)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.BICUBIC)


def _sideways(sheet: Image.Image, title: str, place: tuple[int, int, int], text_px: int) -> None:
    """A row's title, read from below, in the strip left of the row: `place` is (right, top, height)."""
    right, top, height = place
    strip = Image.new("RGB", (height, right), BACKGROUND)
    ImageDraw.Draw(strip).text((height / 2, right / 2), title, INK, font(text_px, bold=True), anchor="mm")
    sheet.paste(strip.transpose(Image.Transpose.ROTATE_90), (0, top))


def row_of(subject: Subject, plane: Axis = "axial", tile: int = 320, organs: bool = False) -> dict[str, np.ndarray]:
    """A subject's row for `contact_sheet`: one slice in each of its images, untouched, then its labels.

    Args:
        subject: what to show.
        plane: of the slice, which goes through the subject's richest voxel.
        tile: width of a column in pixels.
        organs: add the 3-D picture.
    """
    views = [replace(first_view(subject, name), opacity=0.0, outline=False) for name in subject.images]
    if subject.labels is not None:
        views.append(replace(first_view(subject), modality=None, opacity=1.0, bare=frozenset(), outline=False))
    region, pixel_mm = _region(subject, plane, first_view(subject).index(plane), tile)
    row = {view.modality or "labels": draw_slice(subject, view, plane, pixel_mm)[region] for view in views}
    if organs:
        row["organs"] = draw_organs(subject, (tile, max(*(picture.shape[0] for picture in row.values()), tile // 2)))
    return row


def _region(subject: Subject, plane: Axis, index: int, tile: int) -> tuple[tuple[slice, slice], float]:
    """The part of the slice's picture that holds labels, with a margin, and the pixel that makes it fill the tile."""
    extent = np.array(extent_mm(subject, plane))
    first, last = np.zeros(2), extent
    if subject.labels is not None and (labelled := slice_of(subject.labels, plane, index) != 0).any():
        ends = [np.flatnonzero(labelled.any(axis=1 - axis))[[0, -1]] for axis in range(2)]
        spacing = np.array(slice_spacing(subject.grid.spacing, plane))
        first = np.maximum(np.array([e[0] for e in ends]) * spacing - _MARGIN_MM, 0.0)
        last = np.minimum(np.array([e[1] + 1 for e in ends]) * spacing + _MARGIN_MM, extent)
    high, wide = last - first
    pixel_mm = float(max(wide / tile, high / (1.5 * tile)))
    top, left = np.floor(first / pixel_mm).astype(int)
    bottom, right = np.maximum(np.ceil(last / pixel_mm).astype(int), (top + 1, left + 1))
    return (slice(top, bottom), slice(left, right)), pixel_mm
