"""Segmenting a scan from a file: image in, objects shown, labels out on the image's own grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import UserError
from engine.grid import Grid
from engine.io import read_image, read_labels, same_place
from engine.memory import require
from engine.numbers import numbers_of
from engine.picture import Window, grey, montage, overlay, window_of, write_png
from trainer import weights
from trainer.case import MODALITIES
from trainer.overlays import enlarge, flips, times_of, turned
from trainer.prompts import Point, Prompt, across, box_between, click_at, largest_slice, voxel_of
from trainer.record import Structure, marks_of, write_record
from trainer.segmenter import Segmenter
from trainer.slices import AXES

Numbers = tuple[float, ...]

#: Colours of objects in pictures, in turn (Okabe and Ito).
COLORS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
_AIR_HU, _FAT_HU = -900.0, -50.0
_BYTES = 8  # a voxel of the scan: its value and masks
_PICTURE_BYTES = 24  # a pixel of a slice's picture: three channels and features
_MOST = 255
_FORM = "[NAME=]X,Y,Z"
_SLICES_FORM = "[NAME=]FIRST,LAST"
_TILE = 400  # pixels of a picture's longer edge, about


@dataclass(frozen=True)
class Target:
    """What somebody shows of one object. Positions are x, y (, z) of the scan.

    Args:
        name: of the object.
        clicks: positions, each on the object (True) or off it (False). The first one on it says which slice is
            prompted where there is neither box nor mask; those on other slices correct what the object was there.
        box: one corner and the opposite one; prompted on its middle slice.
        mask: a file with the object on one slice or more; prompted on its largest one.
        slices: its first and last one, from 0; those of a box in space if left out.
    """

    name: str = "object"
    clicks: tuple[tuple[Numbers, bool], ...] = ()
    box: Numbers | None = None
    mask: Path | None = None
    slices: Numbers | None = None


def targets_of(
    points: Sequence[str] = (),
    outside: Sequence[str] = (),
    boxes: Sequence[str] = (),
    masks: Sequence[str] = (),
    slices: Sequence[str] = (),
) -> list[Target]:
    """What options say, each `[NAME=]VALUE`, object by object in the order of their first mention.

    Raises:
        UserError: where a value is no list of numbers, or an object has two boxes, masks or ranges of slices.
    """
    found: dict[str, Target] = {}
    asked = {"point": points, "not": outside, "box": boxes, "mask": masks, "slices": slices}
    for option, texts in asked.items():
        for text in texts:
            name, _, value = text.rpartition("=")
            target = found.setdefault(name or Target.name, Target(name or Target.name))
            if option in ("point", "not"):
                clicks = (*target.clicks, (numbers_of(option, value, _FORM), option == "point"))
                found[target.name] = replace(target, clicks=clicks)
            elif getattr(target, option) is not None:
                raise UserError(f"{target.name}: more than one {option}; name the objects (--{option} NAME=...)")
            else:
                form = _SLICES_FORM if option == "slices" else _FORM
                shown: dict[str, Any] = {option: Path(value) if option == "mask" else numbers_of(option, value, form)}
                found[target.name] = replace(target, **shown)
    return list(found.values())


def segment_file(
    model: str | Path,
    image: str | Path,
    out: str | Path,
    targets: Sequence[Target],
    axis: str = "z",
    world: bool = False,
    modality: str | None = None,
    picture: str | Path | None = None,
) -> np.ndarray:
    """Segment the objects that somebody shows; write their label map, and a record that `viscera view` opens.

    Args:
        model: a model folder, or an official SAM 2.1 `.pt` file.
        image: NIfTI, NRRD, MetaImage or PNG file, or a folder with one DICOM series.
        out: the label map's file: 1 for the first object and so on, on the image's grid; later ones win where they
            overlap.
        axis: the grid axis that slices are cut across.
        world: positions are mm on LPS+ axes instead of voxel indices from 0.
        modality: `ct`, `mr` or `us`; guessed from the grey values if left out.
        picture: PNG of each object on its prompted slice.

    Returns:
        The label map, uint8 `[z, y, x]`.

    Raises:
        UserError: where the input is unusable, the volume larger than memory, or the model finds nothing there.
    """
    _check(targets, modality)
    data, grid = read_image(image)
    prompts = [_prompt(grid, target, axis, world) for target in targets]
    segmenter = Segmenter(weights.load(model))
    require(grid.shape, _BYTES, str(image))
    require((across(data, axis).shape[0], segmenter.size, segmenter.size), _PICTURE_BYTES, str(image))
    kind = modality or guess_modality(data)
    window = window_of(data, kind)
    labels = np.zeros(grid.shape, np.uint8)
    for number, (target, (prompt, later)) in enumerate(zip(targets, prompts, strict=True), start=1):
        session = segmenter.open(data, grid, kind, prompt, window)
        for index, position, on in later:
            session.correct(position, on, index)
        mask = session.propagate()
        if not mask.any():
            raise UserError(f"{image}: the model finds no {target.name} there; try another click, or a box")
        labels[mask] = number
    marks = [mark for prompt, later in prompts for mark in marks_of(grid, prompt, later)]
    structures = {t.name: Structure((i,), _color(i)) for i, t in enumerate(targets, 1)}
    title = f"{Path(image).name}, segmented"
    write_record(Path(out), labels, grid, Path(image), kind, structures, marks, title)
    if picture is not None:
        _draw(Path(picture), data, grid, window, labels, targets, [prompt for prompt, _ in prompts])
    return labels


def guess_modality(image: np.ndarray) -> str:
    """`ct` where the values are Hounsfield units (air and tissue are both there), else `mr`."""
    low, high = np.percentile(image, (1, 99))
    return "ct" if low < _AIR_HU and high > _FAT_HU else "mr"


def _check(targets: Sequence[Target], modality: str | None) -> None:
    if not targets:
        raise UserError("nothing is shown; give a point, a box or a mask")
    if len(targets) > _MOST:
        raise UserError(f"{len(targets)} objects; a label map holds {_MOST}")
    if modality is not None and modality not in MODALITIES:
        raise UserError(f"modality '{modality}' is unknown; use {', '.join(MODALITIES)}")
    for target in targets:
        if target.box is not None and target.mask is not None:
            raise UserError(f"{target.name}: give either a box or a mask")
        if target.box is None and target.mask is None and not any(on for _, on in target.clicks):
            raise UserError(
                f"{target.name}: show it by a point on it, a box or a mask; points off it alone say nothing"
            )


def _prompt(grid: Grid, target: Target, axis: str, world: bool) -> tuple[Prompt, list[tuple[int, Point, bool]]]:
    """The prompt of a target's slice, and the clicks on other slices."""
    clicks = [(click_at(grid, _voxel(grid, position, world, target.name), axis), on) for position, on in target.clicks]
    if target.mask is not None:
        prompt = _masked(grid, target, axis)
    elif target.box is not None:
        half = len(target.box) // 2
        corners = [_voxel(grid, part, world, target.name, "box") for part in (target.box[:half], target.box[half:])]
        prompt = box_between(grid, corners[0], corners[1], axis)
    else:
        first = next(i for i, (_, on) in enumerate(clicks) if on)
        prompt = clicks.pop(first)[0]
    later = []
    for click, on in clicks:
        position = click.clicks[0][0]
        if click.index == prompt.index:
            prompt = prompt.clicked(position, on)
        else:
            later.append((click.index, position, on))
    prompt = _ended(grid, target, prompt, [index for index, _, _ in later])
    return prompt, later


