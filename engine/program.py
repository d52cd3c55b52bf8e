"""A scene as a flat program: rows of (opcode, offset of parameters), one span per copy of a structure.

One interpreter runs every program, so a new scene needs no compilation; a new node adds an opcode by being registered.
The interpreter keeps a stack of values (fields) and a stack of frames (points): a PUSH moves the point into a child's
frame, the matching POP brings the child's value back to the frame around it.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import taichi as ti
import torch

from engine import nodes
from engine.device import device, kernel
from engine.nodes import Ball

nodes.discover()

#: Deepest nesting of frames and of values that a program may have.
DEPTH = 16
#: Points that a program is evaluated at together.
LANES = 8
_FRAME = 4 * LANES
#: What a span's surface is like, see `Span`.
MET, CREASED = 1, 2
#: Radii (mm) from here on stand for no end.
_ENDLESS = 1e30

vec3 = ti.math.vec3


def _unique(functions):
    """Functions without repetition; tubes and trees share one."""
    return list(dict.fromkeys(functions))


_DISTANCES = _unique(c.distance for _, c in sorted(nodes.SHAPES.items()))
_COMBINES = _unique(c.combine for _, c in sorted(nodes.COMBINES.items()))
_WARPS = _unique(
    [
        *(c.warp for _, c in sorted(nodes.DEFORMERS.items()) if issubclass(c, nodes.Warp)),
        *(c.warp for _, c in sorted(nodes.MOTIONS.items())),
    ]
)
_DISPLACES = _unique(c.displace for _, c in sorted(nodes.DEFORMERS.items()) if issubclass(c, nodes.Displacement))

_SHAPE, _COMBINE, _WARP, _DISPLACE, _AFFINE, _POP = (k * 64 for k in range(6))


def shape_code(shape: nodes.Shape) -> int:
    """The opcode that pushes the field of `shape`."""
    return _SHAPE + _DISTANCES.index(type(shape).distance)


def combine_code(op: str) -> int:
    """The opcode that joins the two topmost values by `op`."""
    return _COMBINE + _COMBINES.index(nodes.COMBINES[op].combine)


def warp_code(warp: nodes.Warp | nodes.Motion) -> int:
    """The opcode that opens a frame warped by `warp`; its parameters follow the ball's centre and radius."""
    return _WARP + _WARPS.index(type(warp).warp)


def displace_code(displacement: nodes.Displacement) -> int:
    """The opcode that displaces the topmost value."""
    return _DISPLACE + _DISPLACES.index(type(displacement).displace)


AFFINE = _AFFINE  # 3x3 matrix and offset (local = M p + t), then the factor that brings distances back
POP = _POP


@dataclass(frozen=True)
class Span:
    """One copy of a structure: a stretch of the program, and what the voxeliser must know about its field.

    `creased` fields need samples in each voxel to tell how they cut it, see `Combine.creases`. So do those that such a
    field has `met`: surfaces in contact must be taken for planes in the same way, so as to leave no gap.
    """

    start: int
    stop: int
    row: int
    ball: Ball
    lipschitz: float
    creased: bool = False
    met: bool = False


