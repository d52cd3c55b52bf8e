"""What is written on a slice: the plane's name, orientation letters, where it lies, and a scale bar."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from engine.picture import INK, LETTERS, Axis
from viewer.lettering import letter

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
    picture: Image.Image,
    plane: Axis,
    pixel_mm: float,
    lines: tuple[str, ...] = (),
    text_px: int = 14,
    scale_mm: float | None = None,
) -> None:
    """Put its marks on a slice's picture.

    Args:
        picture: RGB, of `plane`, the patient's right on the left.
        pixel_mm: edge of a pixel, for the scale bar.
        lines: written at the top left, the first in bold.
        text_px: height of the text.
        scale_mm: length of the scale bar; a round one that fits unless given.
    """
    _letters(picture, plane, text_px)
    for i, line in enumerate(lines):
        place = (_MARGIN, _MARGIN + i * (text_px + 4))
        letter(picture, place, line, INK, max(text_px - (2 if i else 0), 8), bold=i == 0, shadow=_SHADOW)
    _scale_bar(picture, scale_mm or bar_mm(picture.width * pixel_mm), pixel_mm, text_px)


def _letters(picture: Image.Image, plane: Axis, text_px: int) -> None:
    width, height = picture.size
    places = ((_MARGIN, height / 2), (width - _MARGIN, height / 2), (width / 2, _MARGIN), (width / 2, height - _MARGIN))
    for side, place, anchor in zip(LETTERS[plane], places, ("lm", "rm", "ma", "md"), strict=True):
        letter(picture, place, side, LETTER_INK, text_px + 1, anchor, bold=True, shadow=_SHADOW)


def _scale_bar(picture: Image.Image, length_mm: float, pixel_mm: float, text_px: int) -> None:
    """A bar at the bottom left, `length_mm / pixel_mm` pixels long."""
    length = max(1, round(length_mm / pixel_mm))
    left, bottom = _MARGIN, picture.height - _MARGIN
    draw = ImageDraw.Draw(picture)
    draw.rectangle((left - 1, bottom - 4, left + length, bottom + 1), fill=_SHADOW)
    draw.rectangle((left, bottom - 3, left + length - 1, bottom), fill=INK)
    text = f"{length_mm:g} mm" if length_mm < 10 else f"{length_mm / 10:g} cm"
    letter(picture, (left, bottom - 7), text, INK, max(text_px - 2, 8), "ld", shadow=_SHADOW)
