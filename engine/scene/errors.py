"""Mistakes in a scene file, each with its place, shown the way compilers show them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rapidfuzz import distance, process

from engine.errors import UserError


@dataclass(frozen=True)
class Place:
    """A stretch of text in a file; line and column count from 0."""

    file: Path
    line: int = 0
    column: int = 0
    width: int = 1


@dataclass(frozen=True)
class Mistake:
    """One mistake: what is wrong, where, and what to do."""

    message: str
    place: Place
    hint: str = ""
    help: str = ""

    def __str__(self) -> str:
        number = str(self.place.line + 1)
        gap = " " * len(number)
        lines = _lines(self.place.file)
        text = lines[self.place.line] if self.place.line < len(lines) else ""
        shown = [
            f"error: {self.message}",
            f"{gap}--> {self.place.file}:{number}:{self.place.column + 1}",
            f"{gap} |",
            f"{number} | {text}",
            f"{gap} | {' ' * self.place.column}{'^' * max(1, self.place.width)} {self.hint}".rstrip(),
        ]
        return "\n".join([*shown, f"{gap} = help: {self.help}"] if self.help else shown)


class SceneError(UserError):
    """A scene file that cannot be used, with everything that is wrong in it."""

    def __init__(self, path: Path, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = sorted(mistakes, key=lambda m: (str(m.place.file), m.place.line, m.place.column))
        count = f"{len(self.mistakes)} error{'s' * (len(self.mistakes) > 1)} in {path}"
        super().__init__("\n\n".join([*map(str, self.mistakes), count]))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion where `word` is close to one of `known`, else nothing."""
    found = process.extractOne(word, list(known), scorer=distance.OSA.normalized_similarity, score_cutoff=0.55)
    return f"did you mean '{found[0]}'?" if found else ""


@cache
def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()
