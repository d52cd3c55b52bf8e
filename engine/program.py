"""A scene as a flat program: rows of (opcode, offset of parameters), one span per copy of a structure.

One interpreter runs every program, so a new scene needs no compilation; a new node adds an opcode by being registered.
The interpreter keeps a stack of values (fields) and a stack of frames (points): a PUSH moves the point into a child's
frame, the matching POP brings the child's value back to the frame around it.
"""

from dataclasses import dataclass

import numpy as np
import taichi as ti
import torch

from engine import nodes
from engine.device import device, kernel
from engine.nodes import Ball

nodes.discover()

#: Deepest nesting of frames and of values that a program may have.
DEPTH = 16

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

    `creased` fields need more samples to tell how they cut a voxel, see `Combine.creases`.
    """

    start: int
    stop: int
    row: int
    ball: Ball
    lipschitz: float
    creased: bool = False


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

    def tables(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Spans as arrays: int32 [n, 4] start, stop, row, creased; float32 [n, 5] ball, radius, Lipschitz bound."""
        whole = np.array([[s.start, s.stop, s.row, s.creased] for s in self.spans], np.int32).reshape(-1, 4)
        real = np.array([[*s.ball.centre, s.ball.radius, s.lipschitz] for s in self.spans], np.float32).reshape(-1, 5)
        return torch.from_numpy(whole).to(device()), torch.from_numpy(real).to(device())

    def evaluate(self, points: np.ndarray, span: int) -> np.ndarray:
        """The field of one span at world points (n, 3) in mm: float32 (n,), negative inside."""
        where = torch.as_tensor(np.ascontiguousarray(points, np.float32)).to(device())
        out = torch.empty(len(where), dtype=torch.float32, device=device())
        if len(where):
            _evaluate(out, where, self.code, self.params, self.spans[span].start, self.spans[span].stop)
        return out.cpu().numpy()


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
def field(code: ti.template(), params: ti.template(), start: ti.i32, stop: ti.i32, point) -> ti.f32:
    """The value at `point` (world, mm) of the program's rows from `start` to `stop`."""
    values = ti.Vector([0.0] * DEPTH)
    frames = ti.Matrix([[0.0] * 5 for _ in range(DEPTH)])  # x, y, z; factor and offset of the value at POP
    p = point
    top, depth = 0, 0
    for i in range(start, stop):
        op, o = code[i, 0], code[i, 1]
        if op < _COMBINE:
            value = 0.0
            for k in ti.static(range(len(_DISTANCES))):
                if op == _SHAPE + k:
                    value = ti.static(_DISTANCES[k])(p, params, o)
            values[top] = value
            top += 1
        elif op < _WARP:
            value = 0.0
            for k in ti.static(range(len(_COMBINES))):
                if op == _COMBINE + k:
                    value = ti.static(_COMBINES[k])(values[top - 2], values[top - 1], params[o])
            top -= 1
            values[top - 1] = value
        elif op < _DISPLACE:
            for j in ti.static(range(3)):
                frames[depth, j] = p[j]
            # outside its ball a warp is not defined: go on from the nearest point of the ball
            centre = vec3(params[o], params[o + 1], params[o + 2])
            away = (p - centre).norm()
            outside = ti.max(away - params[o + 3], 0.0)
            p = p - (p - centre) * (outside / ti.max(away, 1e-6))
            frames[depth, 3], frames[depth, 4] = 1.0, outside
            depth += 1
            warped = p
            for k in ti.static(range(len(_WARPS))):
                if op == _WARP + k:
                    warped = ti.static(_WARPS[k])(p, params, o + 4)
            p = warped
        elif op < _AFFINE:
            value = values[top - 1]
            for k in ti.static(range(len(_DISPLACES))):
                if op == _DISPLACE + k:
                    value = ti.static(_DISPLACES[k])(values[top - 1], p, params, o)
            values[top - 1] = value
        elif op < _POP:
            for j in ti.static(range(3)):
                frames[depth, j] = p[j]
            frames[depth, 3], frames[depth, 4] = params[o + 12], 0.0
            depth += 1
            moved = vec3(params[o + 9], params[o + 10], params[o + 11])
            for j in ti.static(range(3)):
                moved[j] += params[o + 3 * j] * p.x + params[o + 3 * j + 1] * p.y + params[o + 3 * j + 2] * p.z
            p = moved
        else:
            depth -= 1
            for j in ti.static(range(3)):
                p[j] = frames[depth, j]
            values[top - 1] = values[top - 1] * frames[depth, 3] + frames[depth, 4]
    return values[0]


@kernel
def _evaluate(
    out: ti.types.ndarray(ti.f32, ndim=1),
    points: ti.types.ndarray(ti.f32, ndim=2),
    code: ti.types.ndarray(ti.i32, ndim=2),
    params: ti.types.ndarray(ti.f32, ndim=1),
    start: ti.i32,
    stop: ti.i32,
):
    for i in out:
        out[i] = field(code, params, start, stop, vec3(points[i, 0], points[i, 1], points[i, 2]))
