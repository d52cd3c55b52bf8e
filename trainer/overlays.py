"""Pictures of the best, the median and the worst case of each protocol: truth, model and prompt on the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from PIL import Image, ImageDraw

from engine.grid import Grid
from engine.picture import grey, montage, overlay, write_png
from trainer.cases import Case
from trainer.prompts import Prompt, box_around
from trainer.scores import Score
from trainer.slices import AXES

TRUTH_COLOR, MODEL_COLOR = "#e69f00", "#56b4e9"

_BOX_COLOR, _ON_COLOR, _OFF_COLOR = "#f0e442", "#00c070", "#ff3030"
_TILE = 320  # pixels of a tile's longer edge, about
_WIDER = 2.0  # edge of what is shown over the longer side of the structure
_NARROWEST = 40  # pixels of the volume in that edge
_RANKS = ("best", "median", "worst")
_LETTERS = 48  # of a caption


@dataclass(frozen=True)
class Panel:
    """A part of one slice: grey values and boolean masks `[rows, columns]`, the prompt if it was given there."""

    index: int
    grey: np.ndarray
    truth: np.ndarray
    found: np.ndarray
    prompt: Prompt | None
    corner: tuple[int, int]
    flips: tuple[bool, bool]

    def draw(self) -> np.ndarray:
        """uint8 `[h, w, 3]`, about as large as a tile."""
        times = times_of(self.grey)
        picture = enlarge(self.grey, times)
        for mask, color in ((self.truth, TRUTH_COLOR), (self.found, MODEL_COLOR)):
            picture = overlay(picture, enlarge(mask, times), {1: color}, opacity=0.1)
        image = Image.fromarray(picture)
        if self.prompt is not None:
            self._mark(ImageDraw.Draw(image), self.prompt, times)
        return turned(np.asarray(image), self.flips)

    def _mark(self, draw: ImageDraw.ImageDraw, prompt: Prompt, times: int) -> None:
        def place(column: float, row: float, shift: float = 0.5) -> tuple[float, float]:
            return (column - self.corner[1] + shift) * times, (row - self.corner[0] + shift) * times

        if prompt.box is not None:
            left, top, right, bottom = prompt.box
            draw.rectangle([place(left, top, 0.0), place(right, bottom, 1.0)], outline=_BOX_COLOR)
        for position, on in prompt.clicks:
            x, y = place(*position)
            draw.ellipse([x - 4, y - 4, x + 4, y + 4], fill=_ON_COLOR if on else _OFF_COLOR, outline="black")


class Scored(Protocol):
    """What has a score."""

    @property
    def score(self) -> Score: ...


T = TypeVar("T", bound=Scored)


@dataclass(frozen=True)
class Snapshot:
    """What the model made of one structure: the prompted slice, and one on either side of it where there are more."""

    score: Score
    panels: tuple[Panel, ...]

    def captions(self, rank: str) -> list[str]:
        """One for each panel."""
        what = f"{rank} {self.score.volume_dice:.2f}  {self.score.case}: {self.score.structure}"
        middle = next(i for i, panel in enumerate(self.panels) if panel.prompt is not None)
        return [
            what[:_LETTERS] if i == middle else f"slice {panel.index - self.panels[middle].index:+d}"
            for i, panel in enumerate(self.panels)
        ]


def snapshot(case: Case, truth: np.ndarray, found: np.ndarray, prompt: Prompt, score: Score) -> Snapshot:
    """The picture of an attempt; the prompt is across z, masks are `[z, y, x]`."""
    part = _around(truth)
    panels = tuple(
        Panel(
            z,
            grey(case.image[z][part], case.window),
            truth[z][part].copy(),
            found[z][part].copy(),
            prompt if z == prompt.index else None,
            (part[0].start, part[1].start),
            flips(case.grid),
        )
        for z in _indices(truth, prompt.index)
    )
    return Snapshot(score, panels)


@dataclass
class Album:
    """Snapshots of the model's attempts, kept small until the best and the worst are known."""

    snapshots: dict[str, list[Snapshot]] = field(default_factory=dict)

    def keep(self, taken: Snapshot) -> None:
        """One more."""
        self.snapshots.setdefault(taken.score.protocol, []).append(taken)

    def write(self, out: Path) -> None:
        """Write overlays/PROTOCOL.png (a row for each of best, median, worst) and overlays.png (prompted slices)."""
        tiles, captions = [], []
        for protocol, snapshots in self.snapshots.items():
            chosen = ranked(snapshots)
            rows = [(snapshot.panels, snapshot.captions(rank)) for rank, snapshot in chosen]
            _sheet(out / "overlays" / f"{protocol}.png", rows)
            for rank, snapshot in chosen:
                panel = next(panel for panel in snapshot.panels if panel.prompt is not None)
                tiles.append(panel.draw())
                said = f"{protocol}, {rank} {snapshot.score.volume_dice:.2f}: {snapshot.score.structure}"
                captions.append(said[:_LETTERS])
        write_png(out / "overlays.png", montage(tiles, captions, columns=min(len(_RANKS), len(tiles)), text_px=11))