@dataclass(frozen=True)
class Program:
    """What the kernels run.

    Args:
        code: int32 [n, 2], opcode and offset into `params`.
        params: float32 [m].
        spans: in painting order: later spans win.
        family: bool [rows, rows]; family[r, s] says that a span of row r may only replace voxels of row s. Rows without
            a parent may replace all.
    """

    code: torch.Tensor
    params: torch.Tensor
    spans: tuple[Span, ...]
    family: torch.Tensor

    @cached_property
    def tables(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Spans as arrays: int32 [n, 4] start, stop, row, 0 or MET or CREASED; float32 [n, 5] the ball's centre and
        radius (mm), and the Lipschitz bound."""
        surface = [CREASED if s.creased else MET if s.met else 0 for s in self.spans]
        whole = [[s.start, s.stop, s.row, k] for s, k in zip(self.spans, surface, strict=True)]

        real = np.array([[*s.ball.centre, s.ball.radius, s.lipschitz] for s in self.spans], np.float32).reshape(-1, 5)
        return torch.tensor(whole, dtype=torch.int32, device=device()), torch.from_numpy(real).to(device())

    def evaluate(self, points: np.ndarray, span: int) -> np.ndarray:
        """The field of one span at world points (n, 3) in mm: float32 (n,), negative inside."""
        where = torch.as_tensor(np.ascontiguousarray(points, np.float32))
        batches = -(-len(where) // LANES)
        where = torch.nn.functional.pad(where, (0, 0, 0, batches * LANES - len(where)))
        values = self.sample(where.to(device()), torch.full((batches,), span, device=device()))
        return values[: len(points)].cpu().numpy()

    def sample(self, points: torch.Tensor, spans: torch.Tensor) -> torch.Tensor:
        """Fields at world points: float32 (n,), in the order of the points.

        Args:
            points: float32 (n, 3), mm; n is a multiple of `LANES`.
            spans: for each `LANES` points in turn the number of the span whose field is asked for.
        """
        out = torch.empty(len(points), dtype=torch.float32, device=points.device)
        if len(out):
            whole, _ = self.tables
            _sample(out, points.contiguous(), spans.to(torch.int32), self.code, self.params, whole)
        return out


@ti.func
def carry(code: ti.template(), params: ti.template(), point):
    """The point that the program's warps, all of them, take `point` to."""
    p = point
    for i in range(code.shape[0]):
        op, o = code[i, 0], code[i, 1]
        warped = p
        for k in ti.static(range(len(_WARPS))):
            if op == _WARP + k:
                warped = ti.static(_WARPS[k])(p, params, o + 4)
        p = warped
    return p


@ti.func
def field(code: ti.template(), params: ti.template(), start: ti.i32, stop: ti.i32, points):
    """The values of the program's rows from `start` to `stop` at `LANES` points (world, mm): all x, then y, then z.

    A row is decoded once for all points, and LLVM turns the loops over lanes into vector instructions.
    """
    values = ti.Vector([0.0] * (DEPTH * LANES))
    frames = ti.Vector([0.0] * (DEPTH * _FRAME))  # of each lane: x, y, z, and the offset of the value at POP
    factors = ti.Vector([0.0] * DEPTH)  # of the values at POP
    at = points
    top, depth = 0, 0
    for i in range(start, stop):
        op, o = code[i, 0], code[i, 1]
        if op < _COMBINE:
            for k in ti.static(range(len(_DISTANCES))):
                if op == _SHAPE + k:
                    d = ti.Vector([0.0] * LANES)
                    for lane in range(LANES):
                        d[lane] = ti.static(_DISTANCES[k])(_of(at, lane), params, o)
                    for lane in range(LANES):
                        values[top + lane] = d[lane]
            top += LANES
        elif op < _WARP:
            top -= LANES
            for k in ti.static(range(len(_COMBINES))):
                if op == _COMBINE + k:
                    d = ti.Vector([0.0] * LANES)
                    for lane in range(LANES):
                        a, b = values[top - LANES + lane], values[top + lane]
                        d[lane] = ti.static(_COMBINES[k])(a, b, params[o])
                    for lane in range(LANES):
                        values[top - LANES + lane] = d[lane]
        elif op < _DISPLACE:
            for n in range(3 * LANES):
                frames[depth * _FRAME + n] = at[n]
            for lane in range(LANES):
                frames[depth * _FRAME + 3 * LANES + lane] = 0.0
            if params[o + 3] < _ENDLESS:
                _into_ball(at, frames, depth * _FRAME + 3 * LANES, params, o)
            factors[depth] = 1.0
            depth += 1
            for k in ti.static(range(len(_WARPS))):
                if op == _WARP + k:
                    q = ti.Vector([0.0] * (3 * LANES))
                    for lane in range(LANES):
                        _set(q, lane, ti.static(_WARPS[k])(_of(at, lane), params, o + 4))
                    for n in range(3 * LANES):
                        at[n] = q[n]
        elif op < _AFFINE:
            for k in ti.static(range(len(_DISPLACES))):
                if op == _DISPLACE + k:
                    p, d = ti.Vector([0.0] * (4 * LANES)), ti.Vector([0.0] * LANES)
                    for n in range(3 * LANES):
                        p[n] = at[n]
                    for lane in range(LANES):
                        p[3 * LANES + lane] = values[top - LANES + lane]
                    for lane in range(LANES):
                        d[lane] = ti.static(_DISPLACES[k])(p[3 * LANES + lane], _of(p, lane), params, o)
                    for lane in range(LANES):
                        values[top - LANES + lane] = d[lane]
        elif op < _POP:
            q = ti.Vector([0.0] * (3 * LANES))
            for lane in range(LANES):
                p = _of(at, lane)
                for j in ti.static(range(3)):
                    q[j * LANES + lane] = (
                        params[o + 3 * j] * p.x
                        + params[o + 3 * j + 1] * p.y
                        + params[o + 3 * j + 2] * p.z
                        + params[o + 9 + j]
                    )
            for n in range(3 * LANES):
                frames[depth * _FRAME + n] = at[n]
                at[n] = q[n]
            for lane in range(LANES):
                frames[depth * _FRAME + 3 * LANES + lane] = 0.0
            factors[depth] = params[o + 12]
            depth += 1
        else:
            depth -= 1
            for n in range(3 * LANES):
                at[n] = frames[depth * _FRAME + n]
            for lane in range(LANES):
                n = top - LANES + lane
                values[n] = values[n] * factors[depth] + frames[depth * _FRAME + 3 * LANES + lane]
    out = ti.Vector([0.0] * LANES)
    for lane in ti.static(range(LANES)):
        out[lane] = values[lane]
    return out


@ti.func
def _into_ball(at: ti.template(), frames: ti.template(), offset: ti.i32, params: ti.template(), o: ti.i32):
    """Move points to the nearest ones of the ball at `params[o]`, and how far that is to `frames[offset]`.

    Outside its ball a warp is not defined: the field goes on from there with the distance.
    """
    q = ti.Vector([0.0] * _FRAME)
    for lane in range(LANES):
        p = _of(at, lane)
        from_centre = p - vec3(params[o], params[o + 1], params[o + 2])
        away = from_centre.norm()
        outside = ti.max(away - params[o + 3], 0.0)
        _set(q, lane, p - from_centre * (outside / ti.max(away, 1e-6)))
        q[3 * LANES + lane] = outside
    for n in range(3 * LANES):
        at[n] = q[n]
    for lane in range(LANES):
        frames[offset + lane] = q[3 * LANES + lane]


@ti.func
def _of(points: ti.template(), lane: ti.i32):
    """The point of one lane."""
    return vec3(points[lane], points[LANES + lane], points[2 * LANES + lane])


@ti.func
def _set(points: ti.template(), lane: ti.i32, p):
    """Set the point of one lane."""
    for j in ti.static(range(3)):
        points[j * LANES + lane] = p[j]


@kernel
def _sample(
    out: ti.types.ndarray(ti.f32, ndim=1),
    points: ti.types.ndarray(ti.f32, ndim=2),
    spans: ti.types.ndarray(ti.i32, ndim=1),
    code: ti.types.ndarray(ti.i32, ndim=2),
    params: ti.types.ndarray(ti.f32, ndim=1),
    whole: ti.types.ndarray(ti.i32, ndim=2),
):
    for i in spans:
        at = ti.Vector([0.0] * (3 * LANES))
        for lane in range(LANES):
            for j in ti.static(range(3)):
                at[j * LANES + lane] = points[i * LANES + lane, j]
        values = field(code, params, whole[spans[i], 0], whole[spans[i], 1], at)
        for lane in range(LANES):
            out[i * LANES + lane] = values[lane]
