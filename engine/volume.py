"""What a scene becomes on a grid: two structures and a coverage per voxel; and what a scanner makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from engine.errors import UserError
from engine.grid import Grid
from engine.tissue import Tissue

#: Colours for structures that name none (Okabe-Ito, then Tol muted): told apart by most readers.
PALETTE = (
    "#e69f00 #56b4e9 #009e73 #f0e442 #0072b2 #d55e00 #cc79a7 #88ccee #44aa99 #117733 #999933 #ddcc77 #cc6677 "
    "#882255 #aa4499"
).split()


@dataclass(frozen=True)
class Structure:
    """One row of a volume's structure table.

    Args:
        name: unique name, as in the scene (copies of one structure are `lesion.1`, `lesion.2`, ...).
        label: the integer written to label maps, 0 for background. Copies of one structure share it.
        group: the name in the scene that the label stands for (`lesion`).
        tissue: what it is made of.
        parent: row of the structure it lies inside, or None.
        color: `#rrggbb`.
    """

    name: str
    label: int
    group: str
    tissue: Tissue
    parent: int | None = None
    color: str = "#808080"


@dataclass(frozen=True)
class Volume:
    """A labelled volume with the truth below the voxel.

    Args:
        grid: where the voxels are.
        top: uint8 `[z, y, x]`, row of the structure that fills most of the voxel.
        under: uint8 `[z, y, x]`, row of the structure that fills the rest.
        coverage: uint8 `[z, y, x]`, share of `top` in 1/255 (128..255).
        structures: the table; row 0 is the background.
        phase: of the scene's motions, in [0, 1).
        displacement: float32 `[z, y, x, 3]`, mm (`engine.displacement`): where each voxel's tissue was at phase 0;
            None where nothing has moved.
        rest: makes the volume at phase 0, where something has moved.
    """

    grid: Grid
    top: torch.Tensor
    under: torch.Tensor
    coverage: torch.Tensor
    structures: tuple[Structure, ...]
    phase: float = 0.0
    displacement: torch.Tensor | None = None
    rest: Callable[[], Volume] | None = None

    @cached_property
    def still(self) -> Volume:
        """The volume at phase 0, with everything in its place; this one where nothing has moved."""
        return self if self.rest is None else self.rest()

    @property
    def moment(self) -> tuple[str, ...]:
        """Path of the randomness that differs from phase to phase, such as a scan's noise; empty at phase 0."""
        return (f"phase {self.phase:.6f}",) if self.phase else ()

    def labels(self) -> torch.Tensor:
        """The label map, uint8 `[z, y, x]`: each voxel's label is that of the structure that fills most of it."""
        return self._look_up(torch.tensor([s.label for s in self.structures], dtype=torch.uint8), self.top)

    def names(self) -> dict[str, int]:
        """Names of the groups present in the table and their labels, in the table's order, background left out."""
        return {s.group: s.label for s in self.structures[1:]}

    def rows(self, group: str, children: bool = True) -> list[int]:
        """Rows that belong to `group` (a structure's or group's name), with their descendants unless told otherwise."""
        rows = {i for i, s in enumerate(self.structures) if i and group in (s.group, s.name)}
        if not rows:
            known = ", ".join(self.names())
            raise UserError(f"structure '{group}' is not in this volume; it has: {known}")
        if children:
            for i, s in enumerate(self.structures):  # a parent always stands before its children
                if s.parent in rows:
                    rows.add(i)
        return sorted(rows)

    def mask(self, group: str, children: bool = True) -> torch.Tensor:
        """Boolean `[z, y, x]` mask of a structure, its children included unless told otherwise."""
        member = torch.zeros(len(self.structures), dtype=torch.bool)
        member[self.rows(group, children)] = True
        return self._look_up(member, self.top)

    def fraction(self, group: str, children: bool = True) -> torch.Tensor:
        """Float32 `[z, y, x]`: share of each voxel that the structure fills, in [0, 1]."""
        member = torch.zeros(len(self.structures))
        member[self.rows(group, children)] = 1.0
        return self.mix(member)

    def mix(self, values: Sequence[float] | torch.Tensor) -> torch.Tensor:
        """Float32 `[z, y, x]` of a property given per row, averaged by coverage where two structures share a voxel."""
        table = torch.as_tensor(values, dtype=torch.float32)
        upper = self._look_up(table, self.top)
        lower = self._look_up(table, self.under)
        return torch.lerp(lower, upper, self.coverage.to(torch.float32) / 255.0)

    def measure(self, group: str, children: bool = True) -> float:
        """Volume of a structure in mm^3, counted by coverage."""
        return float(self.fraction(group, children).sum(dtype=torch.float64)) * self.grid.voxel_volume

    def steps(self) -> torch.Tensor | None:
        """The displacement in voxels along the grid's own axes, float32 `[z, y, x, 3]`, ordered x, y, z."""
        if self.displacement is None:
            return None
        from_mm = torch.from_numpy(np.linalg.inv(self.grid.axes).astype(np.float32))
        return self.displacement @ from_mm.T.to(self.displacement.device)

    def carried(self, field: torch.Tensor) -> torch.Tensor:
        """A field of phase 0 `[z, y, x]` that repeats with the grid, carried with the tissue to the volume's phase.

        Each voxel takes the value of the nearest voxel to where its tissue was: interpolation would smooth the field,
        more in some phases than in others.
        """
        steps = self.steps()
        if steps is None:
            return field
        index = []
        for axis, n in enumerate(field.shape):
            own = torch.arange(n, device=field.device).view([-1 if k == axis else 1 for k in range(3)])
            index.append((own + steps[..., 2 - axis].to(field.device).round().long()).remainder_(n))
        return field[tuple(index)]

    @staticmethod
    def _look_up(table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        picked = table.to(index.device).index_select(0, index.reshape(-1).int())  # indexing takes three times as long
        return picked.view(index.shape)


@dataclass(frozen=True)
class Image:
    """What a scanner made of a volume, co-registered with it.

    Args:
        grid: where the voxels are; the volume's own grid.
        data: float32 `[z, y, x]`.
        modality: `ct`, `mr` or `us`.
        unit: `HU`, `a.u.` (MR signal; about 1000 at most) or `grey` (log-compressed ultrasound, 0..255).
        meta: what was simulated: every parameter of the protocol, resolved, JSON-serialisable.
    """

    grid: Grid
    data: torch.Tensor
    modality: str
    unit: str
    meta: dict[str, Any] = field(default_factory=dict)
