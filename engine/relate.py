"""Relations between neighbours: gap, contact and pressure, as fields.

With f the field of a structure and o that of what its neighbours fill (the union of all their copies):

    touching   max(u, -o, f - k)      u the smooth union of f and o with radius k, see engine.combine.touch
    press      max(f - bulge, -o)
    gap        max(f, mm - n)         n the distance to the neighbours, see engine.clearance

The bulge comes first, then the contact, then the cuts. What a neighbour fills is bounded by its own relations and by
the structure it lies inside. Where neither a structure nor its neighbours have an end, n is their fields divided by
their Lipschitz bounds: nowhere more than the distance, so that the gap is at least `mm` wide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine.clearance import clearance
from engine.combine.intersect import Intersect
from engine.nodes import ORIGIN, Ball
from engine.program import Span

if TYPE_CHECKING:
    from engine.compile import Assembler, Stroke

_NOTHING = Ball(ORIGIN, -math.inf)

Field = tuple[Ball, float]  # the ball that holds a field's shape, and the field's Lipschitz bound


class Copy(NamedTuple):
    """One copy of a structure, seen through `p -> reflection p - offset`; `number` counts the structure's copies."""

    structure: Any
    name: str
    number: int
    row: int
    reflection: np.ndarray
    offset: np.ndarray

    @property
    def key(self) -> tuple[str, int]:
        """What tells the copy from all others."""
        return self.name, self.number


Keys = frozenset[tuple[str, int]]


