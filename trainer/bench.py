"""Benchmark of training: what a step of the recipe `viscera` takes, and how much of it waits for data."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

from engine.bench import note
from trainer import journal
from trainer.config import load
from trainer.loop import train

_RECIPE = Path(__file__).with_name("recipes") / "viscera.yaml"
_STEPS = 40
_FIRST = 10  # of each phase, not counted: volumes and kernels are being made
_KINDS = ("still pictures", "still pictures with corrections", "slice videos")


def bench_train() -> list[dict[str, Any]]:
    """Some steps of each phase."""
    with tempfile.TemporaryDirectory() as folder:
        changes = [f"phases.{number}.steps={_STEPS}" for number in range(len(_KINDS))]
        config = load(_RECIPE, [*changes, f"out={folder}/run", "warmup=1"])
        train(config)
        records = [r for r in journal.read(f"{folder}/run") if "loss" in r]
    rows = []
    for number, (kind, phase) in enumerate(zip(_KINDS, config.phases, strict=True)):
        own = [r for r in records if r["phase"] == number][_FIRST:]
        seconds = [r["seconds"] for r in own]
        waited = sum(r["seconds"] * r["wait_share"] for r in own) / sum(seconds)
        rows.append(note(f"seconds of a step of {phase.batch} {kind}", statistics.median(seconds)))
        rows.append(note("share of these steps that waits for data, %", 100 * waited))
    return rows
