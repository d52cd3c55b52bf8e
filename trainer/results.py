"""Results: the model's attempts of an evaluation, kept so that `viscera view` shows them on their images."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.grid import Grid
from trainer.cases import Case
from trainer.overlays import MODEL_COLOR, TRUTH_COLOR, ranked
from trainer.prompts import Prompt
from trainer.record import Structure, marks_of, write_record
from trainer.scores import Score

#: In an evaluation's folder.
FOLDER = "results"
#: A picture in which a reader's window was set is shown in its own grey values.
_PICTURE = "picture"
_TRUTH, _FOUND = 1, 2  # bits of a label
_STRUCTURES = {
    "prediction": Structure((_FOUND, _TRUTH | _FOUND), MODEL_COLOR),
    "truth": Structure((_TRUTH, _TRUTH | _FOUND), TRUTH_COLOR, hollow=True),
}


@dataclass(frozen=True)
class Result:
    """One attempt of the model, packed small: the part of the volume that holds truth or prediction, compressed.

    Args:
        image: its file, and what it is shown as.
        part: of the volume, (start, stop) along z, y and x.
        packed: labels of that part: bit 1 for the truth, bit 2 for the prediction.
    """

    score: Score
    prompt: Prompt
    grid: Grid
    image: tuple[Path, str]
    part: tuple[tuple[int, int], ...]
    packed: bytes

    @property
    def labels(self) -> np.ndarray:
        """uint8 `[z, y, x]`."""
        labels = np.zeros(self.grid.shape, np.uint8)
        inside = labels[tuple(slice(*span) for span in self.part)]
        inside[...] = np.frombuffer(zlib.decompress(self.packed), np.uint8).reshape(inside.shape)
        return labels

    def write(self, folder: Path, stem: str, place: str) -> None:
        """Write its record; `place` says how it stands among others."""
        image, modality = self.image
        score = self.score
        write_record(
            folder / f"{stem}.nii.gz",
            self.labels,
            self.grid,
            image,
            modality,
            _STRUCTURES,
            marks_of(self.grid, self.prompt),
            f"{score.case}: {score.structure}",
            [*_figures(score, flat=self.grid.size[2] == 1), *_origin(score, place)],
            score.volume_dice,
        )


def result_of(case: Case, truth: np.ndarray, found: np.ndarray, prompt: Prompt, score: Score) -> Result | None:
    """An attempt, masks `[z, y, x]`; None where the case's image is in no file that can be opened by itself."""
    if case.file is None:
        return None
    labels = (truth * np.uint8(_TRUTH) | found * np.uint8(_FOUND)).astype(np.uint8)
    filled = [np.flatnonzero(labels.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    part = tuple((int(places[0]), int(places[-1]) + 1) for places in filled)
    packed = zlib.compress(labels[tuple(slice(*span) for span in part)].tobytes(), 6)
    image = case.file.absolute(), _PICTURE if case.windowed else case.modality
    return Result(score, prompt, case.grid, image, part, packed)


def write(out: Path, results: Iterable[Result], every: bool = False) -> None:
    """Write records into a folder, the worst first by name: best, median and worst of each set and protocol, or all."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.score.dataset, result.score.protocol), []).append(result)
    chosen: list[tuple[str, Result]] = []
    for group in groups.values():
        named = {id(result): f"{rank} of {len(group)}" for rank, result in ranked(group) if group[1:]}
        chosen += [(named.get(id(result), ""), result) for result in group if every or id(result) in named or not named]
    for stale in (*out.glob("*.json"), *out.glob("*.nii.gz")):
        stale.unlink()
    for number, (place, result) in enumerate(sorted(chosen, key=lambda pair: pair[1].score.volume_dice), start=1):
        result.write(out, f"{number:04d}_{_slug(result.score)}", place)


def _figures(score: Score, flat: bool) -> list[str]:
    dice = f"Dice {score.volume_dice:.2f}" + ("" if flat else f", on the prompted slice {score.slice_dice:.2f}")
    return [dice, f"NSD {score.volume_nsd:.2f}   HD95 {score.volume_hd95:.1f} {score.unit}"]


def _origin(score: Score, place: str) -> list[str]:
    said = [f"prompt: {score.protocol}" + (f", {place}" if place else "")]
    return said + ([f"set: {score.dataset}"] if score.dataset else [])


def _slug(score: Score) -> str:
    """What tells it apart, as part of a file's name."""
    return re.sub(r"[^\w.-]+", "-", "_".join((score.case, score.structure, score.protocol)))[:80]
