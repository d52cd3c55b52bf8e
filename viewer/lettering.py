"""Text on pictures: each line is drawn once and then only laid down again, for windows say much and change little."""

from __future__ import annotations

import functools

from PIL import Image, ImageDraw

from engine.picture import font

_KEPT = 2048  # lines


def letter(
    image: Image.Image,
    place: tuple[float, float],
    text: str,
    ink: tuple[int, int, int],
    size: int,
    anchor: str = "la",
    bold: bool = False,
    shadow: tuple[int, int, int] | None = None,
) -> None:
    """Write a line of text on an RGB picture.

    Args:
        place: pixel (x, y) of the anchor, as Pillow counts and names anchors.
        size: height in pixels.
        shadow: colour of a rim two pixels wide; None writes without.
    """
    x, y = round(place[0]), round(place[1])
    if shadow is not None:
        _lay(image, (x, y), _line(text, size, anchor, bold, 2), shadow)
    _lay(image, (x, y), _line(text, size, anchor, bold, 0), ink)


def _lay(
    image: Image.Image, place: tuple[int, int], line: tuple[Image.Image, int, int], ink: tuple[int, int, int]
) -> None:
    mask, left, top = line
    image.paste(ink, (place[0] + left, place[1] + top), mask)


@functools.lru_cache(maxsize=_KEPT)
def _line(text: str, size: int, anchor: str, bold: bool, rim: int) -> tuple[Image.Image, int, int]:
    """How much of each pixel a line covers, as a picture, and where its upper left corner lies from the anchor."""
    face = font(size, bold)
    left, top, right, bottom = (round(edge) for edge in face.getbbox(text, anchor=anchor, stroke_width=rim))
    mask = Image.new("L", (max(right - left, 1), max(bottom - top, 1)))
    ImageDraw.Draw(mask).text((-left, -top), text, 255, face, anchor=anchor, stroke_width=rim)
    return mask, left, top
