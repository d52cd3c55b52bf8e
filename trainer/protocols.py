"""Protocols: what somebody shows of a structure before the model is measured, made from its true mask.

Each is prompted once, on the structure's largest slice; corrections follow on the same slice. What a protocol draws at
random comes from a stream that the caller names, so the same case gets the same prompts from every model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from engine.errors import UserError
from engine.random import Stream
from trainer.baselines import COPY, ELLIPSE, REGION
from trainer.prompts import Point, Prompt, across, box_around, central_click, largest_slice, random_click

#: A prompt's members, of the structure on one slice `[rows, columns]` and a source of randomness.
Show = Callable[[np.ndarray, np.random.Generator], dict[str, Any]]

_JITTER = 0.1  # of a box's side: how far an edge is moved at most
_NEGATIVES = 2
_NEAR, _FAR = 0.1, 0.3  # of the longer side of the box: how far negative clicks are from the structure
_NEAREST = 2.0  # pixels


@dataclass(frozen=True)
class Protocol:
    """One way to show a structure.

    Args:
        name: as the command line takes it.
        says: what it is, in a few words.
        baseline: what needs no learning and gets the same prompt.
        show: makes the prompt.
        corrections: clicks that follow, each at the centre of the largest region where the model's mask is wrong.
        ends: the structure's first and last slice are told as well.
    """

    name: str
    says: str
    baseline: str
    show: Show
    corrections: int = 0
    ends: bool = False


def _box(mask: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    return {"box": box_around(mask)}


def _box_jittered(mask: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    left, top, right, bottom = box_around(mask)
    rows, columns = mask.shape
    sides = np.array([right - left, bottom - top] * 2) + 1.0
    moved = np.array([left, top, right, bottom]) + rng.uniform(-_JITTER, _JITTER, 4) * sides
    return {"box": tuple(map(float, np.clip(moved, 0, [columns - 1, rows - 1] * 2)))}


def _click(mask: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    return {"clicks": ((central_click(mask), True),)}


def _click_off_centre(mask: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    return {"clicks": ((random_click(mask, rng), True),)}


def _clicks_about(mask: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """The central click, one negative click near the structure and another one opposite."""
    clicks = [(central_click(mask), True)]
    left, top, right, bottom = box_around(mask)
    side = max(right - left, bottom - top) + 1.0
    away = ndimage.distance_transform_edt(~mask)
    near = max(_NEAR * side, _NEAREST)
    ring = (away >= near) & (away <= max(_FAR * side, near + _NEAREST))
    if not ring.any():
        return {"clicks": tuple(clicks)}
    negatives = [random_click(ring, rng)]
    rows, columns = np.nonzero(ring)
    while len(negatives) < min(_NEGATIVES, len(rows)):
        column, row = negatives[-1]
        farthest = int(np.argmax(np.hypot(columns - column, rows - row)))
        negatives.append((float(columns[farthest]), float(rows[farthest])))
    return {"clicks": (*clicks, *((position, False) for position in negatives))}


def _mask(mask: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    return {"mask": mask.copy()}


#: Every protocol by its name.
PROTOCOLS: dict[str, Protocol] = {
    p.name: p
    for p in (
        Protocol("box", "the box around the structure", ELLIPSE, _box),
        Protocol("click", "one click, deepest inside", REGION, _click),
        Protocol("clicks-1p2n", "that click and two off the structure, near it and opposite", REGION, _clicks_about),
        Protocol("clicks-3", "that click and 2 corrections", REGION, _click, 2),
        Protocol("clicks-5", "that click and 4 corrections", REGION, _click, 4),
        Protocol("clicks-9", "that click and 8 corrections", REGION, _click, 8),
        Protocol("mask", "the true mask of the slice", COPY, _mask),
        Protocol("box-ends", "the box, and on which slices the structure ends", ELLIPSE, _box, ends=True),
        Protocol("mask-ends", "that mask, and on which slices the structure ends", COPY, _mask, ends=True),
        Protocol("box-jittered", "the box, each edge moved by up to a tenth of its side", ELLIPSE, _box_jittered),
        Protocol("click-off-centre", "one click anywhere on the structure", REGION, _click_off_centre),
    )
}


def protocol_of(name: str) -> Protocol:
    """The protocol called `name`."""
    if name not in PROTOCOLS:
        raise UserError(f"protocol '{name}' is unknown; known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def prompt_of(mask: np.ndarray, protocol: str, axis: str = "z", stream: Stream | None = None) -> Prompt:
    """The prompt that a protocol makes of a true mask `[z, y, x]`: on its largest slice across `axis`.

    Args:
        stream: what the protocol draws from; one and the same if left out.

    Raises:
        UserError: where the mask is empty or the protocol unknown.
    """
    shown = protocol_of(protocol)
    if not mask.any():
        raise UserError("the mask is empty: there is nothing to prompt")
    index = largest_slice(mask, axis)
    rng = (stream or Stream.of(0, protocol)).generator()
    slices = across(mask, axis)
    there = np.flatnonzero(slices.any(axis=(1, 2)))
    ends = (int(there[0]), int(there[-1])) if shown.ends else None
    return Prompt(axis, index, **shown.show(slices[index], rng), ends=ends)


def correction(truth: np.ndarray, found: np.ndarray) -> tuple[Point, bool] | None:
    """The click that corrects most: (position, on the structure) of boolean `[rows, columns]`; None if all is right.

    It lies deepest inside the largest connected region of error: on what is missing, or off what is too much.
    """
    largest, on, most = None, True, 0
    for wrong, missing in ((truth & ~found, True), (found & ~truth, False)):
        regions, count = ndimage.label(wrong)
        sizes = np.bincount(regions.ravel(), minlength=count + 1)[1:]
        if count and sizes.max() > most:
            largest, on, most = regions == int(np.argmax(sizes)) + 1, missing, int(sizes.max())
    return None if largest is None else (central_click(largest), on)
