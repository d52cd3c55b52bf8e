"""Slice videos as SAM 2's training reads them: JPEGImages/VIDEO/00000.jpg, ... and masks beside them.

Annotations/VIDEO/00000.png is a palette PNG whose indices are the objects, 0 for none; frames without one are left out.
Annotations/VIDEO/OBJECT/00000.png is a mask for each object instead, and they may overlap; a frame without one does
not show that object. `viscera generate --format sam2` adds a dataset.json, which names the indices and the spacing
(https://github.com/facebookresearch/sam2, training/dataset/vos_segment_loader.py: PalettisedPNGSegmentLoader,
MultiplePNGSegmentLoader.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from engine.dataset.sam2 import FRAMES, MASKS
from engine.errors import UserError
from engine.io import read_image, read_labels
from trainer.case import Case, case_of_pictures, label_names, modality_in
from trainer.layouts.layout import Layout, read_header

_FRAME_ENDINGS = (".jpg", ".jpeg")
_MASK = ".png"
_MOST_OBJECTS = 62  # that overlap as they like: a bit each of a label


@dataclass(frozen=True)
class Frames(Layout):
    """A folder of frame folders; a video is a volume whose slices are its frames."""

    looks = f"{FRAMES}/VIDEO/*.jpg with {MASKS}/VIDEO (SAM 2)"

    @staticmethod
    def holds(path: Path) -> bool:
        return (path / FRAMES).is_dir()

    @cached_property
    def entries(self) -> list[str]:
        """Names of the videos."""
        folder = self.path / FRAMES
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        if not names:
            raise UserError(f"{folder}: holds no video; each is a folder of frames, such as {FRAMES}/VIDEO/00000.jpg")
        for name in names:
            masks = self.path / MASKS / name
            if not masks.is_dir() or not any(masks.iterdir()):
                raise UserError(
                    f"{folder / name}: a video without masks; put them into {masks} ({masks.name}/00000{_MASK}, or "
                    f"{masks.name}/OBJECT/00000{_MASK}), or remove the video"
                )
        return names

    def read(self, index: int) -> Case:
        name = self.entries[index]
        frames = _by_number(self.path / FRAMES / name, _FRAME_ENDINGS)
        if not frames:
            raise UserError(f"{self.path / FRAMES / name}: holds no frame, such as 00000.jpg")
        masks = self.path / MASKS / name
        objects = sorted((entry for entry in masks.iterdir() if entry.is_dir()), key=_order)
        if objects:
            pixels = _stack(list(frames.values()))
            labels, structures = _overlapping(frames, objects, pixels.shape)
        else:
            files = _by_number(masks, (_MASK,))
            shown = [number for number in frames if number in files]
            if not shown:
                raise UserError(
                    f"{masks}: no mask has a frame's name; {next(iter(frames.values())).name} needs "
                    f"{next(iter(frames.values())).stem}{_MASK}"
                )
            pixels = _stack([frames[number] for number in shown])
            labels = _stack([files[number] for number in shown], pixels.shape[1:])
            structures = self._named or label_names(labels)
        return case_of_pictures(name, modality_in(name), pixels, labels, structures, self._spacing(name))

    @cached_property
    def _named(self) -> dict[str, tuple[int, ...]]:
        """Masks' indices by structure, where dataset.json names them."""
        labels = self._header.get("labels", {})
        groups = {name: tuple(v) if isinstance(v, list) else (v,) for name, v in labels.items()}
        return {name: values for name, values in groups.items() if values != (0,)}

    def _spacing(self, video: str) -> tuple[float, float, float] | None:
        """Of a video that Viscera made, SCENE_0001_MODALITY, in mm along x, y, z."""
        scenes = self._header.get("viscera", {}).get("settings", {}).get("scenes", {})
        spacing = scenes.get(video.rsplit("_", 2)[0], {}).get("spacing")
        return None if spacing is None else tuple(spacing)

    @cached_property
    def _header(self) -> dict[str, Any]:
        return read_header(self.path)


def _by_number(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    """Files of a folder by the number that is their name (`7` for 00007.jpg), in its order."""
    files = [file for file in folder.iterdir() if file.suffix.lower() in endings and not file.name.startswith(".")]
    return {file.stem.lstrip("0") or "0": file for file in sorted(files, key=_order)}


def _order(file: Path) -> tuple[int, str]:
    """2 comes before 10."""
    return (int(file.stem) if file.stem.isdecimal() else 0), file.name


def _stack(files: list[Path], shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Pictures as `[n, y, x]`: masks of `shape` where that is given, else frames, which must be of one shape."""
    slices: list[np.ndarray] = []
    wanted = shape
    for file in files:
        array = (read_image(file) if shape is None else read_labels(file))[0][0]
        wanted = wanted or array.shape
        if array.shape != wanted:
            sizes = " and ".join(f"{s[1]} x {s[0]}" for s in (array.shape, wanted))
            whose = "the video's first frame" if shape is None else "its frame"
            raise UserError(f"{file}: differs in shape from {whose} ({sizes} pixels); scale it to that")
        slices.append(array)
    return np.stack(slices)


def _overlapping(
    frames: dict[str, Path], objects: list[Path], shape: tuple[int, ...]
) -> tuple[np.ndarray, dict[str, tuple[int, ...]]]:
    """Labels `[n, y, x]` with a bit for each object, and the labels that hold an object's bit, by its name."""
    if len(objects) > _MOST_OBJECTS:
        raise UserError(f"{objects[0].parent}: holds {len(objects)} objects; {_MOST_OBJECTS} at most can be told apart")
    labels = np.zeros(shape, np.int64)
    for bit, folder in enumerate(objects):
        files = _by_number(folder, (_MASK,))
        if not any(number in files for number in frames):
            raise UserError(f"{folder}: no mask has a frame's name; {next(iter(frames.values())).stem}{_MASK} would do")
        for z, number in enumerate(frames):
            if number in files:
                labels[z] |= (_stack([files[number]], shape[1:])[0] != 0).astype(np.int64) << bit
    present = [int(value) for value in np.unique(labels)]
    return labels, {folder.name: tuple(v for v in present if v >> bit & 1) for bit, folder in enumerate(objects)}
