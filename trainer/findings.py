"""What an evaluation has found so far, kept on disk: a killed one goes on where it stopped."""

from __future__ import annotations

import contextlib
import pickle
from dataclasses import dataclass
from pathlib import Path

from trainer.overlays import Snapshot
from trainer.results import Result
from trainer.scores import Score

#: In an evaluation's folder, until it is finished.
FILE = "findings.pkl"

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Finding:
    """What was found of one structure of one case.

    Args:
        notes: what could not be scored, and why.
        results: the model's attempts, to be looked at.
    """

    scores: tuple[Score, ...]
    notes: tuple[str, ...]
    snapshots: tuple[Snapshot, ...]
    results: tuple[Result, ...] = ()


class Findings:
    """Findings by data set, case and structure, each written as soon as it is there.

    Args:
        folder: of the evaluation; None keeps nothing.
        asked: says what was asked for; findings of anything else are dropped.
    """

    def __init__(self, folder: Path | None, asked: str) -> None:
        self._file = None if folder is None else folder / FILE
        self.known: dict[Key, Finding] = {}
        if self._file is None:
            return
        end = self._read(self._file, asked) if self._file.is_file() else 0
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("ab") as file:
            file.truncate(end)  # a kill may have cut the last finding
            if not end:
                pickle.dump(asked, file)

    def add(self, key: Key, finding: Finding) -> None:
        """Keep a finding."""
        self.known[key] = finding
        if self._file is not None:
            with self._file.open("ab") as file:
                pickle.dump((key, finding), file)

    def finish(self) -> None:
        """Nothing is left to go on with."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def _read(self, path: Path, asked: str) -> int:
        """Take over what was found; the position after the last whole finding, 0 where it is of something else."""
        end = 0
        with path.open("rb") as file, contextlib.suppress(EOFError, pickle.UnpicklingError, AttributeError):
            if pickle.load(file) != asked:
                return 0
            while True:
                end = file.tell()
                key, finding = pickle.load(file)
                self.known[key] = finding
        return end
