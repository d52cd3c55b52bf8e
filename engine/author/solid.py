"""Solids: shapes that are moved, deformed and joined, each step giving a new one.

The steps act in the order they are written in. A scene places a node by world = at + rotate(scale * deform(local)), so
a step that comes late is rewritten where there is an equal place,

    R' (t + R s p) = R' t + (R' R) s p,    s' (t + R s p) = s' t + R (s' s) p,

the latter where s' is one number or R is the identity. What has no such form (a deformer after a move, a sum with a
distribution) becomes a blend of one part, in whose frame the step then acts.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import create_model

from engine import nodes
from engine.author.call import KEYWORD, aside, bound, checked, documented, function_of, titled, user_called
from engine.author.quantity import Quantity, added, calculable, is_number, multiplied, tidy
from engine.author.value import Named, Value, needs, written
from engine.compile import rotation
from engine.errors import UserError
from engine.strict import Strict
from engine.vary import NonNegative, Number, Positive

nodes.discover()

Vector = tuple[Any, Any, Any]
_STILL: Vector = (0.0, 0.0, 0.0)

_Move: Any = create_model("_Move", __base__=Strict, x=(Number, ...), y=(Number, ...), z=(Number, ...))
_Factors: Any = create_model("_Factors", __base__=Strict, x=(Positive, ...), y=(Positive, ...), z=(Positive, ...))
_Joint: Any = create_model("_Joint", __base__=Strict, smooth=(NonNegative, ...))


class NoSuchName(UserError, AttributeError):
    """A name that nothing is registered under."""


@dataclass(frozen=True)
class Joined:
    """Parts in order, each with the `op` that joins it to those before it, and `smooth` mm of fillet between them."""

    parts: tuple[tuple[str, Solid], ...]
    smooth: Any = 0.0


@dataclass(frozen=True, repr=False)
class Solid(Value):
    """A shape, or a blend of several, with its place and what deforms it. Immutable: every step gives a new one.

    `a | b` joins, `a - b` cuts b away, `a & b` keeps what both share; `.smooth(mm)` rounds the joins. `.translate`,
    `.rotate`, `.scale` and the deformers act in the order they are written in.
    """

    core: nodes.Shape | Joined
    at: Vector = _STILL
    turn: Vector = _STILL
    size: Any = 1.0
    deform: tuple[nodes.Deformer, ...] = ()
    used: tuple[Named, ...] = ()  # by the shape and the deformers, which hold names only

    @user_called
    def translate(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Solid:
        """Moves the solid by x mm to the patient's left, y to the back, z to the head."""
        checked(_Move, "translate()", {"x": x, "y": y, "z": z})
        at = _known(map(added, self.at, (x, y, z)))
        return replace(self._part(), at=(x, y, z)) if at is None else replace(self, at=at)

    @user_called
    def rotate(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Solid:
        """Turns the solid about the origin: by x degrees about the x axis, then y about y, then z about z."""
        checked(_Move, "rotate()", {"x": x, "y": y, "z": z})
        at, turn = _rotated(self.at, (x, y, z)), _turned(self.turn, (x, y, z))
        if at is None or turn is None:
            return replace(self._part(), turn=(x, y, z))
        return replace(self, at=at, turn=turn)

    @user_called
    def scale(self, x: float, y: float | None = None, z: float | None = None) -> Solid:
        """Scales the solid about the origin, by one factor or by one along each axis."""
        if (y is None) != (z is None):
            raise UserError("scale() takes one factor, or three: x, y and z")
        factors = (x, x, x) if y is None else (x, y, z)
        checked(_Factors, "scale()", dict(zip("xyz", factors, strict=True)))
        step = x if y is None or (is_number(x) and factors == (x, x, x)) else factors
        at, size = _stretched(self.at, step), _resized(self.size, step)
        sheared = isinstance(step, tuple) and not _is_zero(self.turn)
        if at is None or size is None or sheared:
            return replace(self._part(), size=step)
        return replace(self, at=at, size=size)

    @user_called
    def smooth(self, smooth: float) -> Solid:
        """Rounds every join of this blend by `smooth` mm of fillet."""
        checked(_Joint, "smooth()", {"smooth": smooth})
        if not isinstance(self.core, Joined) or not self._is_bare():
            raise UserError("smooth() rounds the joins of a blend: (a | b).smooth(6), before it is moved or deformed")
        return replace(self, core=replace(self.core, smooth=smooth))

    def __or__(self, other: Solid) -> Solid:
        return _join("union", self, (other,))

    def __sub__(self, other: Solid) -> Solid:
        return _join("subtract", self, (other,))

    def __and__(self, other: Solid) -> Solid:
        return _join("intersect", self, (other,))

    def __ror__(self, other: Any) -> Solid:
        return _join("union", other, (self,))

    def __rsub__(self, other: Any) -> Solid:
        return _join("subtract", other, (self,))

    def __rand__(self, other: Any) -> Solid:
        return _join("intersect", other, (self,))

    def __getattr__(self, name: str) -> Callable[..., Solid]:
        known = [word for word in dir(type(self)) if not word.startswith("_")]
        raise NoSuchName(f"a solid has no '{name}'{aside(name, known)}; it can be deformed by {', '.join(DEFORMERS)}")

    def __repr__(self) -> str:
        return f"Solid({self.written()})"

    def written(self) -> dict[str, Any]:
        """The node as a scene's file holds it."""
        if isinstance(self.core, Joined):
            parts = [{"op": op} | part.written() if op != "union" else part.written() for op, part in self.core.parts]
            smooth = {} if is_number(self.core.smooth, 0) else {"smooth": written(self.core.smooth)}
            core = {"kind": "blend", **smooth, "parts": parts}
        else:
            core = written(self.core)
        place = {
            "at": [] if _is_zero(self.at) else written(self.at),
            "rotate": [] if _is_zero(self.turn) else written(self.turn),
            "scale": [] if is_number(self.size, 1) else written(self.size),
            "deform": [{_DEFORMER_NAMES[type(node)]: written(node)} for node in self.deform],
        }
        return core | {key: value for key, value in place.items() if value != []}

    def needs(self) -> Iterator[Named]:
        parts = self.core.parts if isinstance(self.core, Joined) else ()
        smooth = self.core.smooth if isinstance(self.core, Joined) else None
        yield from needs(([part for _, part in parts], smooth, self.used, self.at, self.turn, self.size))

    def _is_bare(self) -> bool:
        """Whether the solid is its core alone."""
        return self._is_still() and not self.deform

    def _is_still(self) -> bool:
        return _is_zero(self.at) and _is_zero(self.turn) and is_number(self.size, 1)

    def _part(self) -> Solid:
        """The solid as the only part of a blend: the next step acts on it with its place."""
        return Solid(Joined((("union", self),)))


# --- steps rewritten as a place ---------------------------------------------------------------------------------------


def _known(values: Iterable[Any]) -> Any:
    """The vector, or None where one of its numbers cannot be written."""
    vector = tuple(values)
    return None if any(value is None for value in vector) else vector


def _is_zero(vector: Vector) -> bool:
    return all(is_number(value, 0) for value in vector)


def _rotated(at: Vector, step: Vector) -> Vector | None:
    """`at` turned by `step`, or None where that cannot be written."""
    if _is_zero(at) or _is_zero(step):
        return at
    if not all(map(is_number, (*at, *step))):
        return None
    return _known(map(tidy, rotation(step) @ np.asarray(at, float)))


def _turned(turn: Vector, step: Vector) -> Vector | None:
    """Angles of `turn` followed by `step`, or None where they cannot be written."""
    if _is_zero(turn) or _is_zero(step):
        return step if _is_zero(turn) else turn
    last = max(axis for axis in range(3) if not is_number(turn[axis], 0))
    first = min(axis for axis in range(3) if not is_number(step[axis], 0))
    if last <= first:  # rotations about x, then y, then z, that follow each other in this order
        return _known(map(added, turn, step))
    if not all(map(is_number, (*turn, *step))):
        return None
    return _known(map(tidy, _angles(rotation(step) @ rotation(turn))))


def _angles(matrix: np.ndarray) -> tuple[float, float, float]:
    """Degrees about x, then y, then z whose rotation is `matrix`."""
    across = math.hypot(matrix[0, 0], matrix[1, 0])
    y = math.atan2(-matrix[2, 0], across)
    if across < 1e-9:  # x and z turn about one axis: let x do it
        x, z = math.atan2(-matrix[1, 2], matrix[1, 1]), 0.0
    else:
        x, z = math.atan2(matrix[2, 1], matrix[2, 2]), math.atan2(matrix[1, 0], matrix[0, 0])
    return math.degrees(x), math.degrees(y), math.degrees(z)


def _stretched(at: Vector, step: Any) -> Vector | None:
    """`at` scaled by `step`, or None where that cannot be written."""
    if _is_zero(at):
        return at
    factors = step if isinstance(step, tuple) else (step,) * 3
    # a distribution would be drawn once for the place and once more for the size
    return _known(map(multiplied, at, factors)) if all(map(calculable, factors)) else None


def _resized(size: Any, step: Any) -> Any:
    """Factor(s) of `size` followed by `step`, or None where they cannot be written."""
    if is_number(size, 1) or is_number(step, 1):
        return step if is_number(size, 1) else size
    if not isinstance(size, tuple) and not isinstance(step, tuple):
        return multiplied(size, step)
    both = [value if isinstance(value, tuple) else (value,) * 3 for value in (size, step)]
    return _known(map(multiplied, *both)) if all(map(calculable, (*both[0], *both[1]))) else None


# --- what is registered -----------------------------------------------------------------------------------------------


def _join(op: str, first: Any, others: tuple[Any, ...], smooth: Any = 0.0) -> Solid:
    """`others` joined to `first` one after the other. A bare blend with the same fillet takes them as further parts."""
    for solid in (first, *others):
        if not isinstance(solid, Solid):
            raise UserError(f"{op} joins solids, got {solid!r}")
    core = first.core
    flat = isinstance(core, Joined) and first._is_bare() and _same(core.smooth, smooth)
    parts = core.parts if flat else (("union", first),)
    return Solid(Joined((*parts, *((op, other) for other in others)), smooth)) if others else first


def _same(a: Any, b: Any) -> bool:
    """Whether two numbers are one: distributions are drawn at each use."""
    return (is_number(a) and is_number(b) and a == b) or (isinstance(a, Quantity) and a is b)


def _shape(kind: str, cls: type[nodes.Shape]) -> Callable[..., Solid]:
    return function_of(kind, cls, lambda node, used: Solid(node, used=used), "Solid", {"kind": kind})


def _deformer(name: str, cls: type[nodes.Deformer]) -> Callable[..., Solid]:
    def deformed(solid: Solid, node: nodes.Deformer, used: tuple[Named, ...]) -> Solid:
        whole = solid if solid._is_still() else solid._part()
        return replace(whole, deform=(*whole.deform, node), used=(*whole.used, *used))

    return function_of(name, cls, deformed, "Solid", method=True)


def _combine(op: str, cls: type[nodes.Combine]) -> Callable[..., Solid]:
    signature = inspect.Signature(
        [
            inspect.Parameter("first", inspect.Parameter.POSITIONAL_ONLY, annotation="Solid"),
            inspect.Parameter("others", inspect.Parameter.VAR_POSITIONAL, annotation="Solid"),
            inspect.Parameter("smooth", KEYWORD, annotation=float, default=0.0),
        ],
        return_annotation="Solid",
    )

    def joined(*args: Any, **kwargs: Any) -> Solid:
        given = bound(op, signature, args, kwargs)
        smooth = given.get("smooth", 0.0)
        checked(_Joint, f"{op}()", {"smooth": smooth})
        return _join(op, given["first"], given.get("others", ()), smooth)

    return titled(joined, op, signature, documented(cls))


#: Functions that make a solid, by the name of the shape.
SHAPES = {kind: _shape(kind, cls) for kind, cls in sorted(nodes.SHAPES.items())}
#: Functions, and methods of solids, that join solids.
COMBINES = {op: _combine(op, cls) for op, cls in sorted(nodes.COMBINES.items())}
#: Methods of solids that deform them.
DEFORMERS = {name: _deformer(name, cls) for name, cls in sorted(nodes.DEFORMERS.items())}
_DEFORMER_NAMES = {cls: name for name, cls in nodes.DEFORMERS.items()}

for _name, _method in (*COMBINES.items(), *DEFORMERS.items()):
    if _name in dir(Solid):
        raise ValueError(f"'{_name}' is a method of solids already; register it under another name")
    setattr(Solid, _name, _method)
