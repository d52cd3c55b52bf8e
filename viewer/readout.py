"""What lies under the cursor: place, voxel, grey values with their units, and the structure with what it lies in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from viewer.state import Position, Voxel
from viewer.subject import Subject

#: Unit of each modality that has one.
UNITS = {"ct": "HU"}
#: Letters of the two directions of each patient axis, LPS+: negative, positive.
_SIDES = ("RL", "AP", "IS")


@dataclass(frozen=True)
class Readout:
    """What is at one voxel.

    Args:
        voxel: x, y, z.
        position: LPS+ mm.
        values: of each image.
        structure: names of the structure there, of its parent, and so on outwards; empty in the background.
    """

    voxel: Voxel
    position: Position
    values: dict[str, float]
    structure: tuple[str, ...]

    @property
    def place(self) -> str:
        """`L 57.9  P 20.5  I 13.1 mm`."""
        parts = (f"{sides[v > 0]} {abs(v):.1f}" for sides, v in zip(_SIDES, self.position, strict=True))
        return f"{'  '.join(parts)} mm"

    def value(self, modality: str) -> str:
        """`CT 54 HU`."""
        number = self.values[modality]
        shown = f"{number:.0f}" if abs(number) >= 100 or number == round(number) else f"{number:.3g}"
        return f"{modality.upper()} {shown} {UNITS.get(modality, '')}".rstrip()

    @property
    def anatomy(self) -> str:
        """`lesion in liver in body`."""
        return " in ".join(name.replace("_", " ") for name in self.structure) or "background"

    @property
    def text(self) -> str:
        """All of it on one line."""
        grey = "   ".join(self.value(modality) for modality in self.values)
        x, y, z = self.voxel
        return "   ".join(part for part in (self.place, f"voxel {x}, {y}, {z}", grey, self.anatomy) if part)


def readout(subject: Subject, voxel: Voxel) -> Readout:
    """What is at a voxel of a subject."""
    x, y, z = voxel
    px, py, pz = map(float, subject.grid.to_world(np.asarray(voxel, float)))
    values = {modality: float(data[z, y, x]) for modality, data in subject.images.items()}
    return Readout(voxel, (px, py, pz), values, _chain(subject, voxel))


def _chain(subject: Subject, voxel: Voxel) -> tuple[str, ...]:
    x, y, z = voxel
    label = 0 if subject.labels is None else int(subject.labels[z, y, x])
    shared = subject.at(label) if subject.members else []
    if shared:
        return (" and ".join(subject.names[one] for one in shared),)
    names: list[str] = []
    while label in subject.names and subject.names[label] not in names:
        names.append(subject.names[label])
        label = subject.parents.get(label, 0)
    return tuple(names)
