"""Slice videos as SAM 2's own training code reads them (PNGRawDataset): a folder of JPEG frames for each volume and
modality, and beside it palette PNG masks whose indices are labels. Frames run along z, from the feet to the head."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from engine.dataset.layout import Layout, register
from engine.generate import Sample
from engine.picture import grey, rgb_of, window_of

if TYPE_CHECKING:
    from engine.dataset.request import Request

FRAMES, MASKS = "JPEGImages", "Annotations"


def save(root: Path, sample: Sample, request: Request) -> None:
    """A video for each modality, grey values in the modality's default window."""
    labels = request.table.relabel(sample.volume)
    colors = palette(request)
    for modality in request.modalities:
        data = sample.images[modality].data.cpu().numpy()
        pixels = grey(data, window_of(data, modality))
        frames, masks = (root / folder / f"{sample.name}_{modality}" for folder in (FRAMES, MASKS))
        frames.mkdir(parents=True)
        masks.mkdir(parents=True)
        for z in range(len(pixels)):
            Image.fromarray(pixels[z]).convert("RGB").save(frames / f"{z:05d}.jpg", quality=95)
            mask = Image.fromarray(labels[z]).convert("P")
            mask.putpalette(colors)
            mask.save(masks / f"{z:05d}.png")


def palette(request: Request) -> list[int]:
    """Red, green, blue of 256 indices, one after the other; black where there is no structure."""
    colors = np.zeros((256, 3), np.uint8)
    for path, label in request.table.cells.items():
        colors[label] = rgb_of(request.table.colors[path[-1]])
    return colors.ravel().tolist()


def header(request: Request) -> dict[str, Any]:
    """Where the videos are and what the masks' indices mean."""
    labels = {name: request.table.members(name) for name in request.table.colors}
    return {"img_folder": FRAMES, "gt_folder": MASKS, "labels": {"background": 0, **labels}}


register("sam2", Layout(save, header, (FRAMES, MASKS)))
