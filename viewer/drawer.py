"""The process that draws a scene for a viewer: orders come in on stdin, pickled, and drawings go out on stdout.

`python -m viewer.drawer`, started by `viewer.live`. It looks at the files of the scene's folder twenty times a second.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from engine.device import start
from engine.errors import UserError
from engine.generate import draw, imaged
from engine.scene import Scene
from viewer.live import Frame, Order
from viewer.subject import Subject

_LOOK_EVERY = 0.05  # seconds
_KINDS = frozenset({".yaml", ".yml", ".stl", ".obj", ".ply", ".off", ".glb"})


def drawings(order: Order) -> Iterator[Frame]:
    """The scene with its first image, then with all of them; or what is wrong."""
    try:
        start(order.device)
        scene = Scene.load(order.path)
        changed = order.settings.applied(scene)
        seed = scene.seed if order.settings.seed is None else order.settings.seed
        sample = draw(changed, seed, 0, order.modalities[:1], changed.grid.grid(order.size))
        frame = Frame(Subject.from_sample(sample), scene, sample.scene, sample.variables)
        yield frame
        if len(order.modalities) > 1:
            yield replace(frame, subject=Subject.from_sample(imaged(sample, order.modalities)))
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
    order = orders.get()
    done: tuple | None = None
    while order is not None:
        files = stamp(order)
        wanted = (order.settings, files)  # which image comes first makes no other picture
        if wanted != done:
            done = wanted
            for frame in drawings(order):
                pickle.dump(frame, out, protocol=pickle.HIGHEST_PROTOCOL)
                out.flush()
                if not orders.empty() or stamp(order) != files:
                    done = None  # what comes next may be out of date: look again
                    break
        with contextlib.suppress(queue.Empty):
            order = orders.get(timeout=_LOOK_EVERY)
            while order is not None:
                order = orders.get_nowait()


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
