"""Which label each structure gets: its own, or the next free one, the same in every draw of a scene."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from engine.scene.model import Scene


class Entry(NamedTuple):
    """One row that a structure adds to the structure table."""

    name: str
    label: int
    group: str


def variants(structure: Any) -> list[Any]:
    """The structure's variants, or the structure alone."""
    return structure.choice if hasattr(structure, "choice") else [structure]


def label_table(scene: Scene) -> dict[str, list[Entry]]:
    """Rows by structure: one, or two where it is mirrored."""
    taken = {label for s in scene.structures.values() for v in variants(s) for label in _given(v)}
    free = (label for label in range(1, 10**6) if label not in taken)
    by_group: dict[str, int] = {}
    table = {}
    for name, structure in scene.structures.items():
        table[name] = list(_entries(name, variants(structure)[0], free, by_group))
    return table


def owners(scene: Scene) -> dict[str, str]:
    """The structure behind each name that `inside` may use: structures, and either one of a mirrored pair."""
    pairs = {entry.name: name for name, entries in label_table(scene).items() for entry in entries}
    return {**pairs, **{name: name for name in scene.structures}}


def labels(scene: Scene) -> dict[str, int]:
    """Every group and its label, in painting order."""
    return {entry.group: entry.label for entries in label_table(scene).values() for entry in entries}


def _given(structure: Any) -> Iterator[int]:
    if structure.label is not None:
        yield structure.label
    if structure.mirror is not None and structure.mirror.labels is not None:
        yield from structure.mirror.labels


def _entries(name: str, structure: Any, free: Iterator[int], by_group: dict[str, int]) -> Iterator[Entry]:
    group = structure.group or name
    mirror = structure.mirror
    if mirror is not None and mirror.labels is not None:
        names = mirror.names or _sides(group, structure)
        for side, (label, each) in enumerate(zip(mirror.labels, names, strict=True)):
            yield Entry(each if name == group else f"{each}.{name}.{side}", label, each)
        return
    label = structure.label or by_group.get(group) or next(free)
    by_group[group] = label
    yield Entry(name, label, group)
    if mirror is not None:  # a row of its own, so that it may lie in the other one of a mirrored pair
        yield Entry(f"{name}.mirrored", label, group)


def _sides(group: str, structure: Any) -> tuple[str, str]:
    """Names of a mirrored pair: left and right (x grows to the patient's left), front and back, lower and upper."""
    axis = "xyz".index(structure.mirror.axis)
    position = structure.at[axis]
    positive = not isinstance(position, (int, float)) or position >= 0
    pair = (("left", "right"), ("posterior", "anterior"), ("superior", "inferior"))[axis]
    first, second = pair if positive else pair[::-1]
    return f"{group}_{first}", f"{group}_{second}"
