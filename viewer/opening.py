"""Opening what a user names: a scene, a generated dataset, or any image with or without labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.dataset import phases
from engine.dataset.case import scene_file
from engine.errors import UserError
from engine.generate import MODALITIES, Sample, draw
from engine.grid import Grid
from engine.io import count_phases, read_image, read_labels, read_phases, same_place
from engine.scene import Scene
from engine.volume import Volume
from viewer.case import cases_of, open_case
from viewer.live import PREVIEW, LiveScene, Settings
from viewer.moments import moments_of
from viewer.results import open_result, records_in, results
from viewer.sources import Draws, Source, Still, cases
from viewer.subject import Subject

_LABEL_MARKS = ("_labels", "_label", "_seg", "-labels", "-label", "-seg")
_COMPRESSED = ".gz"
#: CT numbers of air lie below this; no other modality has such values.
_AIR_HU = -300.0


def open_subject(
    target: str | Path | Sample | Volume | Subject,
    modality: str | None = None,
    size: int | None = None,
    seed: int | None = None,
    labels: str | Path | None = None,
) -> Subject:
    """What `target` holds.

    Args:
        target: path of a scene (.yaml), of a dataset's folder (its first case) or one of its files, of an evaluation or
            another result (the worst), of an image or a folder with a DICOM series; or what is already in memory.
        modality: the only image to make of a scene; of a file, what it is (`ct`, `mr`, `us`) where that is not plain.
        size: voxels along the longest axis of a scene; the scene's own unless given.
        seed: of a scene; the scene's own unless given.
        labels: file with the image's labels; found beside the image unless given.
    """
    if isinstance(target, Subject):
        return target
    if isinstance(target, Sample):
        return Subject.from_sample(target)
    if isinstance(target, Volume):
        return Subject.from_volume(target)
    path = Path(target)
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    if _is_scene(path):
        return _open_scene(path, MODALITIES if modality is None else (modality,), size, seed)
    case = _case_of(path)
    if case is None and labels is None and (records := records_in(path)):
        return open_result(records[0])
    return _open_image(path, modality, labels) if case is None or labels is not None else open_case(*case)


def open_source(
    target: str | Path | Sample | Volume | Subject,
    modality: str | None = None,
    size: int | None = None,
    seed: int | None = None,
    labels: str | Path | None = None,
    device: str = "auto",
) -> Source:
    """What a window shows: a scene's draws, a dataset's cases, results, or one subject; arguments as of `open_subject`.

    Args:
        device: where scenes are drawn.
    """
    if isinstance(target, (str, Path)):
        path = Path(target)
        if _is_scene(path):
            scene = Scene.load(path)  # a file that is wrong from the start opens no window
            own = max(scene.grid.size)
            order = (modality,) if modality else MODALITIES
            return Draws(LiveScene(path, size or min(own, PREVIEW), Settings(seed=seed), order, device))
        case = _case_of(path) if path.exists() and labels is None else None
        if case is not None:
            return cases(*case)
        if path.exists() and labels is None and (records := records_in(path)):
            return results(records)
    return Still(open_subject(target, modality, size, seed, labels))


def open_anatomy(target: str | Path, size: int | None = None, seed: int | None = None) -> Subject:
    """The labels alone of a scene, of a dataset's case or of a label map.

    A case that Viscera made is voxelised again from its drawn scene, since its label map lacks the coverage.
    """
    path = Path(target)
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    if _is_scene(path):
        return _open_scene(path, (), size, seed)
    case = _case_of(path)
    if case is None:
        labels, grid = read_labels(path)
        return Subject.from_arrays(grid, {}, labels, name=_stem(path))
    drawn = scene_file(*case)
    return replace(_open_scene(drawn, (), size, seed), name=case[1]) if drawn.is_file() else open_case(*case)


def _is_scene(path: Path) -> bool:
    return path.suffix.lower() in (".yaml", ".yml")


def _open_scene(path: Path, modalities: Sequence[str], size: int | None, seed: int | None) -> Subject:
    scene = Scene.load(path)
    sample = draw(scene, scene.seed if seed is None else seed, 0, modalities, scene.grid.grid(size))
    return Subject.from_sample(sample)


def _case_of(path: Path) -> tuple[Path, str] | None:
    """The dataset's folder and the case's name that `path` stands for, or None if it is no part of a dataset."""
    if path.is_dir():
        if not (path / "dataset.json").exists():
            return None
        return path, cases_of(path)[0]
    folder = path.parent
    if not (folder.parent / "dataset.json").exists():
        return None
    if folder.name.startswith("images"):
        return folder.parent, _stem(path).rpartition("_")[0]
    if folder.name == phases.IMAGES:
        return folder.parent, _stem(path).rpartition("_")[0]
    return (folder.parent, _stem(path)) if folder.name.startswith("labels") else None


def _open_image(path: Path, modality: str | None, labels: str | Path | None) -> Subject:
    data, grid = _first(path, read_image, labels=False)
    file = Path(labels) if labels is not None else _labels_beside(path)
    found = None if file is None else _labels_on(grid, file)
    name = modality or _modality_of("", data)
    subject = Subject.from_arrays(grid, {name: data}, found, name=_stem(path))
    return replace(subject, moments=moments_of(grid, {name: path}, file))


def _first(path: Path, read: Callable[[Path], tuple[np.ndarray, Grid]], labels: bool) -> tuple[np.ndarray, Grid]:
    """What a file holds, of several phases the first."""
    if count_phases(path) == 1:
        return read(path)
    every, grid = read_phases(path, labels)
    return every[0], grid


def _labels_on(grid: Grid, file: Path) -> np.ndarray:
    labels, own = _first(file, read_labels, labels=True)
    if not same_place(grid, own):
        sizes = [" x ".join(map(str, g.size)) for g in (own, grid)]
        raise UserError(
            f"{file}: does not lie on the image's grid ({sizes[0]} and {sizes[1]} voxels, or another place); "
            "resample the labels to the image"
        )
    return labels


def _labels_beside(path: Path) -> Path | None:
    stem, ending = _stem(path), path.name[len(_stem(path)) :]
    beside = (path.with_name(f"{stem}{mark}{ending}") for mark in _LABEL_MARKS)
    return next((file for file in beside if file.is_file()), None)


def _modality_of(title: str, data: np.ndarray) -> str:
    """The channel's name in lower case (`ct`, `mr`, `us`, `t1`); without a name `ct` or `mr` as the values suggest."""
    return title.lower() or ("ct" if float(data.min()) < _AIR_HU else "mr")


def _stem(path: Path) -> str:
    name = path.name
    if name.lower().endswith(_COMPRESSED):
        name = name[: -len(_COMPRESSED)]
    return name if path.is_dir() else Path(name).stem
