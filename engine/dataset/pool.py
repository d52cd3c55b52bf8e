"""Drawing volumes side by side: processes with Taichi runtimes of their own, the CPU's threads divided between them."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool

import torch

from engine import device, interrupts
from engine.dataset.case import Made, make
from engine.dataset.request import Job, Request
from engine.errors import UserError


def run(jobs: Sequence[Job], request: Request) -> Iterator[Made]:
    """The volumes as they are finished; the voxels do not depend on the number of workers."""
    workers = min(request.workers, len(jobs))
    if workers > 1:
        yield from _run_processes(jobs, request, workers)
        return
    device.start(request.device)
    for job in jobs:
        yield make(job, request)


def _run_processes(jobs: Sequence[Job], request: Request, workers: int) -> Iterator[Made]:
    threads = max(1, (os.cpu_count() or 1) // workers)
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _begin, (request.device, threads)
    )
    try:
        with interrupts.ignored():  # processes inherit it: Ctrl-C lets the volumes under way finish
            futures = [pool.submit(make, job, request) for job in jobs]
        for future in concurrent.futures.as_completed(futures):
            yield future.result()
    except BrokenProcessPool:
        raise UserError(
            "generate: a worker process was ended from outside (out of memory?); use fewer workers or a smaller size, "
            "and run the same command again for the rest"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(name: str, threads: int) -> None:
    """Prepare a worker."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    device.start(name, threads)


def _end_with_parent() -> None:
    """Leave when the parent is gone: nobody would read the results."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
