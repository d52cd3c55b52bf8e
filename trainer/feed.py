"""Batches of clips in a fixed order, made ahead of the trainer by worker processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import torch

from engine import device
from trainer.clips import Clip
from trainer.sources import Source

_source: Source  # of a worker process
_CPU = torch.device("cpu")
_VISIBLE = "CUDA_VISIBLE_DEVICES"


class Feed:
    """Batches of a source's clips.

    Clips of `mix` volumes are dealt in turn, so that a batch sees different volumes. Batch `i` is the same for any
    number of workers and for any batch that the feed started from. Where several processes train, each has volumes of
    its own, and makes no others.

    Args:
        source: of the clips.
        batch: clips a batch.
        workers: processes that make clips; 0 makes them here.
        mix: volumes that are dealt together.
        rank, ranks: of these training processes it is which.
        place: where workers draw volumes: the device that trains.
    """

    def __init__(
        self,
        source: Source,
        batch: int,
        workers: int = 0,
        mix: int = 8,
        rank: int = 0,
        ranks: int = 1,
        place: torch.device = _CPU,
    ) -> None:
        self.source, self.batch, self.workers, self.mix = source, batch, workers, mix
        self.rank, self.ranks, self.place = rank, ranks, place
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Feed:
        if self.workers:
            self._pool = ProcessPoolExecutor(
                self.workers,
                multiprocessing.get_context("spawn"),
                initializer=_begin,
                initargs=(self.source, self.place),
            )
        return self

    def __exit__(self, *_: Any) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def batches(self, start: int = 0) -> Iterator[list[Clip]]:
        """Batches from number `start` on, without end."""
        first = start * self.batch
        round_size = self.mix * self.source.clips
        rounds = self._rounds(first // round_size)
        clips = next(rounds)[first % round_size :]
        while True:
            while len(clips) < self.batch:
                clips += next(rounds)
            yield clips[: self.batch]
            clips = clips[self.batch :]

    def _rounds(self, number: int) -> Iterator[list[Clip]]:
        """Clips of `mix` volumes at a time, dealt in turn."""
        volumes = self._volumes(number * self.mix)
        while True:
            dealt = zip(*(next(volumes) for _ in range(self.mix)), strict=True)
            yield [clip for hand in dealt for clip in hand]

    def _volumes(self, number: int) -> Iterator[list[Clip]]:
        """The clips of this process's volume `number` and the following ones; workers run ahead by a round."""
        if self._pool is None:
            while True:
                yield self.source.take(number * self.ranks + self.rank)
                number += 1
        ahead: deque[Future[list[Clip]]] = deque()
        while True:
            while len(ahead) < self.mix + self.workers:
                ahead.append(self._pool.submit(_take, number * self.ranks + self.rank))
                number += 1
            try:
                yield ahead.popleft().result()
            except BrokenProcessPool:
                raise RuntimeError("a worker process that makes training data died; is the memory full?") from None


def _begin(source: Source, place: torch.device) -> None:
    """Set up a worker: one thread, one device, no say in Ctrl-C, and no life after the trainer's."""
    global _source
    _source = source
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    torch.set_num_threads(1)
    if place.type == "cuda":
        os.environ[_VISIBLE] = only(place, os.environ.get(_VISIBLE))
    device.start(place.type, threads=1)


def only(place: torch.device, visible: str | None) -> str:
    """What a worker may see of the trainer's `visible` CUDA devices, for Taichi takes the first: that which trains."""
    index = place.index or 0
    return visible.split(",")[index].strip() if visible else str(index)


def _die_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _take(number: int) -> list[Clip]:
    return _source.take(number)
