"""A scene file drawn anew whenever it changes, in a thread of its own, so that what shows it never waits."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.errors import UserError
from engine.generate import MODALITIES, Sample, draw, imaged
from engine.scene import Scene
from engine.vary import Integer, LogNormal, Normal, Uniform, parse
from viewer.subject import Subject

#: Voxels along the longest axis of a preview, unless asked otherwise.
PREVIEW = 96
_LOOK_EVERY = 0.15  # seconds between looks at the files
_KINDS = frozenset({".yaml", ".yml", ".stl", ".obj", ".ply", ".off", ".glb"})


@dataclass(frozen=True)
class Settings:
    """What a user changed about a scene without editing its file.

    Args:
        seed: of the draw; the scene's own if None.
        variables: values of the scene's `vars`, in place of what the file says.
        off: structures that are left out.
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
            name: body.model_copy(update={"probability": 0.0}) if name in self.off else body
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
class Frame:
    """What a drawing gave.

    Args:
        sample: what was drawn, its images perhaps not all made yet; None where the file cannot be used.
        subject: the same to look at.
        scene: as the file has it.
        error: what is wrong with the file, located; empty where nothing is.
    """

    sample: Sample | None = None
    subject: Subject | None = None
    scene: Scene | None = None
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


class LiveScene:
    """A scene file, watched. Close it when done.

    Args:
        path: of the scene.
        size: voxels along the longest axis.
        settings: to begin with.
        modalities: images to make, the first one before the others.
    """

    def __init__(
        self,
        path: Path,
        size: int = PREVIEW,
        settings: Settings | None = None,
        modalities: Sequence[str] = MODALITIES,
    ) -> None:
        self.path, self.size = path, size
        self._settings, self._modalities = settings or Settings(), tuple(modalities)
        self._frame: Frame | None = None
        self._taken = True
        self._lock, self._wake = threading.Lock(), threading.Event()
        self._open = True
        self._thread = threading.Thread(target=self._run, name=f"draws {path.name}", daemon=True)
        self._thread.start()

    @property
    def settings(self) -> Settings:
        """What was changed so far."""
        return self._settings

    def change(self, settings: Settings) -> None:
        """Draw with other settings."""
        self._settings = settings
        self._wake.set()

    def first(self, modality: str) -> None:
        """Make images of `modality` before others from now on: it is the one looked at."""
        if modality in self._modalities:
            self._modalities = (modality, *(name for name in self._modalities if name != modality))

    def poll(self) -> Frame | None:
        """The latest drawing, once; None where there is no news."""
        with self._lock:
            taken, self._taken = self._taken, True
            return None if taken else self._frame

    def close(self) -> None:
        """Stop watching; waits for a drawing that is under way."""
        self._open = False
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        drawn: tuple[object, Settings] | None = None
        while self._open:
            wanted = (self._stamp(), self._settings)
            if wanted != drawn:
                drawn = wanted
                for frame in self._draw(wanted[1]):
                    self._publish(frame)
                    if not self._open or (self._stamp(), self._settings) != wanted:
                        break  # what comes next is out of date
            self._wake.wait(_LOOK_EVERY)
            self._wake.clear()

    def _draw(self, settings: Settings) -> Iterator[Frame]:
        """The scene with the first image, then with all of them; or what is wrong."""
        try:
            scene = Scene.load(self.path)
            changed = settings.applied(scene)
            seed = scene.seed if settings.seed is None else settings.seed
            sample = draw(changed, seed, 0, self._modalities[:1], changed.grid.grid(self.size))
            yield Frame(sample, Subject.from_sample(sample), scene)
            if len(self._modalities) > 1:
                sample = imaged(sample, self._modalities)
                yield Frame(sample, Subject.from_sample(sample), scene)
        except UserError as error:
            yield Frame(error=str(error))
        except Exception as error:  # the window stays open, whatever a half-written scene leads to
            yield Frame(error=f"{self.path}: cannot be drawn ({type(error).__name__}: {error})")

    def _publish(self, frame: Frame) -> None:
        with self._lock:
            self._frame, self._taken = frame, False

    def _stamp(self) -> tuple:
        """What changes when a file in the scene's folder does."""
        folder = self.path.parent
        try:
            files = sorted(file for file in folder.iterdir() if file.suffix.lower() in _KINDS)
            return tuple((file.name, stat.st_mtime_ns, stat.st_size) for file in files for stat in (file.stat(),))
        except OSError:
            return ()  # a file that is just being replaced, or a folder that is gone: look again


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
