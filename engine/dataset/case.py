"""One volume of a dataset: made aside, then moved into place file by file, its scene last.

A volume whose scene file is in place is complete; everything else is made again. So a kill at any moment loses no
finished volume and leaves no half file where a reader looks.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from engine import interrupts
from engine.atomic import PARTIAL, write_text, writing
from engine.dataset import headers, phases, truth
from engine.dataset.request import Job, Request
from engine.generate import Sample, draw
from engine.scene.sample import Scattered

_PARTIAL = ".partial-"


@dataclass(frozen=True)
class Made:
    """A volume that was made: its name, its scene's, and how many copies of what that scatters found a place."""

    name: str
    scene: str
    scattered: tuple[Scattered, ...]


def scene_file(out: Path, name: str) -> Path:
    """The file that says that a volume is complete."""
    return out / "scenes" / f"{name}.yaml"


def complete(out: Path) -> list[str]:
    """Names of the complete volumes in a dataset's folder."""
    return sorted(file.stem for file in (out / "scenes").glob("*.yaml") if not file.name.startswith("."))


def make(job: Job, request: Request) -> Made:
    """Draw one volume and put its files in place."""
    sample = draw(job.scene, job.seed, job.index, request.modalities)
    cycle = phases.draw_cycle(sample, request) if request.phases else None
    with writing(request.out), interrupts.deferred():
        aside = request.out / f"{_PARTIAL}{os.getpid()}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        try:
            request.writer.save(aside, sample, request)
            headers.save(aside, sample)
            truth.save(aside, sample, request)
            if cycle is not None:
                phases.save(aside, sample, cycle, request)
            _move(aside, request.out, sample)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return Made(sample.name, job.scene.name, sample.scattered)


def _move(aside: Path, out: Path, sample: Sample) -> None:
    for made in _entries(aside, sample.name):
        place = out / made.relative_to(aside)
        place.parent.mkdir(exist_ok=True)
        if place.is_dir():  # left by a run that was killed
            shutil.rmtree(place)
        os.replace(made, place)
    write_text(scene_file(out, sample.name), sample.scene.dump())


def _entries(aside: Path, name: str) -> Iterator[Path]:
    """Files, and folders that hold frames or truth, two levels down."""
    for folder in sorted(aside.iterdir()):
        yield from sorted(entry for entry in folder.iterdir() if entry.name.startswith(name))


def sweep(out: Path) -> None:
    """Remove what killed runs left aside."""
    for aside in out.glob(f"{_PARTIAL}*"):
        pid = aside.name.removeprefix(_PARTIAL)
        if _is_gone(pid):
            shutil.rmtree(aside, ignore_errors=True)
    for half in (*out.glob(f"{PARTIAL}*"), *out.glob(f"*/{PARTIAL}*")):
        if _is_gone(half.name.removeprefix(PARTIAL).split("-")[0]):
            half.unlink(missing_ok=True)


def _is_gone(pid: str) -> bool:
    return pid.isdigit() and not psutil.pid_exists(int(pid))
