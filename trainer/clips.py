"""Clips: short slice videos with objects to follow, cut from a case, and batches of them for SAM 2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from engine.picture import grey, windows
from engine.strict import Strict
from trainer.cases import Case
from trainer.compat import BatchedVideoDatapoint, BatchedVideoMetaData
from trainer.slices import AXES, Slicing, normalise

#: Windows that training draws from; the default one comes first and half of the time.
_WINDOWS = {"ct": ("abdomen", "mediastinum", "liver", "full"), "us": ("full", "bright")}
_TRIES = 8
_PART = 0.2  # a connected part with at least this share of its structure is an object of its own


class Cut(Strict):
    """How clips are cut.

    Args:
        image_size: pixels.
        frames: slices a clip; 1 is a still picture.
        objects: at most so many objects a clip.
        least: pixels an object must have on the first frame.
        step: at most so many slices between frames.
    """

    image_size: int = 128
    frames: int = 1
    objects: int = 1
    least: int = 40
    step: int = 4


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

    def draw(self, rng: np.random.Generator) -> Clip | None:
        """A clip, or None where no slice that was tried shows an object large enough."""
        for _ in range(_TRIES if self.objects else 0):
            slicing = Slicing(self.case.grid, AXES[rng.integers(3)], self.cut.image_size)
            indices = self._indices(slicing, rng)
            masks = self._masks(slicing, indices, rng)
            if masks is not None:
                window = self.windows[0] if rng.random() < 0.5 else self.windows[rng.integers(len(self.windows))]
                pictures = slicing.frames(grey(slicing.take(self.case.image, indices), window))
                frames = pictures.round().clamp(0, 255).to(torch.uint8).numpy()
                return Clip(f"{self.case.name} {slicing.axis}={list(map(int, indices))}", frames, masks)
        return None

    def _indices(self, slicing: Slicing, rng: np.random.Generator) -> np.ndarray:
        """Slices of a clip: it starts on one with a random object and runs up or down, turning back at an end."""
        chosen = self.objects[rng.integers(len(self.objects))]
        areas = np.count_nonzero(slicing.take(chosen, slice(None)), axis=(1, 2))
        start = int(rng.choice(len(areas), p=areas / areas.sum()))  # large slices more often, as readers prompt them
        stride = int(rng.integers(1, self.cut.step + 1)) * int(rng.choice((-1, 1)))
        run = start + stride * np.arange(self.cut.frames)
        period = max(1, 2 * (slicing.count - 1))
        return np.abs((run + slicing.count - 1) % period - (slicing.count - 1))

    def _masks(self, slicing: Slicing, indices: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
        """Masks `[T, O, S, S]` of up to `objects` objects that the first frame shows, or None."""
        masks = []
        for i in rng.permutation(len(self.objects)):
            slices = slicing.take(self.objects[i], indices)
            if slices[0].any():
                pictures = slicing.masks(slices)
                if int(pictures[0].sum()) >= self.cut.least:
                    masks.append(pictures.numpy())
            if len(masks) == self.cut.objects:
                break
        return np.stack(masks, axis=1) if masks else None


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
    return [known[name] for name in _WINDOWS.get(case.modality, known) if name in known]
