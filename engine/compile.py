"""From a sampled scene to the program that draws it and the table of its structures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from engine import nodes, program
from engine.deform.grow import Grow
from engine.errors import UserError
from engine.nodes import Ball
from engine.program import Program, Span
from engine.relate import Anatomy, Copy, Field
from engine.scene.labels import label_table
from engine.scene.model import MOST_LABELS, Blend, Placed, Scene
from engine.tissue import Tissue, load_table, resolve
from engine.volume import PALETTE, Structure

_REFLECTIONS = {axis: np.diag([1.0 - 2.0 * (axis == other) for other in "xyz"]) for axis in "xyz"}


#: A motion and how far it has gone.
Stroke = tuple[nodes.Motion, float]


class Assembler:
    """Collects the rows and parameters of a program, structure by structure."""

    def __init__(self) -> None:
        self.code: list[tuple[int, int]] = []
        self._params: list[np.ndarray] = []
        self._count = 0
        self._frames = 0
        self._values = 0
        self._creased = False

    def span(self, emit: Callable[[], Field], row: int, strokes: Sequence[Stroke] = ()) -> Span:
        """Emit one field as a span of the program, carried along by the world's motions."""
        start, self._frames, self._values, self._creased = len(self.code), 0, 0, False
        self.carry(strokes)
        ball, bound = emit()
        for motion, stroke in strokes:
            self._pop()
            ball, bound = ball.grown(motion.reach(stroke)), bound * motion.stretch(stroke)
        return Span(start, len(self.code), row, ball, bound, self._creased)

    def carry(self, strokes: Sequence[Stroke]) -> None:
        """Emit the frames of motions: a point now goes back through the last of them first."""
        for motion, stroke in reversed(strokes):
            self._push(program.warp_code(motion), [0.0, 0.0, 0.0, math.inf, *motion.pack(stroke)])

    def join(self, op: str, smooth: float) -> None:
        """Emit the combination of the two topmost fields."""
        self._emit(program.combine_code(op), [smooth])
        self._creased |= nodes.COMBINES[op].creases
        self._values -= 1

    def grow(self, ball: Ball, by: float) -> Ball:
        """Emit a shift of the topmost field's surface by `by` mm; returns the ball of the result."""
        node = Grow(by=by)
        self._displace(node)
        return node.grown(ball)

    def normalised(self, emit: Callable[[], Field]) -> Field:
        """Emit a field divided by its Lipschitz bound: nowhere more than the distance to its surface."""
        self._push(program.AFFINE, [*np.eye(3).ravel().tolist(), 0.0, 0.0, 0.0, 1.0])
        head = self._params[-1]
        ball, bound = emit()
        self._pop()
        head[12] = 1.0 / bound
        return ball._replace(rise=ball.rise / bound), 1.0

    def mark(self) -> tuple[int, ...]:
        """Where the program stands, for `back_to`."""
        return len(self.code), len(self._params), self._count, self._frames, self._values, self._creased

    def back_to(self, mark: tuple[int, ...]) -> None:
        """Take back what was emitted since `mark`."""
        rows, params, self._count, self._frames, self._values, creased = mark
        self._creased = bool(creased)
        del self.code[rows:], self._params[params:]

    def since(self, *fields: tuple[tuple[int, ...], Field]) -> Program:
        """A program of what was emitted since the first of several marks: from each on, up to the next, one field."""
        part = Assembler()
        marks = [mark for mark, _ in fields]
        rows, params, count, *_ = marks[0]
        part.code = [(op, offset - count) for op, offset in self.code[rows:]]
        part._params = self._params[params:]
        stops = [*(mark[0] for mark in marks[1:]), len(self.code)]
        spans = [
            Span(mark[0] - rows, stop - rows, 0, *field) for (mark, field), stop in zip(fields, stops, strict=True)
        ]
        return part.program(spans, torch.ones((1, 1), dtype=torch.bool))

    def shape(self, shape: Any) -> None:
        """Emit the field of a shape."""
        self._emit(program.shape_code(shape), shape.pack())
        self._values += 1
        self._check_depth()

    def place(self, node: Any, reflection: np.ndarray, offset: np.ndarray) -> Field:
        """Emit a node seen through `p -> reflection p - offset`; returns its ball and Lipschitz bound outside."""
        scale = np.broadcast_to(np.asarray(node.scale, float), 3)
        turn = rotation(node.rotate)
        matrix = np.diag(1.0 / scale) @ turn.T
        shift = -matrix @ (np.asarray(node.at, float) + offset)
        matrix = matrix @ reflection
        moved = not (np.array_equal(matrix, np.eye(3)) and not shift.any())
        if moved:
            self._push(program.AFFINE, [*matrix.ravel().tolist(), *shift.tolist(), float(scale.min())])
        ball, bound = self._deformed(node, list(node.deform))
        if moved:
            self._pop()
            centre = (
                np.linalg.solve(matrix, np.asarray(ball.centre) - shift) if math.isfinite(ball.radius) else np.zeros(3)
            )
            rise = ball.rise * float(scale.min() / scale.max())
            ball = Ball(tuple(centre.tolist()), ball.radius * float(scale.max()), rise)  # type: ignore[arg-type]
        return ball, bound

    def _deformed(self, node: Placed, deform: list[Any]) -> tuple[Ball, float]:
        if not deform:
            return self._core(node)
        last = deform[-1].node
        if isinstance(last, nodes.Displacement):
            ball, bound = self._deformed(node, deform[:-1])
            self._displace(last)
            return last.grown(ball), last.lipschitz(bound)
        # the ball is known only after the child is emitted: leave room for it
        self._push(program.warp_code(last), [0.0, 0.0, 0.0, 0.0, *last.pack()])
        head = self._params[-1]
        ball, bound = self._deformed(node, deform[:-1])
        self._pop()
        if not (last.everywhere or math.isfinite(ball.radius)):
            raise ValueError("a shape without end cannot be warped; give it an end with op: intersect")
        ball = last.deformed(ball)
        bound *= last.lipschitz(ball)
        if last.everywhere:
            head[3] = math.inf
            return ball, bound
        head[:4] = [*ball.centre, ball.radius]
        return ball, math.hypot(bound, 1.0)

    def _core(self, node: Any) -> tuple[Ball, float]:
        if not isinstance(node, Blend):
            self.shape(node)
            return node.ball(), node.lipschitz()
        ball, bound = Ball(nodes.ORIGIN, -1.0), 1.0
        for i, part in enumerate(node.parts):
            part_ball, part_bound = self.place(part, np.eye(3), np.zeros(3))
            if i == 0:
                ball, bound = part_ball, part_bound
                continue
            self.join(part.op, float(node.smooth))
            ball = nodes.COMBINES[part.op].ball(ball, part_ball, float(node.smooth))
            bound = max(bound, part_bound)
        return ball, bound

    def program(self, spans: Sequence[Span], family: torch.Tensor) -> Program:
        """The program of `spans`; see there for `family`."""
        return Program(*self.tape(), spans=tuple(spans), family=family)

    def tape(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows and their parameters, as `Program` holds them."""
        params = np.concatenate([*self._params, np.zeros(1, np.float32)])  # a kernel's array must not be empty
        code = torch.tensor(self.code or [(0, 0)], dtype=torch.int32)
        return code.to(program.device()), torch.from_numpy(params).to(program.device())

    def _displace(self, node: nodes.Displacement) -> None:
        for params in node.layers():
            self._emit(program.displace_code(node), params)

    def _push(self, op: int, params: Sequence[float] | np.ndarray) -> None:
        self._emit(op, params)
        self._frames += 1
        self._check_depth()

    def _pop(self) -> None:
        self._emit(program.POP, [])
        self._frames -= 1

    def _emit(self, op: int, params: Sequence[float] | np.ndarray) -> None:
        self.code.append((op, self._count))
        self._params.append(np.array(params, np.float32))
        self._count += len(params)

    def _check_depth(self) -> None:
        if max(self._frames, self._values) > program.DEPTH:
            raise ValueError(f"blends and deformers are nested more than {program.DEPTH} deep; flatten some")


def rotation(degrees: Any) -> np.ndarray:
    """3x3 rotation by angles (degrees) about x, then y, then z."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def copies(structure: Any) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(0 for the original or 1 for its mirror image, reflection, offset) of each copy of a structure."""
    steps = [np.zeros(3)]
    if structure.repeat is not None:
        step, count = np.asarray(structure.repeat.step, float), structure.repeat.count
        start = -0.5 * (count - 1) if structure.repeat.centred else 0.0
        steps = [(start + i) * step for i in range(count)]
    sides = [np.eye(3)] if structure.mirror is None else [np.eye(3), _REFLECTIONS[structure.mirror.axis]]
    for side, reflection in enumerate(sides):
        for step in steps:
            yield side, reflection, step


def tissues(scene: Scene) -> dict[str, Tissue]:
    """Every tissue that the scene can name: the table's and its own."""
    table = load_table()
    own = {
        name: resolve(material, table).model_copy(update={"name": name}) for name, material in scene.materials.items()
    }
    return {**table, **own}


def strokes(scene: Scene, phase: float) -> list[Stroke]:
    """The motions of a sampled scene that have gone anywhere at `phase`."""
    gone = [(entry.node, entry.node.stroke(phase)) for entry in scene.motion]
    return [(motion, stroke) for motion, stroke in gone if stroke > 0.0]


def compile_scene(scene: Scene) -> tuple[Program, tuple[Structure, ...]]:
    """The program and the structure table (row 0 is the background) of a sampled scene."""
    anatomy, rows = lay_out(scene)
    if len(rows) > MOST_LABELS + 1:
        raise UserError(f"scene '{scene.name}' draws {len(rows) - 1} structures; at most {MOST_LABELS} fit a volume")
    spans = []
    for copy in anatomy.copies:
        try:
            spans.append(anatomy.span(copy))
        except ValueError as error:
            raise UserError(f"scene '{scene.name}', structures.{copy.name}: {error}") from None
    met = [copy.key in anatomy.met for copy in anatomy.copies]
    spans = [replace(span, met=touched) for span, touched in zip(spans, met, strict=True)]
    return anatomy.assembler.program(spans, _families(anatomy.parents)), rows


def compile_region(scene: Scene, name: str) -> Program:
    """What the structure `name` of a sampled scene fills: a span for each copy, within the structures it lies inside.

    The fields are nowhere more than the distance to the surface; those of copies that nothing is left of are missing.
    """
    anatomy, _ = lay_out(scene)
    spans = [anatomy.region(copy) for copy in anatomy.copies if copy.name == name]
    visible = [span for span in spans if span.ball.radius > -math.inf]
    return anatomy.assembler.program(visible, _families(anatomy.parents))


def lay_out(scene: Scene) -> tuple[Anatomy, tuple[Structure, ...]]:
    """Every copy of a sampled scene's structures, in painting order, and the structure table."""
    known = tissues(scene)
    table = label_table(scene)
    rows = [Structure("background", 0, "background", known[scene.background])]
    rows_of: dict[str, list[int]] = {}
    anatomy = Anatomy(Assembler(), strokes(scene, scene.phase))
    for name, structure in scene.structures.items():
        above = rows_of[structure.inside] if structure.inside else []
        mine = []
        for side, entry in enumerate(table[name]):
            # copies of a mirrored pair lie in the parent of the same side
            over = [above[side]] if len(above) == len(table[name]) else above
            color = structure.color or PALETTE[(entry.label - 1) % len(PALETTE)]
            tissue = known[structure.material]
            mine.append(len(rows))
            rows_of[entry.name] = [len(rows)]
            rows.append(Structure(entry.name, entry.label, entry.group, tissue, over[0] if over else None, color))
            anatomy.parents.append(over)
        rows_of[name] = mine
        for index, (side, reflection, offset) in enumerate(copies(structure)):
            side = min(side, len(mine) - 1)
            anatomy.add(Copy(structure, name, index, mine[side], reflection, offset), {name, table[name][side].name})
    return anatomy, tuple(rows)


def _families(parents: list[list[int]]) -> torch.Tensor:
    """bool [rows, rows]: which rows each row may paint over (all, where it has no parent)."""
    below = torch.eye(len(parents), dtype=torch.bool)  # below[r, s]: s is r or lies in it
    for row, over in enumerate(parents):  # parents stand before their children
        for ancestor in range(row):
            if any(below[ancestor, p] for p in over):
                below[ancestor, row] = True
    family = torch.ones_like(below)
    for row, over in enumerate(parents):
        if over:
            family[row] = below[over].any(dim=0)
    return family
