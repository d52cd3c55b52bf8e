"""How far a pressed structure bulges: the shift of its surface that gives back the volume its neighbours take.

The volume V(b) of what a structure fills when its surface moves out by b is counted on a lattice of cells around it,
and V(b) = V(alone) is solved by false position (Illinois): a pure function of the drawn scene.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from engine.compile import lay_out
from engine.program import Program
from engine.relate import Anatomy, Copy
from engine.scene.model import Scene

#: A bulge is at most this share of the radius of the ball of equal volume.
_MOST = 0.5
#: Share of its volume that a structure must keep.
_KEPT = 0.95
#: Cells along an axis of the first lattice, and about how many the last one has.
_COARSE = 12
_CELLS = 16_000
#: The volume is met to this share of it, in at most so many steps.
_CLOSE = 2e-3
_STEPS = 20

#: The share of a cell goes from 1 to 0 while the surface moves by its edge divided by this.
_STEEP = 4

_CORNERS = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))


def bulges(scene: Scene, name: str) -> list[float]:
    """The bulge (mm, in steps of 0.01) of each copy of the pressed structure `name` of a drawn scene.

    Raises:
        ValueError: where no sensible bulge keeps the volume.
    """
    anatomy, _ = lay_out(scene)
    return [_bulge(anatomy, copy) for copy in anatomy.copies if copy.name == name]


def _bulge(anatomy: Anatomy, copy: Copy) -> float:
    structure = copy.structure
    free = _fill(anatomy, copy, press=None, touching=None)
    if not free.spans:
        return 0.0
    if math.isinf(free.spans[0].ball.radius):
        raise ValueError(f"structures.{copy.name}: press: a shape without end has no volume to keep; set yields: false")
    cells, edge = _cells(free, 0.0)
    most = _MOST * edge * (3 / (4 * math.pi) * _shares(free, cells, edge).sum()) ** (1 / 3)
    cells, edge = _cells(free, most + (structure.touching.fillet if structure.touching else 0.0))
    whole = _shares(free, cells, edge).sum()
    if not whole:
        return 0.0

    def shares(bulge: float, cells: np.ndarray) -> np.ndarray:
        pressed = structure.press.model_copy(update={"bulge_mm": [bulge] * (copy.number + 1)})
        return _shares(_fill(anatomy, copy, press=pressed), cells, edge)

    first, last = shares(0.0, cells), shares(most, cells)
    least, largest = first.sum() / whole - 1, last.sum() / whole - 1
    if least >= -_CLOSE:
        return 0.0
    if largest < _KEPT - 1:
        raise ValueError(
            f"structures.{copy.name}: press: {', '.join(structure.press.against)} leaves {1 + least:.0%} of its "
            f"volume, and a bulge of {most:.1f} mm does not give it back; move it away, or set yields: false"
        )
    if largest <= 0:
        return round(most, 2)
    growing = cells[first < last]
    settled = first[first >= last].sum()
    return round(_root(lambda b: (settled + shares(b, growing).sum()) / whole - 1, most, least, largest), 2)


def _root(excess: Callable[[float], float], high: float, below: float, above: float) -> float:
    """Where the increasing function `excess` vanishes; it is `below` 0 at 0 and `above` 0 at `high`."""
    low, side = 0.0, 0
    for _ in range(_STEPS):
        middle = (low * above - high * below) / (above - below)
        value = excess(middle)
        if abs(value) <= _CLOSE:
            return middle
        if value < 0:
            low, below, above, side = middle, value, above * (0.5 if side < 0 else 1.0), -1
        else:
            high, above, below, side = middle, value, below * (0.5 if side > 0 else 1.0), 1
    return 0.5 * (low + high)


def _fill(anatomy: Anatomy, copy: Copy, **relations: Any) -> Program:
    """What `copy` fills if these are its relations; no spans where that is nothing."""
    mark = anatomy.assembler.mark()
    span = anatomy.region(copy._replace(structure=copy.structure.model_copy(update=relations)), normal=False)
    spans = [span] if span.ball.radius > 0 else []
    program = anatomy.assembler.program(spans, torch.ones((1, 1), dtype=torch.bool))
    anatomy.assembler.back_to(mark)
    return program


def _cells(program: Program, reach: float) -> tuple[np.ndarray, float]:
    """Centres (n, 3) and edge (mm) of the cells in which the field can be below `reach` mm."""
    span = program.spans[0]
    half = span.ball.grown(reach).radius
    steps = ((np.arange(_COARSE) + 0.5) / _COARSE * 2 - 1) * half
    cells = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3) + span.ball.centre
    edge = 2 * half / _COARSE
    while True:
        cells = cells[program.evaluate(cells, 0) < reach + span.lipschitz * edge * math.sqrt(0.75)]
        if 4 * len(cells) > _CELLS or not len(cells):
            return cells, edge
        edge /= 2
        cells = (cells[:, None] + _CORNERS * edge).reshape(-1, 3)


def _shares(program: Program, cells: np.ndarray, edge: float) -> np.ndarray:
    """The share of each cell that the program fills, by a steep ramp: on a wide one thin films count for too much."""
    if not program.spans:
        return np.zeros(len(cells))
    return np.clip(0.5 - _STEEP * program.evaluate(cells, 0).astype(float) / edge, 0, 1)
