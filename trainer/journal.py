"""What a run tells: JSON lines, a line of progress where somebody watches, TensorBoard where it is asked for."""

from __future__ import annotations

import json
import os
from collections import deque
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

METRICS = "metrics.jsonl"
_RECENT = 50  # steps that the shown share of waiting is taken over: batches come in rounds, and so do waits


class Journal:
    """The record of one run.

    Args:
        run: its folder.
        start, total: steps done and steps in all; lines of steps from `start` on are dropped, they will come again.
        tensorboard: write event files too.
    """

    def __init__(self, run: Path, start: int, total: int, tensorboard: bool = False) -> None:
        run.mkdir(parents=True, exist_ok=True)
        _truncate(run / METRICS, start)
        self._file = (run / METRICS).open("a", encoding="utf-8")
        self._events = _writer(run) if tensorboard else None
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._recent: deque[tuple[float, float]] = deque(maxlen=_RECENT)  # seconds waited, seconds in all
        self._task = self._progress.add_task("training", total=total, completed=start)

    def __enter__(self) -> Journal:
        self._progress.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._progress.stop()
        self._file.close()
        if self._events is not None:
            self._events.close()

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Record the values of `step` (counted from 1)."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        if self._events is not None:
            for name, value in values.items():
                if isinstance(value, (int, float)):
                    self._events.add_scalar(name, value, step)
        if "loss" in values:
            self._recent.append((values["wait_share"] * values["seconds"], values["seconds"]))
            text = f"loss {values['loss']:.3f}  Dice {values['dice']:.2f}  waits {self.waits:.0%}"
            self._progress.update(self._task, completed=step, description=text)

    @property
    def waits(self) -> float:
        """Share of the last steps' time that was spent waiting for data."""
        waited, total = map(sum, zip(*self._recent, strict=True))
        return waited / total


def read(run: str | Path) -> list[dict[str, Any]]:
    """Every record of a run, in order."""
    file = Path(run) / METRICS
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def _truncate(file: Path, start: int) -> None:
    if not file.exists():
        return
    lines = file.read_text(encoding="utf-8").splitlines()
    whole = [line for line in lines if line.endswith("}")]  # a kill may have cut the last one
    kept = [line for line in whole if json.loads(line)["step"] <= start]
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    os.replace(partial, file)


def _writer(run: Path) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(run / "tensorboard"))
