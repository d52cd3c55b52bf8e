"""Ctrl-C where it must not cut something in two."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def ignored() -> Iterator[None]:
    """A block, and the processes started in it, that Ctrl-C does not reach."""
    with _handled_by(signal.SIG_IGN):
        yield


@contextmanager
def deferred() -> Iterator[None]:
    """A block that Ctrl-C does not cut in two: KeyboardInterrupt is raised at its end instead."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a worker's
        yield
        return
    pressed: list[int] = []
    with _handled_by(lambda number, _: pressed.append(number)):
        yield
    if pressed:
        raise KeyboardInterrupt


@contextmanager
def _handled_by(handler: Any) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # others never see interrupts
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
