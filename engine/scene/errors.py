"""Mistakes in a scene, each with its place, shown the way compilers show them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rapidfuzz import distance, process

from engine.errors import UserError


@dataclass(frozen=True)
class Place:
    """A stretch of text in a file; line and column count from 0."""

    file: Path
    line: int = 0
    column: int = 0
    width: int = 1

    @property
    def order(self) -> tuple[str, int, int]:
        """Sorts mistakes in the order of reading."""
        return str(self.file), self.line, self.column

    def shown(self, hint: str) -> list[str]:
        """The line, with a caret and `hint` below it."""
        number = str(self.line + 1)
        gap = " " * len(number)
        lines = _lines(self.file)
        return [
            f"{gap}--> {self.file}:{number}:{self.column + 1}",
            f"{gap} |",
            f"{number} | {lines[self.line] if self.line < len(lines) else ''}",
            f"{gap} | {' ' * self.column}{'^' * max(1, self.width)} {hint}".rstrip(),
        ]


@dataclass(frozen=True)
class Spot:
    """An entry of a scene that stands in no file: its keys from the outermost on, and what it holds."""

    keys: tuple[str | int, ...] = ()
    value: Any = field(default=None, compare=False)

    @property
    def order(self) -> tuple[str, int, int]:
        """Leaves mistakes in the order they were found in."""
        return "", 0, 0

    def shown(self, hint: str) -> list[str]:
        """The entry as it would be written, with `hint` after it."""
        path = ".".join(map(str, self.keys))
        held = "" if isinstance(self.value, (dict, list, type(None))) else f": {self.value}"
        aside = f"    {hint}" if hint else ""
        return [f" --> {path}{held}{aside}"] if self.keys else [f" {hint}"] * bool(hint)


@dataclass(frozen=True)
class Mistake:
    """One mistake: what is wrong, where, and what to do."""

    message: str
    place: Place | Spot
    hint: str = ""
    help: str = ""

    def __str__(self) -> str:
        gap = " " * len(str(self.place.line + 1)) if isinstance(self.place, Place) else ""
        shown = [f"error: {self.message}", *self.place.shown(self.hint)]
        return "\n".join([*shown, f"{gap} = help: {self.help}"] if self.help else shown)


class SceneError(UserError):
    """A scene that cannot be used, with everything that is wrong in it; `source` is its file or says what it is."""

    def __init__(self, source: Path | str, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = sorted(mistakes, key=lambda m: m.place.order)
        count = f"{len(self.mistakes)} error{'s' * (len(self.mistakes) > 1)} in {source}"
        super().__init__("\n\n".join([*map(str, self.mistakes), count]))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion where `word` is close to one of `known`, else nothing."""
    found = process.extractOne(word, list(known), scorer=distance.OSA.normalized_similarity, score_cutoff=0.55)
    return f"did you mean '{found[0]}'?" if found else ""


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()
