"""The labels of a dataset: what each value in its label maps means, whatever scene a volume comes from.

A label map is a partition into cells; a structure is one or more of them: its own voxels and those of everything
inside it. A structure that lies in several others (the medulla of either kidney) has a cell in each, so that every
structure is exactly a list of labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from engine.errors import UserError
from engine.scene import Scene
from engine.scene.labels import label_table, labels, variants
from engine.scene.model import MOST_LABELS
from engine.volume import PALETTE, Volume

#: Names from the outermost structure down to the one that a voxel belongs to.
Path = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Every structure that a dataset may hold.

    Labels are 1, 2, ... without gaps, as nnU-Net demands. A scene that numbers its structures so keeps its labels; of
    several scenes, or where there are gaps, structures are numbered in the order of their labels, scene by scene.
    Further cells of one structure follow after all of these.

    Args:
        cells: label of each cell.
        colors: `#rrggbb` of each structure, in the order of their labels.
    """

    cells: dict[Path, int]
    colors: dict[str, str]

    @classmethod
    def of(cls, scenes: Sequence[Scene]) -> Table:
        """The table of several scenes; a name means the same in all of them."""
        colors: dict[str, str] = {}
        paths: list[Path] = []
        for scene in scenes:
            numbers = labels(scene)
            for group, color in sorted(_colors(scene), key=lambda item: numbers[item[0]]):
                colors.setdefault(group, color)
            paths += sorted(_paths(scene), key=lambda path: numbers[path[-1]])
        first = {group: next(p for p in paths if p[-1] == group) for group in colors}
        ordered = dict.fromkeys((*first.values(), *paths))
        if len(ordered) > MOST_LABELS:
            raise UserError(f"generate: the scenes need {len(ordered)} labels; a dataset holds {MOST_LABELS} at most")
        return cls({path: label for label, path in enumerate(ordered, start=1)}, colors)

    def members(self, name: str) -> list[int]:
        """Labels that make up a structure: its own first, then those of what lies inside it."""
        return self.own(name) + sorted(label for path, label in self.cells.items() if name in path[:-1])

    def own(self, name: str) -> list[int]:
        """Labels of a structure without what lies inside it: one for each structure that it lies in."""
        return [label for path, label in self.cells.items() if path[-1] == name]

    def parents(self, name: str) -> list[str]:
        """Structures that it lies directly inside."""
        return list(dict.fromkeys(path[-2] for path in self.cells if path[-1] == name and len(path) > 1))

    def top_down(self) -> list[str]:
        """Names, every structure after those it lies inside."""
        return sorted(self.colors, key=lambda name: max(len(path) for path in self.cells if path[-1] == name))

    def relabel(self, volume: Volume, rows: torch.Tensor | None = None) -> np.ndarray:
        """The label map of `rows` (`volume.top` unless given) in the dataset's labels, uint8 `[z, y, x]`."""
        paths: list[Path] = [()]
        for structure in volume.structures[1:]:  # a parent always stands before its children
            paths.append(_below(paths[structure.parent or 0], structure.group))
        table = np.array([0, *(self.cells[path] for path in paths[1:])], np.uint8)
        return table[(volume.top if rows is None else rows).cpu().numpy()]


def _below(path: Path, group: str) -> Path:
    return path if path[-1:] == (group,) else (*path, group)


def _colors(scene: Scene) -> Iterator[tuple[str, str]]:
    for name, entries in label_table(scene).items():
        own = variants(scene.structures[name])[0].color
        for entry in entries:
            yield entry.group, own or PALETTE[(entry.label - 1) % len(PALETTE)]


def _paths(scene: Scene) -> list[Path]:
    """The path of every row that a draw of `scene` may hold."""
    found: dict[str, list[set[Path]]] = {}  # by the names that `inside` may use, one set for each side of a pair
    for name, entries in label_table(scene).items():
        sides: list[set[Path]] = [set() for _ in entries]
        for structure in variants(scene.structures[name]):
            above = found[structure.inside] if structure.inside else [{()}]
            for side, entry in enumerate(entries):
                # copies of a mirrored pair lie in the parent of the same side
                over = above[side] if len(above) == len(entries) else above[0]
                sides[side] |= {_below(path, entry.group) for path in over}
        found |= {entry.name: [paths] for entry, paths in zip(entries, sides, strict=True)}
        found[name] = sides
    return sorted({path for sides in found.values() for side in sides for path in side})
