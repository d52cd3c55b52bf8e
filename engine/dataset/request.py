"""What is asked for: which scenes, how many volumes, where and how."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engine.dataset.layout import LAYOUTS, Layout
from engine.dataset.table import Table
from engine.dataset.truth import TRUTHS, misnamed
from engine.errors import UserError
from engine.generate import MODALITIES
from engine.memory import require
from engine.scene import Scene
from engine.scene.model import GridSpec
from engine.scene.sample import Scattered

#: Peak memory of drawing a sample, bytes per voxel: geometry and files, and each image (measured at 160^3, rounded up).
_BYTES_BASE, _BYTES_IMAGE = 40, 70
#: What a phase keeps until its file is written, without images: the displacement, twice while it is packed, and labels.
_BYTES_PHASE = 25


@dataclass(frozen=True)
class Job:
    """One volume to make."""

    scene: Scene
    seed: int
    index: int

    @property
    def name(self) -> str:
        """File name without an ending."""
        return f"{self.scene.name}_{self.index:04d}"


@dataclass(frozen=True)
class Request:
    """A dataset to write.

    Args:
        scenes: as loaded; their names must differ.
        out: folder of the dataset.
        count: volumes of each scene.
        seed: of all draws; None takes each scene's own.
        modalities: images to make, in the order of their channels.
        layout: `nnunet` or `sam2`.
        size: voxels along the longest axis; None keeps each scene's own grid.
        spacing: mm between voxels; None keeps the field of view.
        truth: what to write of the truth beside the labels, see engine/dataset/truth.py; the order does not matter.
        phases: of the scenes' motions, written too, with the displacement; 0 for none.
        workers: processes that draw side by side, the CPU's threads divided between them.
        device: `auto`, `cpu` or `cuda`.
    """

    scenes: tuple[Scene, ...]
    out: Path
    count: int = 1
    seed: int | None = None
    modalities: tuple[str, ...] = MODALITIES
    layout: str = "nnunet"
    size: int | None = None
    spacing: float | None = None
    truth: tuple[str, ...] = ()
    phases: int = 0
    workers: int = 1
    device: str = "auto"

    def check(self) -> None:
        """Raise UserError where the request cannot be met; nothing is written."""
        names = [scene.name for scene in self.scenes]
        repeated = sorted({name for name in names if names.count(name) > 1})
        unknown = [m for m in self.modalities if m not in MODALITIES]
        truths = [kind for kind in self.truth if kind not in TRUTHS]
        rigid = [scene.name for scene in self.scenes if not scene.motion]
        drawn = [scene.name for scene in self.scenes if scene.drawn]
        problems = (
            (not names, "no scene was given; name a scene file"),
            (bool(repeated), f"two scenes are called '{', '.join(repeated)}'; files would collide: rename one"),
            (bool(unknown), f"modality '{', '.join(unknown)}' is unknown; use {', '.join(MODALITIES)}"),
            (not self.modalities, f"no modality was given; use one or more of {', '.join(MODALITIES)}"),
            (len(set(self.modalities)) < len(self.modalities), "a modality is listed twice; list each once"),
            (bool(truths), f"truth '{', '.join(truths)}' is unknown; use {', '.join(TRUTHS)}"),
            (len(set(self.truth)) < len(self.truth), "a kind of truth is listed twice; list each once"),
            (self.layout not in LAYOUTS, f"format '{self.layout}' is unknown; use {', '.join(LAYOUTS)}"),
            (self.count < 1, f"count is {self.count}; at least one volume is made"),
            (self.workers < 1, f"workers is {self.workers}; at least one process is needed"),
            (self.size is not None and self.size < 1, f"size is {self.size} voxels; it must be 1 or more"),
            (self.spacing is not None and self.spacing <= 0, f"spacing is {self.spacing} mm; it must be above 0"),
            (self.phases < 0 or self.phases == 1, f"phases is {self.phases}; a cycle has 2 or more"),
            (
                bool(rigid) and self.phases > 1,
                f"phases were asked for, but nothing moves in scene '{', '.join(rigid)}'; "
                "add `motion` to it, such as motion: [{breathing: {centre: [0, 0, 0], radii: [150, 110, 250]}}]",
            ),
            (bool(drawn) and self.count > 1, f"scene '{', '.join(drawn)}' varies in nothing; use a count of 1"),
        )
        for wrong, message in problems:
            if wrong:
                raise UserError(f"generate: {message}")
        wrong_names = misnamed(list(self.table.colors)) if {"distance", "normals"} & set(self.truth) else []
        if wrong_names:
            raise UserError(f"generate: structure '{wrong_names[0]}' cannot be part of a file's name; rename it")
        for scene in self.sized:
            self._check_memory(scene)

    def _check_memory(self, scene: Scene) -> None:
        bytes_per_voxel = _BYTES_BASE + _BYTES_IMAGE * len(self.modalities)
        bytes_per_voxel += self.phases * (_BYTES_PHASE + 2 * len(self.modalities))
        at_once = min(self.workers, self.count * len(self.scenes))
        what = f"scene '{scene.name}'" + (f", {at_once} at once" if at_once > 1 else "")
        require(scene.grid.grid().shape, bytes_per_voxel * at_once, what)

    @cached_property
    def sized(self) -> tuple[Scene, ...]:
        """The scenes, each on the grid that is asked for: what is saved regenerates what was made."""
        if self.size is None and self.spacing is None:
            return self.scenes
        return tuple(_on_grid(scene, self.size, self.spacing) for scene in self.scenes)

    @cached_property
    def table(self) -> Table:
        """The structures of all scenes and their labels."""
        return Table.of(self.scenes)

    @property
    def writer(self) -> Layout:
        """The layout."""
        return LAYOUTS[self.layout]

    def jobs(self) -> list[Job]:
        """Every volume of the dataset, scenes taking turns, so that a part of it is a fair sample."""
        return [
            Job(scene, scene.seed if self.seed is None else self.seed, index)
            for index in range(self.count)
            for scene in self.sized
        ]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Everything that decides the voxels, JSON-serialisable: datasets that differ in it must not be mixed."""
        return {
            "version": version("viscera"),
            "format": self.layout,
            "modalities": list(self.modalities),
            "truth": [kind for kind in TRUTHS if kind in self.truth],
            **({"phases": self.phases} if self.phases else {}),
            "scenes": {
                scene.name: _describe(scene, placed, self.seed)
                for scene, placed in zip(self.scenes, self.sized, strict=True)
            },
        }


