"""Evaluation: prompts from true masks, Dice by structure beside baselines that need no learning.

Each structure is prompted once, on its largest slice across the axis. `slice` is the overlap there, `volume` that of
the mask carried through the whole volume.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from engine.atomic import write_text
from engine.errors import UserError
from engine.picture import grey, montage, overlay, window_of, write_png
from trainer.baselines import ELLIPSE, REGION, grow_region, inscribed, seed_of
from trainer.cases import Case, Folder
from trainer.metrics import dice, iou
from trainer.model import Model
from trainer.prompts import Prompt
from trainer.protocols import prompt_of
from trainer.segmenter import Segmenter
from trainer.slices import AXES

PROTOCOLS = ("box", "click")
MODEL, RIVAL = "model", "baseline model"
_TRUTH_COLOR, _MODEL_COLOR = "#e69f00", "#56b4e9"
_PICTURES = 12
_TILE = 320  # pixels of a tile's longer edge, about


@dataclass(frozen=True)
class Score:
    """How well one method found one structure of one case."""

    case: str
    modality: str
    structure: str
    protocol: str
    method: str
    slice_dice: float
    volume_dice: float
    volume_iou: float
    seconds: float


@dataclass(frozen=True)
class Report:
    """Everything an evaluation found.

    Args:
        scores: one for each case, structure, protocol and method.
        skipped: what could not be scored, and why.
    """

    scores: tuple[Score, ...]
    skipped: tuple[str, ...]

    def table(self) -> list[dict[str, object]]:
        """Means over cases by structure, protocol and method, in the order in which they were found."""
        groups: dict[tuple[str, str, str], list[Score]] = {}
        for s in self.scores:
            groups.setdefault((s.structure, s.protocol, s.method), []).append(s)
        return [
            {
                "structure": structure,
                "protocol": protocol,
                "method": method,
                "cases": len(group),
                "slice_dice": round(float(np.mean([s.slice_dice for s in group])), 4),
                "volume_dice": round(float(np.mean([s.volume_dice for s in group])), 4),
                "seconds": round(float(np.mean([s.seconds for s in group])), 3),
            }
            for (structure, protocol, method), group in groups.items()
        ]

    def markdown(self) -> str:
        """The table as Markdown, with a note on what was skipped."""
        rows = self.table()
        keys = list(rows[0])
        lines = ["| " + " | ".join(k.replace("_", " ") for k in keys) + " |", "|" + " --- |" * len(keys)]
        lines += ["| " + " | ".join(_cell(row[k]) for k in keys) + " |" for row in rows]
        if self.skipped:
            lines += ["", "Skipped:", "", *(f"- {note}" for note in self.skipped)]
        return "\n".join(lines) + "\n"


def evaluate(
    model: Model,
    data: str | Path | Iterable[Case],
    protocols: Sequence[str] = PROTOCOLS,
    out: str | Path | None = None,
    axis: str = "z",
    baselines: bool = True,
    rival: Model | None = None,
) -> Report:
    """Score a model on a dataset folder or on cases.

    Args:
        protocols: of `box`, `click`.
        out: folder for scores.json, scores.csv, table.md and pictures of prompted slices; None writes nothing.
        axis: the grid axis that slices are cut across.
        baselines: score the ellipse in the box (its extent along the axis given, too) and region growing as well.
        rival: another model to score on the same prompts.

    Raises:
        UserError: where a protocol is unknown, or no structure of any case can be scored.
    """
    unknown = [p for p in protocols if p not in PROTOCOLS]
    if unknown or not protocols:
        raise UserError(f"protocols: cannot use {', '.join(unknown) or 'none at all'}; known: {', '.join(PROTOCOLS)}")
    cases = Folder(Path(data)) if isinstance(data, (str, Path)) else data
    segmenters = {MODEL: Segmenter(model)} | ({RIVAL: Segmenter(rival)} if rival is not None else {})
    scores: list[Score] = []
    skipped: list[str] = []
    pictures: list[tuple[str, np.ndarray]] = []
    for case in cases:
        for structure in case.structures:
            truth = case.mask(structure)
            if not truth.any():
                skipped.append(f"{case.name}: '{structure}' is empty")
                continue
            for protocol in protocols:
                prompt = prompt_of(truth, protocol, axis)
                for method, mask, seconds in _attempts(segmenters, case, truth, prompt, baselines):
                    scores.append(_score(case, structure, protocol, method, truth, mask, prompt, seconds))
                    if out is not None and method == MODEL and len(pictures) < _PICTURES:
                        pictures.append((f"{case.name} {structure}: {protocol}", _picture(case, truth, mask, prompt)))
    if not scores:
        raise UserError("nothing to evaluate: every structure of every case is empty")
    report = Report(tuple(scores), tuple(skipped))
    if out is not None:
        _write(report, pictures, Path(out))
    return report


def _attempts(
    segmenters: Mapping[str, Segmenter], case: Case, truth: np.ndarray, prompt: Prompt, baselines: bool
) -> Iterator[tuple[str, np.ndarray, float]]:
    """Each method's mask and the seconds it took."""
    for name, segmenter in segmenters.items():
        began = time.perf_counter()
        mask = segmenter.segment(case.image, case.grid, case.modality, prompt)
        yield name, mask, time.perf_counter() - began
    if not baselines:
        return
    began = time.perf_counter()
    if prompt.box is not None:
        yield ELLIPSE, inscribed(truth), time.perf_counter() - began
    else:
        yield REGION, grow_region(case.image, seed_of(prompt)), time.perf_counter() - began


def _score(
    case: Case,
    structure: str,
    protocol: str,
    method: str,
    truth: np.ndarray,
    mask: np.ndarray,
    prompt: Prompt,
    seconds: float,
) -> Score:
    shown = [_slice(array, prompt) for array in (mask, truth)]
    if method == ELLIPSE:
        shown[0] = inscribed(shown[1])  # on one slice it knows that slice's box
    return Score(
        case.name,
        case.modality,
        structure,
        protocol,
        method,
        dice(*shown),
        dice(mask, truth),
        iou(mask, truth),
        seconds,
    )


def _slice(array: np.ndarray, prompt: Prompt) -> np.ndarray:
    return np.moveaxis(array, 2 - AXES.index(prompt.axis), 0)[prompt.index]


def _picture(case: Case, truth: np.ndarray, mask: np.ndarray, prompt: Prompt) -> np.ndarray:
    """The prompted slice with the truth's and the model's outline."""
    picture = grey(_slice(case.image, prompt), window_of(case.image, case.modality))
    for array, color in ((truth, _TRUTH_COLOR), (mask, _MODEL_COLOR)):
        picture = overlay(_enlarge(picture), _enlarge(_slice(array, prompt).astype(np.uint8)), {1: color}, opacity=0.1)
    return picture


def _enlarge(picture: np.ndarray) -> np.ndarray:
    """A small picture with every pixel repeated, so that outlines are thin and captions have room."""
    times = max(1, _TILE // max(picture.shape[:2]))
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def _write(report: Report, pictures: list[tuple[str, np.ndarray]], out: Path) -> None:
    rows = [asdict(score) for score in report.scores]
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    content = {"table": report.table(), "scores": rows, "skipped": list(report.skipped)}
    texts = {
        "scores.json": json.dumps(content, indent=2) + "\n",
        "scores.csv": table.getvalue(),
        "table.md": report.markdown(),
    }
    for name, text in texts.items():
        write_text(out / name, text)
    captions, tiles = zip(*pictures, strict=True)
    write_png(out / "overlays.png", montage(tiles, captions, columns=min(4, len(tiles)), text_px=11))


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
