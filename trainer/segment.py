"""Segmenting one scan from a file: image in, prompt given, mask out on the image's own grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.errors import UserError
from engine.grid import Grid
from engine.io import read_image, write_labels
from trainer import weights
from trainer.cases import MODALITIES
from trainer.prompts import Prompt, box_between, click_at, voxel_of
from trainer.segmenter import Segmenter

_AIR_HU, _FAT_HU = -900.0, -50.0


def segment_file(
    model: str | Path,
    image: str | Path,
    out: str | Path,
    point: tuple[float, ...] | None = None,
    box: tuple[float, ...] | None = None,
    axis: str = "z",
    world: bool = False,
    modality: str | None = None,
) -> np.ndarray:
    """Segment the structure that a click or a box shows, and write its mask.

    Args:
        model: a model folder, or an official SAM 2.1 `.pt` file.
        image: NIfTI, NRRD, MetaImage or PNG file, or a folder with one DICOM series.
        out: the mask's file: 1 inside, 0 outside, on the image's grid.
        point: x, y, z of a click.
        box: x, y, z of one corner and x, y, z of the opposite one; prompted on its middle slice.
        axis: the grid axis that slices are cut across.
        world: positions are mm on LPS+ axes instead of voxel indices from 0.
        modality: `ct`, `mr` or `us`; guessed from the grey values if left out.

    Returns:
        The mask, boolean `[z, y, x]`.

    Raises:
        UserError: where the input is unusable, or the model finds nothing there.
    """
    if (point is None) == (box is None):
        raise UserError("give either a point or a box")
    if modality is not None and modality not in MODALITIES:
        raise UserError(f"modality '{modality}' is unknown; use {', '.join(MODALITIES)}")
    data, grid = read_image(image)
    prompt = _prompt(grid, point, box, axis, world)
    mask = Segmenter(weights.load(model)).segment(data, grid, modality or guess_modality(data), prompt)
    if not mask.any():
        raise UserError(f"{image}: the model finds no structure there; try another click, or a box")
    write_labels(out, mask, grid)
    return mask


def guess_modality(image: np.ndarray) -> str:
    """`ct` where the values are Hounsfield units (air and tissue are both there), else `mr`."""
    low, high = np.percentile(image, (1, 99))
    return "ct" if low < _AIR_HU and high > _FAT_HU else "mr"


def _prompt(
    grid: Grid, point: tuple[float, ...] | None, box: tuple[float, ...] | None, axis: str, world: bool
) -> Prompt:
    numbers = point or box or ()
    needed = 3 if point is not None else 6
    if len(numbers) != needed:
        raise UserError(f"a {'point' if needed == 3 else 'box'} has {needed} numbers, got {len(numbers)}")
    corners = [_triple(numbers[i : i + 3]) for i in range(0, needed, 3)]
    voxels = [voxel_of(grid, corner) for corner in corners] if world else corners
    return click_at(grid, voxels[0], axis) if needed == 3 else box_between(grid, voxels[0], voxels[1], axis)


def _triple(numbers: tuple[float, ...]) -> tuple[float, float, float]:
    x, y, z = numbers
    return x, y, z