class Anatomy:
    """Every copy of every structure of a scene, and what they are to each other.

    Args:
        assembler: receives the rows of what is emitted.
        strokes: motions that carry all of it along.
    """

    def __init__(self, assembler: Assembler, strokes: Sequence[Stroke] = ()) -> None:
        self.assembler = assembler
        self.strokes = strokes
        self.copies: list[Copy] = []
        self.parents: list[list[int]] = [[]]  # by row: the rows it lies in
        self.met: set[tuple[str, int]] = set()  # keys of the copies that others touch, among what was emitted
        self._named: dict[str, list[Copy]] = {}

    def add(self, copy: Copy, names: Iterable[str]) -> None:
        """Make a copy known, and known to relations by `names`."""
        self.copies.append(copy)
        for name in names:
            self._named.setdefault(name, []).append(copy)

    def span(self, copy: Copy) -> Span:
        """Emit the field that paints a copy."""
        return self.assembler.span(partial(self._body, copy, frozenset()), copy.row, self.strokes)

    def region(self, copy: Copy, normal: bool = True) -> Span:
        """Emit what a copy fills; `normal` divides each field by its Lipschitz bound."""
        return self.assembler.span(partial(self._visible, copy, None, frozenset(), normal), copy.row, self.strokes)

    def _body(self, copy: Copy, cut: Keys) -> Field:
        """Emit a copy's field with its relations.

        Args:
            cut: copies that are cut away around this field anyway: a cut by them may be left out.
        """
        gap, touching, press = copy.structure.gap, copy.structure.touching, copy.structure.press
        start = self.assembler.mark()
        ball, bound = self.assembler.place(copy.structure, copy.reflection, copy.offset)
        if press and press.yields:
            ball = self.assembler.grow(ball, self._bulge(copy))
        met = self._find(copy, touching.to) if touching else []
        cut_by_all = cut.union(other.key for other in met)
        pressing = [c for c in self._find(copy, press.against) if c.key not in cut_by_all] if press else []
        cut_by_all = cut_by_all.union(other.key for other in pressing)
        if touching:
            reach = ball.grown(touching.fillet)
            fields = [partial(self._visible, other, copy, cut_by_all) for other in met]
            if (near := self._union(fields, reach)) is not None:
                self.assembler.join("touch", touching.fillet)
                self.met.update(other.key for other in met)
                ball, bound = reach, max(bound, near[1])
        fields = [partial(self._visible, other, copy, cut_by_all) for other in pressing]
        if (near := self._union(fields, ball)) is not None:
            self.assembler.join("subtract", 0.0)
            bound = max(bound, near[1])
        if gap and (steepest := self._keep_away(copy, start, (ball, bound))) is not None:
            self.assembler.join("subtract", 0.0)
            bound = max(bound, steepest)
        return ball, bound

    def _keep_away(self, copy: Copy, start: tuple[int, ...], field: Field) -> float | None:
        """Emit a field that is negative nearer to others than the gap of `copy`, where its `field` since `start` is.

        Returns:
            Its Lipschitz bound; None where nothing is so near, and nothing emitted.
        """
        (ball, _), mm = field, copy.structure.gap.mm
        mark = self.assembler.mark()
        far = self._find(copy, copy.structure.gap.to)
        fields = [partial(self._visible, other, copy, frozenset(), normal=True) for other in far]
        near = self._union(fields, ball, mm)
        if near is None:
            return None
        if mm == 0.0 or math.isinf(min(ball.radius, near[0].radius)):
            self.assembler.grow(near[0], mm)
            return near[1]
        sampled = clearance(self.assembler.since((start, field), (mark, near)), mm)
        self.assembler.back_to(mark)
        if sampled is None:
            return None
        self.assembler.shape(sampled)
        self.assembler.grow(near[0], sampled.shift + mm)
        return sampled.lipschitz

    def _visible(self, other: Copy, copy: Copy | None, cut: Keys, normal: bool = False) -> Field:
        """Emit what `other` fills, as far as that matters to `copy`: its field within those of its parents."""
        body = partial(self._body, other, cut)
        ball, bound = self.assembler.normalised(body) if normal else body()
        over = self.parents[other.row]
        if not over or (copy is not None and self._within(copy.row, over)):
            return ball, bound
        parents = [partial(self._visible, parent, copy, cut, normal) for parent in self.copies if parent.row in over]
        clip = self._union(parents, ball)
        if clip is None:
            return _NOTHING, bound
        self.assembler.join("intersect", 0.0)
        return Intersect.ball(ball, clip[0], 0.0), max(bound, clip[1])

    def _union(self, fields: Iterable[Callable[[], Field]], ball: Ball, gap: float = 0.0) -> Field | None:
        """Emit the union of those fields whose shapes come within `gap` mm of `ball`; None where none does."""
        union = None
        for emit in fields:
            mark = self.assembler.mark()
            near, bound = emit()
            if near.apart(ball, gap):
                self.assembler.back_to(mark)
            elif union is None:
                union = near, bound
            else:
                self.assembler.join("union", 0.0)
                union = Ball.around([union[0], near]), max(union[1], bound)
        return union

    def _within(self, row: int, over: list[int]) -> bool:
        """Whether all that is painted of `row` lies in the rows `over`."""
        level = set(self.parents[row])
        while level and not level.issubset(over):
            above = [self.parents[r] for r in level]
            level = set().union(*above) if all(above) else set()
        return bool(level)

    def _find(self, copy: Copy, names: Iterable[str]) -> list[Copy]:
        """The copies that `names` stand for, each once; they stand before `copy`."""
        found: dict[tuple[str, int], Copy] = {}
        for name in names:
            others = self._named.get(name, [])
            if not others or others[0].row >= copy.row:
                raise ValueError(f"relates to '{name}', which does not stand before it")
            found |= {other.key: other for other in others}
        return list(found.values())

    @staticmethod
    def _bulge(copy: Copy) -> float:
        bulges = copy.structure.press.bulge_mm
        if bulges is None:
            raise ValueError("press: the bulge is found when the scene is drawn; use Scene.sample")
        if copy.number >= len(bulges):
            raise ValueError(f"press: bulge_mm lists {len(bulges)} numbers, one for each copy; leave it out")
        return float(bulges[copy.number])
