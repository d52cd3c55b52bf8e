"""Where clips come from: scenes drawn as they are needed, or a dataset on disk; one interface.

A source yields a handful of clips for each volume number, a pure function of (source, number): any number of worker
processes gives the same clips. `Feed` mixes the volumes and hands out batches.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from engine.errors import UserError
from engine.generate import draw
from engine.grid import Grid
from engine.random import Stream
from engine.scene import Scene
from trainer.cases import Case, Folder, cases_of
from trainer.clips import Clip, Cut, Cutter
from trainer.generators.synthfm import synthfm
from trainer.generators.synthfm3d import synthfm3d
from trainer.views import close_up

#: Rules for synthetic images, by the system they follow.
GENERATORS = {"synthfm": synthfm, "synthfm3d": synthfm3d}
_PIXELS = 96
_EMPTY = 20  # so many volumes in a row without one clip: the data cannot be trained on


@dataclass(frozen=True)
class Source(ABC):
    """Clips by volume number.

    Args:
        seed: of everything that is drawn.
        cut: how clips are cut.
        clips: clips a volume.
    """

    seed: int
    cut: Cut
    clips: int

    @abstractmethod
    def cases(self, number: int) -> Sequence[Case]:
        """The images of volume `number`, counted from 0 without end."""

    def take(self, number: int) -> list[Clip]:
        """The clips of volume `number`; where it shows nothing to follow, of a substitute that depends on it alone."""
        for attempt in range(_EMPTY):
            stream = Stream.of(self.seed, "clips", number, attempt)
            # substitutes come from far away in the sequence, so they repeat no neighbour
            clips = self._cut(self.cases(number + attempt * 1_000_003), stream.generator())
            if clips:
                return clips
        raise UserError(
            f"{self.describe()}: no structure of {self.cut.least} pixels or more at {self.cut.image_size} px "
            f"in {_EMPTY} volumes; are the labels empty?"
        )

    def _cut(self, cases: Sequence[Case], rng: np.random.Generator) -> list[Clip]:
        cutters = [Cutter(case, self.cut) for case in cases]
        drawn = (cutters[i % len(cutters)].draw(rng) for i in range(self.clips))
        found = [clip for clip in drawn if clip is not None]
        return [found[i % len(found)] for i in range(self.clips)] if found else []

    @abstractmethod
    def describe(self) -> str:
        """The source, in words for messages."""


@dataclass(frozen=True)
class StreamSource(Source):
    """Scenes, drawn and imaged when they are needed: nothing is stored and nothing repeats.

    Args:
        scenes: files, taken in turn. Worker processes read them themselves: scenes do not travel between processes.
        modalities: taken in turn, one image a volume; of a scene that says how it is imaged, those that it names.
        voxels: along the longest axis of the grid, instead of the scene's own number.
        close_ups: share of volumes that are scans of one structure.
    """

    scenes: tuple[Path, ...]
    modalities: tuple[str, ...]
    voxels: int | None = None
    close_ups: float = 0.0

    def cases(self, number: int) -> Sequence[Case]:
        scene = load_scene(self.scenes[number % len(self.scenes)])
        named = {protocol.modality for protocol in scene.acquire}
        usable = [m for m in self.modalities if m in named] or self.modalities
        modality = usable[number // len(self.scenes) % len(usable)]
        drawn = scene.sample(self.seed, number)
        return cases_of(draw(drawn, self.seed, number, (modality,), self._grid(drawn, modality, number)))

    def _grid(self, drawn: Scene, modality: str, number: int) -> Grid | None:
        rng = Stream.of(self.seed, "views", number).generator()
        if modality != "us" and rng.random() < self.close_ups:
            near = close_up(drawn, self.voxels or _PIXELS, rng)
            if near is not None:
                return near
        return drawn.grid.grid(longest=self.voxels) if self.voxels else None

    def describe(self) -> str:
        return f"scenes {', '.join(path.name for path in self.scenes)} (seed {self.seed})"


@dataclass(frozen=True)
class DiskSource(Source):
    """A dataset on disk, each pass over it in another order."""

    folder: Folder

    def cases(self, number: int) -> Sequence[Case]:
        count = len(self.folder)
        order = Stream.of(self.seed, "order", number // count).generator().permutation(count)
        return [self.folder[int(order[number % count])]]

    def describe(self) -> str:
        return f"{self.folder.path} (seed {self.seed})"


@dataclass(frozen=True)
class GeneratedSource(Source):
    """Images by the rules of `GENERATORS`."""

    generator: str

    def cases(self, number: int) -> Sequence[Case]:
        rng = Stream.of(self.seed, self.generator, number).generator()
        return [GENERATORS[self.generator](rng, f"{self.generator}_{number:04d}")]

    def describe(self) -> str:
        return f"generator {self.generator} (seed {self.seed})"


@lru_cache
def load_scene(path: Path) -> Scene:
    """The scene in a file, read once a process."""
    return Scene.load(path)
