"""Benchmark of writing a dataset: what files cost beside drawing, and what a second process brings."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.bench import Cost, row
from engine.dataset.generate import generate
from engine.dataset.request import Request
from engine.generate import draw
from engine.scene import Scene

_SCENE = Path(__file__).parents[2] / "scenes" / "abdomen.yaml"
_SIZE, _COUNT = 64, 16
_MODALITIES = ("ct", "mr")


def bench_generate() -> list[dict[str, Any]]:
    """Volumes drawn and imaged in this process, and the same written by one process and by two; figures of a volume."""
    scene = Scene.load(_SCENE)
    grid = scene.grid.grid(_SIZE)

    def drawn() -> None:
        for index in range(_COUNT):
            draw(scene, scene.seed, index, _MODALITIES, grid)

    with tempfile.TemporaryDirectory() as folder:

        def written(workers: int) -> Callable[[], object]:
            request = Request(
                (scene,), Path(folder, str(workers)), _COUNT, None, _MODALITIES, size=_SIZE, workers=workers
            )
            return lambda: generate(request)

        drawn()  # fills caches
        own, one, two = (_cost(work) for work in (drawn, written(1), written(2)))
    return [
        row(f"a volume of `abdomen` at {_SIZE}^3 drawn, as CT and MR", own, own),
        row(f"the same written as files, {_COUNT} in a run of one process", one, own),
        row(f"the same written as files, {_COUNT} in a run of two processes, their start included", two, own),
    ]


def _cost(work: Callable[[], object]) -> Cost:
    """What a volume costs, processes that have ended included."""
    wall, cpu = time.perf_counter(), _cpu()
    work()
    return Cost((time.perf_counter() - wall) / _COUNT, (_cpu() - cpu) / _COUNT)


def _cpu() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)
