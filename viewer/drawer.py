"""The process that draws a scene for a viewer: orders come in on stdin, pickled, and drawings go out on stdout.

`python -m viewer.drawer`, started by `viewer.live`. It looks at the files of the scene's folder a few times a second.
"""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO

from engine.device import start
from engine.errors import UserError
from engine.generate import draw, imaged
from engine.scene import Scene
from viewer.live import Frame, Order
from viewer.subject import Subject

_LOOK_EVERY = 0.15  # seconds
_KINDS = frozenset({".yaml", ".yml", ".stl", ".obj", ".ply", ".off", ".glb"})


def drawings(order: Order) -> Iterator[Frame]:
    """The scene with its first image, then with all of them; or what is wrong."""
    try:
        start(order.device)
        scene = Scene.load(order.path)
        changed = order.settings.applied(scene)
        seed = scene.seed if order.settings.seed is None else order.settings.seed
        sample = draw(changed, seed, 0, order.modalities[:1], changed.grid.grid(order.size))
        yield Frame(sample, Subject.from_sample(sample), scene)
        if len(order.modalities) > 1:
            sample = imaged(sample, order.modalities)
            yield Frame(sample, Subject.from_sample(sample), scene)
    except UserError as error:
        yield Frame(error=str(error))
    except Exception as error:  # the window stays open, whatever a half-written scene leads to
        yield Frame(error=f"{order.path}: cannot be drawn ({type(error).__name__}: {error})")


def stamp(order: Order) -> tuple:
    """What changes when a file in the scene's folder does."""
    try:
        files = sorted(file for file in order.path.parent.iterdir() if file.suffix.lower() in _KINDS)
        return tuple((file.name, stat.st_mtime_ns, stat.st_size) for file in files for stat in (file.stat(),))
    except OSError:
        return ()  # a file that is just being replaced, or a folder that is gone: look again


def serve(orders: queue.Queue[Order | None], out: BinaryIO) -> None:
    """Draw the last order, again whenever a file changes, until an order is None."""
    order: Order | None = None
    done: tuple[Order, tuple] | None = None
    while True:
        try:
            order = orders.get(timeout=_LOOK_EVERY)
            if order is None:
                return
        except queue.Empty:
            pass
        while not orders.empty():
            order = orders.get()
            if order is None:
                return
        if order is None or (wanted := (order, stamp(order))) == done:
            continue
        if done is not None and _same_picture(order, done):
            done = wanted  # only which image comes first has changed
            continue
        done = wanted
        for frame in drawings(order):
            pickle.dump(frame, out, protocol=pickle.HIGHEST_PROTOCOL)
            out.flush()
            if not orders.empty() or stamp(order) != wanted[1]:
                break  # what comes next is out of date


def _same_picture(order: Order, done: tuple[Order, tuple]) -> bool:
    before, files = done
    return (order.settings, set(order.modalities), files) == (before.settings, set(before.modalities), stamp(order))


def _listen(source: BinaryIO, orders: queue.Queue[Order | None]) -> None:
    while True:
        try:
            orders.put(pickle.load(source))
        except (EOFError, OSError, pickle.UnpicklingError):
            orders.put(None)
            return


def main() -> None:
    """Serve one viewer until it closes its end of the pipe."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not get between the drawings
    orders: queue.Queue[Order | None] = queue.Queue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, orders), daemon=True).start()
    try:
        serve(orders, out)
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(0)


if __name__ == "__main__":
    main()
