"""Which structure holds which: what a viewer needs to know to draw the outer ones clear."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.ndimage import find_objects

#: A voxel is inside a structure that lies in at least this many of the six axis directions from it ...
_SIDES = 5
#: ... and a structure is inside another one if this share of its voxels is; it may lie in two, as lung vessels do.
_SHARE = 0.4
_MOST_VOXELS = 128  # along an edge; larger label maps are thinned out, for speed


def holdings(labels: np.ndarray) -> dict[int, frozenset[int]]:
    """For each label the labels that lie inside it, pierced walls allowed, of a label map `[z, y, x]`."""
    stride = -(-max(labels.shape) // _MOST_VOXELS)
    thin = np.ascontiguousarray(labels[::stride, ::stride, ::stride].astype(np.int32))
    total = np.bincount(thin.ravel())
    found = {}
    for label, box in enumerate(find_objects(thin), start=1):
        if box is None:
            continue
        part = thin[box]
        surrounded = _sides(part == label, _cut(box, thin.shape)) >= _SIDES
        inside = np.bincount(part[surrounded], minlength=len(total)) >= _SHARE * np.maximum(total, 1)
        inside[[0, label]] = False
        found[label] = frozenset(map(int, np.flatnonzero(inside)))
    return found


def _cut(box: tuple[slice, ...], shape: tuple[int, ...]) -> list[tuple[bool, bool]]:
    """Along each axis, whether a structure reaches the volume's first and last slice: there it goes on unseen."""
    return [(span.start == 0, span.stop == n) for span, n in zip(box, shape, strict=True)]


def _sides(mask: np.ndarray, cut: list[tuple[bool, bool]]) -> np.ndarray:
    """For each voxel, in how many of the six axis directions the mask lies (itself counts, so do ends that are cut)."""
    count = np.zeros(mask.shape, np.uint8)
    for axis, (before, after) in enumerate(cut):
        backward = np.logical_or.accumulate(mask, axis=axis)
        forward = np.flip(np.logical_or.accumulate(np.flip(mask, axis), axis=axis), axis)
        count += (backward | before).astype(np.uint8) + (forward | after).astype(np.uint8)
    return count


def with_descendants(holds: Mapping[int, frozenset[int]], parents: Mapping[int, int]) -> dict[int, frozenset[int]]:
    """Holdings with those added that a scene declares: each structure's children, and theirs."""
    full = {label: set(inside) for label, inside in holds.items()}
    for child in parents:
        above, seen = parents.get(child), {child}
        while above is not None and above not in seen:
            full.setdefault(above, set()).add(child)
            seen.add(above)
            above = parents.get(above)
    return {label: frozenset(inside) for label, inside in full.items()}


def descendants(parents: Mapping[int, int], label: int) -> set[int]:
    """Labels of everything that lies in `label`, directly or in something that does."""
    below: set[int] = set()
    while new := {child for child, above in parents.items() if above in below | {label}} - below - {label}:
        below |= new
    return below


def innermost(holds: Mapping[int, frozenset[int]]) -> dict[int, int]:
    """Parent of each label that lies inside another: of its holders the one that holds least."""
    parents: dict[int, int] = {}
    for label, inside in sorted(holds.items(), key=lambda item: -len(item[1])):
        parents.update(dict.fromkeys(inside, label))
    return parents


def wraps(holds: Mapping[int, frozenset[int]], count: int) -> list[int]:
    """Labels that wrap many others (skin, body wall, pericardium), outermost first.

    Args:
        holds: see `holdings`.
        count: of all labels. A wrap holds at least three of them and a fifth.
    """
    least = max(3.0, 0.2 * (count - 1))
    return sorted(
        (label for label, inside in holds.items() if len(inside) >= least), key=lambda label: -len(holds[label])
    )