@dataclass(frozen=True)
class Result:
    """What was done.

    Args:
        out: the folder.
        made: names of the volumes made now.
        kept: names of those that were there already.
        unplaced: by scene, the scattered structures of which copies found no place, counted over all volumes made.
    """

    out: Path
    made: tuple[str, ...]
    kept: tuple[str, ...]
    unplaced: dict[str, tuple[Scattered, ...]] = field(default_factory=dict)


def differences(here: Mapping[str, Any], there: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Lines `key: THERE there, HERE here` for every setting that differs."""
    lines = []
    for key in sorted({*here, *there}):
        a, b = here.get(key), there.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            lines += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            lines.append(f"{prefix}{key}: {_shown(b)} there, {_shown(a)} asked for")
    return lines


def _shown(value: Any) -> str:
    return "nothing" if value is None else "present" if isinstance(value, Mapping) else str(value)


def _on_grid(scene: Scene, size: int | None, spacing: float | None) -> Scene:
    grid = scene.grid.grid(size, spacing)
    return scene.model_copy(update={"grid": GridSpec(size=grid.size, spacing=grid.spacing)})


def _describe(scene: Scene, placed: Scene, seed: int | None) -> dict[str, Any]:
    """A scene and what it became on the grid that is asked for."""
    grid = placed.grid.grid()
    return {
        "seed": scene.seed if seed is None else seed,
        "size": list(grid.size),
        "spacing": list(grid.spacing),
        "content": hashlib.blake2b(scene.dump().encode(), digest_size=8).hexdigest(),
    }
