"""What is written on a slice: the plane's name, orientation letters, where it lies, and a scale bar."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from engine.picture import INK, LETTERS, Axis, font

#: Pale amber, told from grey tissue and from every label colour.
LETTER_INK = (255, 224, 138)
_SHADOW = (0, 0, 0)
_MARGIN = 9


def bar_mm(width_mm: float) -> float:
    """A round length (1, 2 or 5 times a power of ten, mm) of at most 30 % of the picture's width."""
    longest = 0.3 * width_mm
    decade = 10.0 ** np.floor(np.log10(longest))
    return float(next(step * decade for step in (5.0, 2.0, 1.0) if step * decade <= longest * (1 + 1e-9)))


def mark(
    picture: np.ndarray,
    plane: Axis,
    pixel_mm: float,
    lines: tuple[str, ...] = (),
    text_px: int = 14,
    scale_mm: float | None = None,
) -> np.ndarray:
    """The picture with its marks, uint8 `[h, w, 3]`.

    Args:
        picture: uint8 `[h, w, 3]` of `plane`, the patient's right on the left.
        pixel_mm: edge of a pixel, for the scale bar.
        lines: written at the top left, the first in bold.
        text_px: height of the text.
        scale_mm: length of the scale bar; a round one that fits unless given.
    """
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    width, height = image.size
    _letters(draw, plane, width, height, text_px)
    for i, line in enumerate(lines):
        place = (_MARGIN, _MARGIN + i * (text_px + 4))
        _text(draw, place, line, INK, max(text_px - (2 if i else 0), 8), "la", bold=i == 0)
    _scale_bar(draw, height, scale_mm or bar_mm(width * pixel_mm), pixel_mm, text_px)
    return np.asarray(image)


def _letters(draw: ImageDraw.ImageDraw, plane: Axis, width: int, height: int, text_px: int) -> None:
    places = ((_MARGIN, height / 2), (width - _MARGIN, height / 2), (width / 2, _MARGIN), (width / 2, height - _MARGIN))
    for letter, place, anchor in zip(LETTERS[plane], places, ("lm", "rm", "ma", "md"), strict=True):
        _text(draw, place, letter, LETTER_INK, text_px + 1, anchor, bold=True)


def _scale_bar(draw: ImageDraw.ImageDraw, height: int, length_mm: float, pixel_mm: float, text_px: int) -> None:
    """A bar at the bottom left, `length_mm / pixel_mm` pixels long."""
    length = max(1, round(length_mm / pixel_mm))
    left, bottom = _MARGIN, height - _MARGIN
    draw.rectangle((left - 1, bottom - 4, left + length, bottom + 1), fill=_SHADOW)
    draw.rectangle((left, bottom - 3, left + length - 1, bottom), fill=INK)
    text = f"{length_mm:g} mm" if length_mm < 10 else f"{length_mm / 10:g} cm"
    _text(draw, (left, bottom - 7), text, INK, max(text_px - 2, 8), "ld")


def _text(draw: ImageDraw.ImageDraw, place, text: str, ink, size: int, anchor: str, bold: bool = False) -> None:
    draw.text(place, text, ink, font(size, bold), anchor=anchor, stroke_width=2, stroke_fill=_SHADOW)
