"""The list of structures: colour, name, and what lies inside what."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from engine.picture import BACKGROUND, INK, font, rgb_of
from viewer.subject import Subject

_QUIET = (139, 149, 161)


def ordered(subject: Subject) -> list[tuple[int, int]]:
    """(label, depth) of every structure that is present, what lies inside another directly below it."""
    present = set(map(int, np.unique(subject.labels))) if subject.labels is not None else set()
    children: dict[int, list[int]] = {}
    for label in subject.names:
        above = subject.parents.get(label, 0)
        children.setdefault(above if above in subject.names else 0, []).append(label)
    rows: list[tuple[int, int]] = []
    waiting = [(label, 0) for label in reversed(children.get(0, []))]
    while waiting:
        label, depth = waiting.pop()
        if present & subject.values(label):
            rows.append((label, depth))
        waiting += [(child, depth + 1) for child in reversed(children.get(label, []))]
    return rows


def draw_legend(subject: Subject, size: tuple[int, int], text_px: int = 15) -> np.ndarray:
    """Swatches and names in as many columns as they need, uint8 `[h, w, 3]`; what does not fit is counted at the end.

    Args:
        size: (width, height) in pixels.
        text_px: height of the text.
    """
    width, height = size
    image = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(image)
    line = round(text_px * 1.6)
    most = max(1, height // line)
    column_width = legend_width(subject, text_px)
    rows = ordered(subject)
    columns = min(max(1, width // column_width), max(1, -(-len(rows) // most)))
    per_column = min(most, max(1, -(-len(rows) // columns)))
    room = per_column * columns
    shown = rows if len(rows) <= room else rows[: room - 1]
    for i, (label, depth) in enumerate(shown):
        left, top = (i // per_column) * column_width, (i % per_column) * line
        _entry(draw, (left + depth * text_px, top + line / 2), subject.colors[label], subject.names[label], text_px)
    if len(shown) < len(rows):
        left, top = (room - 1) // per_column * column_width, (room - 1) % per_column * line
        draw.text((left, top + line / 2), f"and {len(rows) - len(shown)} more", _QUIET, font(text_px), anchor="lm")
    return np.asarray(image)


def legend_width(subject: Subject, text_px: int) -> int:
    """Pixels that the widest entry needs, with space before the next column."""
    rows = ordered(subject)
    widths = (depth * text_px + font(text_px).getlength(_title(subject.names[label])) for label, depth in rows)
    return round(max(widths, default=0.0) + 2 * text_px + 8)


def _title(name: str) -> str:
    return name.replace("_", " ")


def _entry(draw: ImageDraw.ImageDraw, place: tuple[float, float], color: str, name: str, text_px: int) -> None:
    left, middle = place
    half = text_px * 0.42
    box = (left, middle - half, left + 2 * half, middle + half)
    draw.rounded_rectangle(box, radius=3, fill=rgb_of(color))
    draw.text((left + 2 * half + 8, middle), _title(name), INK, font(text_px), anchor="lm")
