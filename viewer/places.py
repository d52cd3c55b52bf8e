"""Places marked in a subject: clicks, boxes and dotted outlines, drawn on the slices they lie on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from PIL import ImageDraw

Kind = Literal["on", "off", "box", "dots"]
KINDS: tuple[str, ...] = get_args(Kind)

_COLORS = {"on": (0, 224, 128), "off": (255, 64, 64), "box": (240, 228, 66), "dots": (240, 228, 66)}
_SHADOW = (0, 0, 0)
_ARM = 6  # pixels from a click's middle to its end
_GAP = 8  # pixels that hold one dot


@dataclass(frozen=True)
class Mark:
    """One mark.

    Args:
        kind: `on` (a click on a structure) or `off` it, `box` (two opposite corners), or `dots`.
        points: LPS+ mm.
    """

    kind: Kind
    points: tuple[tuple[float, float, float], ...]


def draw_mark(draw: ImageDraw.ImageDraw, kind: Kind, pixels: Sequence[tuple[float, float]]) -> None:
    """A mark whose points lie at `pixels`: plus, minus, rectangle, or dots with gaps; all with a dark rim."""
    color = _COLORS[kind]
    places = [(round(x), round(y)) for x, y in pixels]
    if kind == "box":
        left, right = sorted(x for x, _ in places)
        top, bottom = sorted(y for _, y in places)
        for ink, rim in ((_SHADOW, 3), (color, 2)):  # outside, so that outlines of what it holds are seen
            draw.rectangle((left - rim, top - rim, right + rim, bottom + rim), outline=ink)
    elif kind == "dots":
        apart = {(x // _GAP, y // _GAP): (x, y) for x, y in places}
        for x, y in apart.values():
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=color, outline=_SHADOW)
    else:
        for x, y in places:
            for ink, rim in ((_SHADOW, 1), (color, 0)):
                across, thick = _ARM + rim, 1 + rim
                draw.rectangle((x - across, y - thick, x + across, y + thick), fill=ink)
                if kind == "on":
                    draw.rectangle((x - thick, y - across, x + thick, y + across), fill=ink)