def _ended(grid: Grid, target: Target, prompt: Prompt, later: Sequence[int]) -> Prompt:
    """The prompt with the object's ends, which hold all that was shown of it."""
    ends = prompt.ends
    if target.slices is not None:
        if len(target.slices) != 2 or not all(float(n).is_integer() for n in target.slices):
            raise UserError(f"{target.name}: slices are two numbers, the first and the last: {_SLICES_FORM}")
        first, last = sorted(map(int, target.slices))
        count = grid.size[AXES.index(prompt.axis)]
        if first < 0 or last >= count:
            raise UserError(f"{target.name}: slices {first} to {last}; across {prompt.axis} there are 0 to {count - 1}")
        ends = first, last
    for index in (prompt.index, *later):
        if ends is not None and not ends[0] <= index <= ends[1]:
            raise UserError(f"{target.name}: shown on slice {index}, outside its slices {ends[0]} to {ends[1]}")
    return replace(prompt, ends=ends)


def _masked(grid: Grid, target: Target, axis: str) -> Prompt:
    mask, place = read_labels(target.mask)  # type: ignore[arg-type]
    if not same_place(grid, place):
        raise UserError(f"{target.mask}: lies on another grid than the scan; draw the mask on the scan itself")
    if not mask.any():
        raise UserError(f"{target.mask}: the mask is empty")
    index = largest_slice(mask > 0, axis)
    return Prompt(axis, index, mask=across(mask > 0, axis)[index].copy())


def _voxel(grid: Grid, position: Numbers, world: bool, name: str, what: str = "point") -> tuple[float, float, float]:
    """Voxel index (x, y, z) of a position; pictures have two numbers."""
    flat = grid.size[2] == 1 and not world
    if len(position) == 2 and flat:
        position = (*position, 0.0)
    if len(position) != 3:
        needed = (3 - flat) * (2 if what == "box" else 1)
        given = len(position) * (2 if what == "box" else 1)
        raise UserError(f"{name}: a {what} has {needed} numbers, got {given}")
    x, y, z = position
    return voxel_of(grid, (x, y, z)) if world else (x, y, z)


def _color(number: int) -> str:
    return COLORS[(number - 1) % len(COLORS)]


def _draw(
    path: Path,
    data: np.ndarray,
    grid: Grid,
    window: Window,
    labels: np.ndarray,
    targets: Sequence[Target],
    prompts: Sequence[Prompt],
) -> None:
    """Every object's prompted slice with the label map laid over it."""
    colors = {i: _color(i) for i in range(1, len(targets) + 1)}
    tiles = []
    for prompt in prompts:
        image, mask = (turned(across(a, prompt.axis)[prompt.index], flips(grid, prompt.axis)) for a in (data, labels))
        times = times_of(image, _TILE)
        tiles.append(overlay(enlarge(grey(image, window), times), enlarge(mask, times), colors))
    captions = [f"{target.name}, slice {prompt.index}" for target, prompt in zip(targets, prompts, strict=True)]
    write_png(path, montage(tiles, captions, columns=min(4, len(tiles)), text_px=11))