def ranked(attempts: Sequence[T]) -> list[tuple[str, T]]:
    """Best, median and worst by the volume's Dice; fewer where there are fewer."""
    order = sorted(attempts, key=lambda one: -one.score.volume_dice)
    places = {"best": 0, "worst": len(order) - 1, "median": len(order) // 2}
    chosen = {place: rank for rank, place in reversed(places.items())}
    return [(chosen[place], order[place]) for place in sorted(chosen)]


def _sheet(path: Path, rows: Sequence[tuple[tuple[Panel, ...], list[str]]]) -> None:
    """A montage with one row for each snapshot; flat ones leave places empty."""
    columns = max(len(panels) for panels, _ in rows)
    tiles, captions = [], []
    for panels, said in rows:
        missing = columns - len(panels)
        tiles += [*(panel.draw() for panel in panels), *[np.zeros((1, 1, 3), np.uint8)] * missing]
        captions += [*said, *[""] * missing]
    write_png(path, montage(tiles, captions, columns=columns, text_px=11))


def _around(truth: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of a square about a structure, cut where the slice ends."""
    left, top, right, bottom = box_around(np.logical_or.reduce(truth))
    edge = max(_WIDER * (max(right - left, bottom - top) + 1), _NARROWEST)
    spans = []
    for low, high, size in ((top, bottom, truth.shape[1]), (left, right, truth.shape[2])):
        start = max(0, round((low + high - edge) / 2))
        spans.append(slice(start, min(size, round(start + edge) + 1)))
    return spans[0], spans[1]


def _indices(truth: np.ndarray, prompted: int) -> list[int]:
    """The prompted slice, and those half-way to either end of the structure."""
    there = np.nonzero(truth.any(axis=(1, 2)))[0]
    return sorted({(int(there.min()) + prompted) // 2, prompted, (int(there.max()) + prompted + 1) // 2})


def flips(grid: Grid, axis: str = "z") -> tuple[bool, bool]:
    """Whether the rows and the columns of slices across `axis` are turned round to be seen as radiologists do.

    The patient's left is on the right, his back below (or, in a sagittal slice, on the right), his head above.
    """
    cosines = np.asarray(grid.direction, float).reshape(3, 3)
    columns, rows = (cosines[:, i] for i in range(3) if i != AXES.index(axis))
    along_columns, along_rows = (int(np.argmax(np.abs(direction))) for direction in (columns, rows))
    up = along_rows == 2
    return bool((rows[along_rows] > 0) == up), bool(columns[along_columns] < 0)


def turned(picture: np.ndarray, flips: tuple[bool, bool]) -> np.ndarray:
    """A picture with its rows and its columns turned round as `flips` says."""
    rows, columns = (slice(None, None, -1 if flip else 1) for flip in flips)
    return np.ascontiguousarray(picture[rows, columns])


def times_of(picture: np.ndarray, tile: int = _TILE) -> int:
    """How often a small picture's pixels are repeated for its longer edge to have about `tile` of them."""
    return max(1, tile // max(picture.shape))


def enlarge(picture: np.ndarray, times: int) -> np.ndarray:
    """A picture with every pixel repeated, so that outlines are thin and captions have room."""
    return picture.astype(np.uint8).repeat(times, axis=0).repeat(times, axis=1)
