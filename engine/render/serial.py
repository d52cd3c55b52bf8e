"""Arithmetic that gives the same bits for any number of threads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def serial() -> Iterator[None]:
    """Run torch's CPU operations on one thread; also a decorator.

    Its Fourier transforms and matrix products pick their algorithm by the number of threads, and the last bits of the
    result follow. At the sizes of volumes one thread is as fast; volumes are made in parallel processes.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
