"""A scene file that is drawn anew whenever it, or what was changed about it by hand, changes."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.generate import MODALITIES
from engine.scene import Scene
from engine.vary import Integer, LogNormal, Normal, Uniform, parse
from viewer.subject import Subject

#: Voxels along the longest axis of a preview, unless asked otherwise.
PREVIEW = 96


@dataclass(frozen=True)
class Settings:
    """What a user changed about a scene without editing its file.

    Args:
        seed: of the draw; the scene's own if None.
        variables: values of the scene's `vars`, in place of what the file says.
        off: structures, or groups of them, that are left out.
        phase: of the scene's motion; the scene's own if None.
    """

    seed: int | None = None
    variables: Mapping[str, float] = field(default_factory=dict)
    off: frozenset[str] = frozenset()
    phase: float | None = None

    def applied(self, scene: Scene) -> Scene:
        """The scene so changed; variables and structures that it does not have change nothing."""
        values = {name: value for name, value in self.variables.items() if name in scene.vars}
        left = {
            name: body.model_copy(update={"probability": 0.0}) if {name, body.group} & self.off else body
            for name, body in scene.structures.items()
        }
        return scene.model_copy(
            update={
                "vars": {**scene.vars, **values},
                "structures": left,
                **({} if self.phase is None else {"phase": self.phase}),
            }
        )


@dataclass(frozen=True)
class Order:
    """What is to be drawn.

    Args:
        path: of the scene.
        size: voxels along the longest axis.
        settings: what was changed by hand.
        modalities: images to make, the first one before the others.
        device: where kernels run.
    """

    path: Path
    size: int
    settings: Settings
    modalities: tuple[str, ...]
    device: str


@dataclass(frozen=True)
class Frame:
    """What a drawing gave.

    Args:
        subject: what was drawn, its images perhaps not all made yet; None where the file cannot be used.
        scene: as the file has it.
        drawn: the same as it was drawn, without distributions.
        variables: values of its `vars`.
        error: what is wrong with the file, located; empty where nothing is.
    """

    subject: Subject | None = None
    scene: Scene | None = None
    drawn: Scene | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Slider:
    """A variable of a scene that may be set by hand.

    Args:
        low, high: ends of what it varies between.
        value: where it stands.
        whole: whether it is a whole number.
    """

    name: str
    low: float
    high: float
    value: float
    whole: bool

    @property
    def shown(self) -> str:
        """The value as text."""
        return f"{self.value:.0f}" if self.whole else f"{self.value:.3g}"


class LiveScene:
    """A scene file, drawn in a process of its own whenever it changes. Close it when done.

    That process alone compiles and runs kernels (Taichi belongs to one thread), so who shows the scene never waits for
    it and outlives it.

    Args:
        path: of the scene.
        size: voxels along the longest axis.
        settings: to begin with.
        modalities: images to make, the first one before the others.
        device: where kernels run: `auto`, `cpu` or `cuda`.
    """

    def __init__(
        self,
        path: Path,
        size: int = PREVIEW,
        settings: Settings | None = None,
        modalities: Sequence[str] = MODALITIES,
        device: str = "auto",
    ) -> None:
        self.path = path
        self._order = Order(path.absolute(), size, settings or Settings(), tuple(modalities), device)
        self._frame: Frame | None = None
        self._lock = threading.Lock()
        self._open = True
        self._start()

    @property
    def settings(self) -> Settings:
        """What was changed so far."""
        return self._order.settings

    def change(self, settings: Settings) -> None:
        """Draw with other settings."""
        self._ask(replace(self._order, settings=settings))

    def first(self, modality: str) -> None:
        """Make images of `modality` before others from now on: it is the one looked at."""
        if modality in self._order.modalities[1:]:
            rest = (name for name in self._order.modalities if name != modality)
            self._ask(replace(self._order, modalities=(modality, *rest)))

    def poll(self) -> Frame | None:
        """The latest drawing, once; None where there is no news."""
        with self._lock:
            frame, self._frame = self._frame, None
        return frame

    def close(self) -> None:
        """Stop watching."""
        self._open = False
        self._process.kill()
        self._reader.join()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]

    def _start(self) -> None:
        command = [sys.executable, "-m", "viewer.drawer"]
        home = str(Path(__file__).parents[1])
        paths = os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths}
        )
        self._reader = threading.Thread(target=self._read, name=f"draws {self.path.name}", daemon=True)
        self._ask(self._order)
        self._reader.start()

    def _ask(self, order: Order) -> None:
        self._order = order
        pipe = self._process.stdin
        assert pipe is not None
        try:
            pickle.dump(order, pipe)
            pipe.flush()
        except OSError:  # the process died
            if self._open and self._process.poll() is not None:
                self._start()

    def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        while True:
            try:
                frame = pickle.load(pipe)
            except (EOFError, OSError, pickle.UnpicklingError):
                break
            self._publish(frame)
        if self._open:
            self._publish(Frame(error=f"{self.path}: drawing it ended the process that draws; is the memory full?"))

    def _publish(self, frame: Frame) -> None:
        with self._lock:
            self._frame = frame


def sliders(scene: Scene, drawn: Mapping[str, object]) -> list[Slider]:
    """The variables of a scene that are drawn from a range of numbers, where they stand in `drawn`.

    A range without end goes to three standard deviations from the middle.
    """
    found = []
    for name, given in scene.vars.items():
        distribution, value = parse(given), drawn.get(name)
        if isinstance(distribution, (Uniform, Integer, Normal, LogNormal)) and isinstance(value, (int, float)):
            low, high = _ends(distribution)
            found.append(Slider(name, low, high, float(value), isinstance(distribution, Integer)))
    return found


def _ends(distribution: Uniform | Integer | Normal | LogNormal) -> tuple[float, float]:
    low, high = distribution.support()
    if isinstance(distribution, Normal):
        mean, sd = distribution.normal
        low, high = max(low, mean - 3 * sd), min(high, mean + 3 * sd)
    if isinstance(distribution, LogNormal):
        median, sigma = distribution.lognormal
        low, high = max(low, median * math.exp(-3 * sigma)), min(high, median * math.exp(3 * sigma))
    return float(low), float(high)


def reseeded(settings: Settings, seed: int) -> Settings:
    """The same settings with another seed; variables set by hand are drawn again."""
    return replace(settings, seed=seed, variables={})
