"""Writing a dataset: what is there is kept, what is missing is made."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from engine.atomic import write_text, writing
from engine.dataset import headers, nnunet, sam2, truth  # noqa: F401  (layouts register themselves)
from engine.dataset.case import Made, complete, sweep
from engine.dataset.pool import run
from engine.dataset.request import Request, Result, differences
from engine.errors import UserError
from engine.render.protocols import PROTOCOLS
from engine.scene.sample import Scattered

_HEADER = "dataset.json"


def generate(request: Request) -> Result:
    """Write the dataset that is asked for; volumes that are complete already are kept as they are.

    Raises:
        UserError: an impossible request, too little memory or disk, or a folder that holds something else.
        KeyboardInterrupt: on Ctrl-C, with a message; finished volumes stay, and the same call does the rest.
    """
    request.check()
    _check_folder(request)
    with writing(request.out):
        request.out.mkdir(parents=True, exist_ok=True)
        sweep(request.out)
    names = {job.name for job in request.jobs()}
    kept = [name for name in complete(request.out) if name in names]
    jobs = [job for job in request.jobs() if job.name not in kept]
    made: list[Made] = []
    _write_header(request)
    try:
        with _progress(len(names), len(kept)) as step:
            for each in run(jobs, request):
                made.append(each)
                _write_header(request)
                step()
    except KeyboardInterrupt:
        done = f"{len(names.intersection(complete(request.out)))} of {len(names)} volumes are complete in {request.out}"
        raise KeyboardInterrupt(f"stopped: {done}; run the same command again for the rest") from None
    finally:
        _write_header(request)
    return Result(request.out, tuple(each.name for each in made), tuple(kept), _unplaced(made))


def _unplaced(made: Iterable[Made]) -> dict[str, tuple[Scattered, ...]]:
    """By scene, the structures of which copies found no place, counted over all volumes."""
    sums: dict[str, dict[str, Scattered]] = {}
    for each in made:
        for one in each.scattered:
            of = sums.setdefault(each.scene, {})
            so_far = of.get(one.structure, Scattered(one.structure, 0, 0))
            of[one.structure] = replace(one, placed=so_far.placed + one.placed, asked=so_far.asked + one.asked)
    short = {scene: tuple(one for one in of.values() if one.placed < one.asked) for scene, of in sums.items()}
    return {scene: each for scene, each in short.items() if each}


def _check_folder(request: Request) -> None:
    """Refuse a folder that holds anything but this dataset."""
    out, file = request.out, request.out / _HEADER
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; name a folder")
    if not file.is_file():
        filled = [
            name
            for name in (*request.writer.folders, headers.FOLDER, truth.FOLDER, "scenes")
            if any((out / name).glob("*"))
        ]
        if filled:
            raise UserError(f"{out}: holds {', '.join(filled)} of something else; choose another folder")
        return
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))["viscera"]["settings"]
    except (ValueError, KeyError, TypeError, OSError):
        raise UserError(f"{out}: holds a dataset that was not made here; choose another folder") from None
    differing = differences(request.settings, settings)
    if differing:
        raise UserError(
            f"{out}: holds a dataset made with other settings ({'; '.join(differing[:4])}); "
            "choose another folder, or remove this one"
        )


def _write_header(request: Request) -> None:
    table, scenes = request.table, ", ".join(scene.name for scene in request.scenes)
    header = {
        "name": scenes,
        "description": f"synthetic volumes with exact labels, made by Viscera from {scenes}",
        **request.writer.header(request),
        "numTraining": len(complete(request.out)),
        "viscera": {
            "settings": request.settings,
            "units": {modality: PROTOCOLS[modality].unit for modality in request.modalities},
            "structures": {
                name: {
                    "labels": table.members(name),
                    "own": table.own(name),
                    "inside": table.parents(name),
                    "color": color,
                }
                for name, color in table.colors.items()
            },
            **({"organs": truth.organ_columns()} if "organs" in request.truth else {}),
        },
    }
    write_text(request.out / _HEADER, json.dumps(header, indent=2) + "\n")


@contextmanager
def _progress(total: int, done: int) -> Iterator[Callable[[], Any]]:
    """A function to call after each volume; draws a bar where standard error is a terminal."""
    columns = (TextColumn("generate"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:
        task = progress.add_task("generate", total=total, completed=done)
        yield lambda: progress.advance(task)
