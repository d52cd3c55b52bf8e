"""The panel of a desktop window: buttons, sliders and the list of structures, as a picture that can be hit."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageDraw

from engine.picture import BACKGROUND, INK, TITLES, font, rgb_of
from viewer import actions
from viewer.desk import Desk
from viewer.legend import ordered
from viewer.lettering import letter
from viewer.live import Slider

WIDTH = 264
_MARGIN, _ROW, _TEXT = 12, 22, 13
_QUIET, _FRAME, _ON = (139, 149, 161), (52, 60, 70), (38, 84, 124)

_STEP = "next", False, lambda desk, _: desk.step(1)
_BACK = "previous", False, lambda desk, _: desk.step(-1)

Box = tuple[int, int, int, int]  # left, top, width, height


@dataclass(frozen=True)
class Hit:
    """A part of the panel that answers to the mouse.

    Args:
        box: in pixels of the panel.
        does: gets the desk and where along the box it was hit, 0 left to 1 right.
        drags: whether it goes on answering while the button is held.
    """

    box: Box
    does: Callable[[Desk, float], None]
    drags: bool = False


def draw_panel(desk: Desk, height: int, top: int = 0) -> tuple[Image.Image, list[Hit]]:
    """The panel, WIDTH by `height` pixels, and what in it answers to the mouse.

    Args:
        top: structures further up than this many rows have been scrolled away.
    """
    page = _Page(height)
    _title(page, desk)
    if desk.subject is not None:
        _images(page, desk)
        _labels(page, desk)
        _scene(page, desk)
        _structures(page, desk, top)
    return page.image, page.hits


class _Page:
    """A picture that is filled from top to bottom."""

    def __init__(self, height: int) -> None:
        self.image = Image.new("RGB", (WIDTH, height), BACKGROUND)
        self.draw = ImageDraw.Draw(self.image)
        self.hits: list[Hit] = []
        self.height, self.y = height, _MARGIN

    def text(self, words: str, ink: tuple[int, int, int] = INK, bold: bool = False, size: int = _TEXT) -> None:
        """A line of text."""
        letter(self.image, (_MARGIN, self.y + _ROW / 2), words, ink, size, "lm", bold)
        self.y += _ROW

    def buttons(self, given: list[tuple[str, bool, Callable[[Desk, float], None]]]) -> None:
        """Buttons (words, whether on, what they do), as many in a row as fit."""
        x = _MARGIN
        for words, on, does in given:
            wide = round(font(_TEXT - 1).getlength(words)) + 14
            if x > _MARGIN and x + wide > WIDTH - _MARGIN:
                x, self.y = _MARGIN, self.y + _ROW + 3
            box = (x, self.y, wide, _ROW - 2)
            self.draw.rounded_rectangle(_corners(box), 4, fill=_ON if on else None, outline=_FRAME)
            letter(self.image, (x + wide / 2, self.y + _ROW / 2 - 1), words, INK if on else _QUIET, _TEXT - 1, "mm")
            self.hits.append(Hit(box, does))
            x += wide + 5
        self.y += _ROW + 6

    def slider(self, words: str, share: float, shown: str, does: Callable[[Desk, float], None]) -> None:
        """A slider that stands at `share` of its way."""
        left, right, middle = 112, WIDTH - _MARGIN - 44, self.y + _ROW / 2
        letter(self.image, (_MARGIN, middle), _short(words, left - _MARGIN - 6), INK, _TEXT - 1, "lm")
        self.draw.line((left, middle, right, middle), fill=_FRAME, width=3)
        knob = left + share * (right - left)
        self.draw.ellipse((knob - 5, middle - 5, knob + 5, middle + 5), fill=INK)
        letter(self.image, (WIDTH - _MARGIN, middle), shown, _QUIET, _TEXT - 2, "rm")
        self.hits.append(Hit((left, self.y, right - left, _ROW), does, drags=True))
        self.y += _ROW

    def rule(self) -> None:
        """A line between sections."""
        self.draw.line((_MARGIN, self.y + 3, WIDTH - _MARGIN, self.y + 3), fill=_FRAME)
        self.y += 9


def _title(page: _Page, desk: Desk) -> None:
    page.text(desk.subject.name if desk.subject else "drawing ...", bold=True, size=_TEXT + 2)
    if desk.subject is not None:
        page.text(" of ".join(desk.subject.measures), _QUIET, size=_TEXT - 2)
        for note in desk.subject.notes:
            page.text(_short(note, WIDTH - 2 * _MARGIN), size=_TEXT - 1)
        if place := desk.source.place:
            page.text(place, _QUIET, size=_TEXT - 2)
            page.buttons([_STEP, _BACK])
    page.rule()


def _images(page: _Page, desk: Desk) -> None:
    subject, view = desk.shown, desk.view

    def turn(modality: str) -> Callable[[Desk, float], None]:
        return lambda desk, _: desk.show(modality)

    def take(name: str) -> Callable[[Desk, float], None]:
        return lambda desk, _: desk.take(name)

    images = [(TITLES.get(m, m.upper()), m == view.modality and not view.beside, turn(m)) for m in subject.images]
    if len(images) > 1:
        images.append(("all", view.beside, lambda desk, _: desk.flip("beside")))
    if images:
        page.buttons(images)
        presets = actions.presets(subject, view)
        page.buttons([(f"{i} {name}", name == view.preset, take(name)) for i, name in enumerate(presets, 1)])
        low, high = view.window
        page.text(f"window {high - low:.0f}   level {(low + high) / 2:.0f}", _QUIET, size=_TEXT - 2)
    page.rule()


def _labels(page: _Page, desk: Desk) -> None:
    if desk.shown.labels is None:
        return
    view = desk.view

    def fade(desk: Desk, share: float) -> None:
        desk.view = actions.fade(desk.view, round(share, 2))

    page.slider("labels", view.opacity, f"{100 * view.opacity:.0f} %", fade)
    page.buttons(
        [
            ("shown", view.labelled, lambda desk, _: desk.flip("labelled")),
            ("outlines", view.outline, lambda desk, _: desk.flip("outline")),
            ("lines", view.lines, lambda desk, _: desk.flip("lines")),
            *([("scanner", view.beams, lambda desk, _: desk.flip("beams"))] if desk.shown.beams else []),
            ("measure", desk.measuring, lambda desk, _: desk.switch("measuring")),
        ]
    )


def _scene(page: _Page, desk: Desk) -> None:
    source = desk.draws
    if source is None:
        _phase(page, desk)
        return
    page.rule()
    page.buttons(
        [
            (f"seed {source.seed}", False, lambda desk, _: None),
            _STEP,
            _BACK,
            ("save", False, lambda desk, _: desk.save()),
        ]
    )
    for one in source.sliders:
        page.slider(one.name, (one.value - one.low) / max(one.high - one.low, 1e-12), one.shown, _setting(one))
    _phase(page, desk)
    if source.left_out:
        page.text("without (click to draw again)", _QUIET, size=_TEXT - 2)
        page.buttons([(name, False, _leaving_out(name)) for name in source.left_out])


def _phase(page: _Page, desk: Desk) -> None:
    if desk.phase is not None:
        page.slider("phase", desk.phase, f"{desk.phase:.2f}", lambda desk, share: desk.move(share))


def _setting(slider: Slider) -> Callable[[Desk, float], None]:
    return lambda desk, share: desk.vary(slider.name, slider.low + share * (slider.high - slider.low))


def _structures(page: _Page, desk: Desk, top: int) -> None:
    rows = ordered(desk.shown)
    if not rows:
        return
    page.rule()
    room = max(1, (page.height - page.y - _MARGIN) // _ROW)
    top = min(top, max(0, len(rows) - room))
    for label, depth in rows[top : top + room]:
        off = label in desk.view.hidden
        left, middle = _MARGIN + 12 * depth, page.y + _ROW / 2
        swatch = (left, middle - 6, left + 12, middle + 6)
        color = rgb_of(desk.shown.colors[label])
        page.draw.rounded_rectangle(swatch, 3, fill=None if off else color, outline=color)
        name = _short(desk.shown.names[label].replace("_", " "), WIDTH - left - 30)
        letter(page.image, (left + 19, middle), name, _QUIET if off else INK, _TEXT, "lm")
        if desk.draws:
            cross = (WIDTH - _MARGIN - _ROW, page.y, _ROW, _ROW)
            letter(page.image, (cross[0] + _ROW / 2, middle), "×", _FRAME, _TEXT, "mm")
            page.hits.append(Hit(cross, _leaving_out(desk.shown.names[label])))
        page.hits.append(Hit((_MARGIN, page.y, WIDTH - 2 * _MARGIN, _ROW), _toggling(label)))
        page.y += _ROW


def _leaving_out(name: str) -> Callable[[Desk, float], None]:
    return lambda desk, _: desk.leave_out(name)


def _toggling(label: int) -> Callable[[Desk, float], None]:
    def act(desk: Desk, _: float) -> None:
        desk.view = actions.toggle(desk.view, label)

    return act


@functools.lru_cache(maxsize=512)
def _short(words: str, width: int) -> str:
    """The words, cut so that they fit."""
    while len(words) > 1 and font(_TEXT - 1).getlength(words) > width:
        words = f"{words[:-2].rstrip()}…"
    return words


def _corners(box: Box) -> tuple[int, int, int, int]:
    left, top, width, height = box
    return left, top, left + width, top + height
