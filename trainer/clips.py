"""Clips: short slice videos with objects to follow, cut from a case, and batches of them for SAM 2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from engine.picture import grey, windows
from engine.strict import Strict
from trainer.case import Case
from trainer.compat import BatchedVideoDatapoint, BatchedVideoMetaData
from trainer.prompts import box_around
from trainer.slices import AXES, Slicing, normalise

#: Windows that training draws from; the default one comes first and half of the time.
_WINDOWS = {"ct": ("abdomen", "mediastinum", "liver", "full"), "us": ("full", "bright")}
_TRIES = 8
_WIDER = (1.2, 5.0)  # edge of a crop over the longer side of its first object
_ACROSS = (0.2, 0.2, 0.6)  # shares of clips across x, y and z: readers page along z
_WINDOWING = 0.08  # sd of a window's shift and widening, as shares of its width
_SURROUNDINGS, _DARK = 5, 12  # pixels, and grey values that say nothing in ultrasound
_OUT = 0.75  # share of clips that run towards the nearer end of their object
_PART = 0.2  # a connected part with at least this share of its structure is an object of its own


class Cut(Strict):
    """How clips are cut.

    Args:
        image_size: pixels.
        frames: slices a clip; 1 is a still picture.
        objects: at most so many objects a clip.
        least: pixels an object must have on the first frame.
        step: at most so many slices from frame to frame; half as often two as one.
        crops: share of clips that show a square about their first object instead of whole slices: SAM 2 then learns to
            look closely, as `Segmenter` does.
    """

    image_size: int = 128
    frames: int = 1
    objects: int = 1
    least: int = 40
    step: int = 4
    crops: float = 0.0


@dataclass(frozen=True)
class Clip:
    """A slice video and its objects.

    Args:
        origin: where it came from, for messages.
        frames: uint8 `[T, S, S]`, windowed.
        masks: bool `[T, O, S, S]`; every object is on the first frame, later ones may have left it.
    """

    origin: str
    frames: np.ndarray
    masks: np.ndarray


class Cutter:
    """Cuts clips from one case; finds its objects once."""

    def __init__(self, case: Case, cut: Cut) -> None:
        self.case, self.cut = case, cut
        self.objects = [part for name in case.structures for part in parts(case.mask(name))]
        self.windows = _usable_windows(case)
        self.any_axis = case.axes == "xyz" and min(case.grid.size) > 1

    def draw(self, rng: np.random.Generator) -> Clip | None:
        """A clip, or None where no slice that was tried shows an object large enough."""
        for _ in range(_TRIES if self.objects else 0):
            axis = AXES[rng.choice(3, p=_ACROSS)] if self.any_axis else "z"
            slicing = Slicing(self.case.grid, axis, self.cut.image_size)
            first = int(rng.integers(len(self.objects)))
            indices = self._indices(slicing, self.objects[first], rng)
            if rng.random() < self.cut.crops:
                slicing = _crop(slicing, slicing.take(self.objects[first], indices[:1])[0], rng)
            frames = self._frames(slicing, indices, rng)
            masks = self._masks(slicing, indices, first, frames[0], rng)
            if masks is not None:
                frames, masks = _turned(frames, masks, rng)
                return Clip(f"{self.case.name} {slicing.axis}={list(map(int, indices))}", frames, masks)
        return None

    def _frames(self, slicing: Slicing, indices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Pictures uint8 `[T, S, S]` in one of the windows, none of which two readers set alike."""
        low, high = self.windows[0] if rng.random() < 0.5 else self.windows[rng.integers(len(self.windows))]
        shift, width = rng.normal(0.0, _WINDOWING, 2) * (high - low)
        pictures = slicing.frames(grey(slicing.take(self.case.image, indices), (low + shift, high + shift + width)))
        return pictures.round().clamp(0, 255).to(torch.uint8).numpy()

    def _indices(self, slicing: Slicing, chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Slices of a clip: it starts on one that shows `chosen` and runs up or down, turning back at an end."""
        areas = np.count_nonzero(slicing.take(chosen, slice(None)), axis=(1, 2))
        start = int(rng.choice(len(areas), p=areas / areas.sum()))  # large slices more often, as readers prompt them
        often = 1.0 / np.arange(1, self.cut.step + 1)  # in use no slice is left out
        stride = int(rng.choice(self.cut.step, p=often / often.sum()) + 1)
        shown = np.flatnonzero(areas)
        out = 1 if shown[-1] - start < start - shown[0] else -1  # to the nearer end, past which there is no object
        run = start + stride * (out if rng.random() < _OUT else -out) * np.arange(self.cut.frames)
        period = max(1, 2 * (slicing.count - 1))
        return np.abs((run + slicing.count - 1) % period - (slicing.count - 1))

    def _masks(
        self, slicing: Slicing, indices: np.ndarray, first: int, shown: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray | None:
        """Masks `[T, O, S, S]` of object `first` and up to `objects` in all that the first frame, `shown`, shows."""
        others = [int(i) for i in rng.permutation(len(self.objects)) if i != first]
        masks = []
        for i in [first, *others]:
            slices = slicing.take(self.objects[i], indices)
            if slices[0].any():
                pictures = slicing.masks(slices).numpy()
                if pictures[0].sum() >= self.cut.least and (self.case.modality != "us" or _lit(pictures[0], shown)):
                    masks.append(pictures)
            if len(masks) == self.cut.objects:
                break
        return np.stack(masks, axis=1) if masks else None


def _lit(mask: np.ndarray, picture: np.ndarray) -> bool:
    """Whether ultrasound reaches an object: most of its surroundings are neither off the sector nor in shadow."""
    around = ndimage.binary_dilation(mask, iterations=_SURROUNDINGS) & ~mask
    return bool((picture[around] > _DARK).mean() >= 0.6) if around.any() else False


def _turned(frames: np.ndarray, masks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Both, mirrored or transposed at random: files and planes come in every orientation."""
    if rng.random() < 0.5:
        frames, masks = frames[..., ::-1], masks[..., ::-1]
    if rng.random() < 0.3:
        frames, masks = frames.swapaxes(-1, -2), masks.swapaxes(-1, -2)
    return np.ascontiguousarray(frames), np.ascontiguousarray(masks)


def _crop(slicing: Slicing, mask: np.ndarray, rng: np.random.Generator) -> Slicing:
    """The slices cropped about a mask `[rows, columns]`, which need not lie in the middle."""
    box = box_around(mask)
    edge = slicing.edge_mm(box, math.exp(rng.uniform(*np.log(_WIDER))))
    pixel = np.array([slicing.grid.spacing[i] for i in slicing.columns_rows])
    right, down = rng.uniform(-0.3, 0.3, 2) * max(edge - slicing.longer_mm(box), 0.0) / pixel
    return slicing.around((box[0] + right, box[1] + down, box[2] + right, box[3] + down), edge)


def parts(mask: np.ndarray) -> list[np.ndarray]:
    """The objects that a structure's mask `[z, y, x]` shows to one who clicks: its large connected parts."""
    labelled, count = ndimage.label(mask)
    if count <= 1:
        return [mask] if count else []
    sizes = np.bincount(labelled.ravel())[1:]
    return [labelled == i + 1 for i in np.flatnonzero(sizes >= _PART * sizes.sum())]


def batch_of(clips: Sequence[Clip]) -> BatchedVideoDatapoint:
    """SAM 2's batch of clips with the same number of frames; objects of all clips stand in one row."""
    frames = torch.from_numpy(np.stack([clip.frames for clip in clips], axis=1))  # [T, B, S, S]
    masks = torch.from_numpy(np.concatenate([clip.masks for clip in clips], axis=1))  # [T, O, S, S]
    count, total, size = masks.shape[0], masks.shape[1], masks.shape[2]
    owner = torch.tensor([i for i, clip in enumerate(clips) for _ in range(clip.masks.shape[1])])
    time = torch.arange(count)[:, None].expand(count, total)
    owners = owner[None].expand(count, total)
    numbers = torch.arange(total)[None].expand(count, total)
    return BatchedVideoDatapoint(
        img_batch=normalise(frames.float() / 255.0),  # [T, B, 3, S, S]
        obj_to_frame_idx=torch.stack([time, owners], dim=-1).int(),
        masks=masks,
        metadata=BatchedVideoMetaData(
            unique_objects_identifier=torch.stack([owners, numbers, time], dim=-1),
            frame_orig_size=torch.full((count, total, 2), size),
            batch_size=[count],
        ),
        dict_key="clips",
        batch_size=[count],
    )


def _usable_windows(case: Case) -> list[tuple[float, float]]:
    known = windows(case.image, case.modality)
    if case.windowed:
        return list(known.values())[:1]
    return [known[name] for name in _WINDOWS.get(case.modality, known) if name in known]
