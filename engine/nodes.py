"""What a scene is built of: shapes, ways to combine them, deformers, motions. One file each, registered by a decorator.

Every node has a numeric form: a list of float parameters and a Taichi function that reads them. A field is negative
inside, positive outside, and comes with a Lipschitz bound and a ball that holds the shape: the voxeliser trusts both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
from pydantic import Field, model_validator

from engine.discovery import import_all
from engine.strict import Strict
from engine.vary import Cycles, numbers_only

Vector = tuple[float, float, float]
ORIGIN: Vector = (0.0, 0.0, 0.0)


class Ball(NamedTuple):
    """A ball that holds a shape; radius `inf` for shapes without end, negative for empty ones.

    Outside it the shape's field is at least `rise` times the distance to it, so the ball also tells how far the shape
    reaches once its field is lowered.
    """

    centre: Vector
    radius: float
    rise: float = 1.0

    def grown(self, by: float) -> Ball:
        """The ball of the shape whose field is lower by `by` mm."""
        return Ball(self.centre, self.radius + by / self.rise, self.rise)

    def apart(self, other: Ball, gap: float = 0.0) -> bool:
        """Whether more than `gap` mm lie between both balls."""
        return math.dist(self.centre, other.centre) > self.radius + other.radius + gap

    @property
    def reach(self) -> float:
        """Distance from the origin to the farthest point of the ball."""
        return math.hypot(*self.centre) + self.radius

    @classmethod
    def around(cls, balls: list[Ball]) -> Ball:
        """A ball that holds all of `balls`."""
        if any(math.isinf(b.radius) for b in balls):
            return Ball(ORIGIN, math.inf, min(b.rise for b in balls))
        low = np.min([np.subtract(b.centre, b.radius) for b in balls], axis=0)
        high = np.max([np.add(b.centre, b.radius) for b in balls], axis=0)
        x, y, z = (float(v) for v in (low + high) / 2)
        radius = max(math.dist((x, y, z), b.centre) + b.radius for b in balls)
        return cls((x, y, z), radius, min(b.rise for b in balls))


def shear_stretch(a: float, b: float, c: float) -> float:
    """The largest singular value of [[a, b], [0, c]] for a, c >= 0; it grows with each of |a|, |b|, |c|."""
    return (math.hypot(a + c, b) + math.hypot(a - c, b)) / 2


class Shape(Strict):
    """A primitive: a signed field around the local origin.

    A subclass has a `kind: Literal[...]` field and a static Taichi function `distance(p, params, o) -> f32`, whose
    parameters stand in `params` from `o` on in the order that `pack` gives them.
    """

    distance: ClassVar[Callable[..., Any]]

    def pack(self) -> Sequence[float] | np.ndarray:
        """Parameters for `distance`, float32."""
        raise NotImplementedError

    def ball(self) -> Ball:
        """A ball that holds the shape; its `rise` is 1 where `distance` is no less than that to the ball."""
        raise NotImplementedError

    def lipschitz(self) -> float:
        """A bound of how fast `distance` changes per mm."""
        return 1.0

    @classmethod
    def example(cls) -> Shape:
        """A typical one, for tests and documentation."""
        raise NotImplementedError


class Combine(Strict):
    """How a part joins what stands before it: a static Taichi function `combine(a, b, k) -> f32`, smooth radius `k`.

    Each must be 1-Lipschitz in the larger of its arguments' bounds. `creases` says that the result is creased not just
    along lines but all over a part of its surface.
    """

    creases: ClassVar[bool] = False
    combine: ClassVar[Callable[..., Any]]

    @staticmethod
    def ball(a: Ball, b: Ball, smooth: float) -> Ball:
        """A ball that holds the result."""
        raise NotImplementedError


class Deformer(Strict):
    """Changes a shape. Either a `Warp` of space or a `Displacement` of the surface.

    One that `keeps_volume` keeps that of every part of the shape: its Jacobian determinant is 1 everywhere.
    """

    keeps_volume: ClassVar[bool] = False

    def pack(self) -> Sequence[float] | np.ndarray:
        """Parameters of the Taichi function, float32."""
        raise NotImplementedError

    @classmethod
    def example(cls) -> Deformer:
        """A typical one, for tests and documentation."""
        raise NotImplementedError


class Warp(Deformer):
    """Moves points: a static Taichi function `warp(p, params, o) -> vec3` from deformed to undeformed space.

    It is applied inside the ball that `deformed` gives, where `lipschitz` holds; outside, the field goes on with the
    distance to that ball. A warp whose stretch is bounded in all of space says so by `everywhere`, and may then deform
    shapes without end: `deformed` and `lipschitz` are given a ball of radius `inf`.
    """

    everywhere: ClassVar[bool] = False
    warp: ClassVar[Callable[..., Any]]

    def deformed(self, ball: Ball) -> Ball:
        """A ball that holds the deformed shape, if `ball` holds the undeformed one; ValueError where there is none."""
        raise NotImplementedError

    def lipschitz(self, ball: Ball) -> float:
        """A bound of how much `warp` stretches distances inside `ball` (in deformed space)."""
        raise NotImplementedError


class Displacement(Deformer):
    """Moves the surface along its normal: a static Taichi function `displace(d, p, params, o) -> f32`."""

    displace: ClassVar[Callable[..., Any]]

    def layers(self) -> Sequence[Sequence[float] | np.ndarray]:
        """Parameters for each of the times that `displace` is applied, one after the other."""
        return [self.pack()]

    def grown(self, ball: Ball) -> Ball:
        """A ball that holds the result."""
        raise NotImplementedError

    def lipschitz(self, inner: float) -> float:
        """The bound of the result, given the bound of the undeformed field."""
        raise NotImplementedError


class Motion(Strict):
    """Moves the whole world through a cycle: p at some phase was psi(p) at phase 0, which is the scene as drawn.

    A subclass has a static Taichi function `warp(p, params, o) -> vec3`, the backward map psi, which is the identity
    outside a region. The stroke, in [0, 1], says how far the motion has gone; at 0 nothing has moved.
    """

    cycles: Cycles = Field(default=1, description="whole cycles while the phase goes from 0 to 1")

    warp: ClassVar[Callable[..., Any]]

    def stroke(self, phase: float) -> float:
        """How far the motion has gone at `phase`: `wave` at the phase of its own cycle."""
        return self.wave((self.cycles * phase) % 1.0)

    def wave(self, phase: float) -> float:
        """The stroke at `phase` of one cycle: smooth and periodic, in [0, 1], 0 at phase 0."""
        raise NotImplementedError

    def pack(self, stroke: float) -> Sequence[float]:
        """Parameters of `warp`, float32."""
        raise NotImplementedError

    def reach(self, stroke: float) -> float:
        """A bound of the displacement |psi - id|, mm."""
        raise NotImplementedError

    def strain(self, stroke: float) -> float:
        """A bound of the norm of the derivative D(psi - id). Below 1, psi has an inverse: nothing folds."""
        raise NotImplementedError

    def stretch(self, stroke: float) -> float:
        """A bound of how much psi stretches distances."""
        return 1.0 + self.strain(stroke)

    def remedy(self) -> str:
        """What to change where the motion folds."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _invertible(self):
        if numbers_only(self):
            strain = max(self.strain(stroke) for stroke in (0.25, 0.5, 0.75, 1.0))
            if strain >= 1.0:
                raise ValueError(f"tissue would fold: displacement changes by {strain:.2f} mm per mm; {self.remedy()}")
        return self

    @classmethod
    def example(cls) -> Motion:
        """A typical one, for tests and documentation."""
        raise NotImplementedError


SHAPES: dict[str, type[Shape]] = {}
COMBINES: dict[str, type[Combine]] = {}
DEFORMERS: dict[str, type[Deformer]] = {}
MOTIONS: dict[str, type[Motion]] = {}

N = TypeVar("N", bound=type)


def register(name: str) -> Callable[[N], N]:
    """Class decorator: makes a node known to scenes as `name`."""

    def add(cls: N) -> N:
        base, table = next(
            (base, table)
            for base, table in ((Shape, SHAPES), (Combine, COMBINES), (Deformer, DEFORMERS), (Motion, MOTIONS))
            if issubclass(cls, base)
        )
        if name in table:
            raise ValueError(f"{base.__name__.lower()} '{name}' is registered twice")
        table[name] = cls  # type: ignore[index]
        return cls

    return add


def discover() -> None:
    """Import every file of `shapes`, `combine`, `deform` and `motion`, so that the tables are complete."""
    for folder in ("shapes", "combine", "deform", "motion"):
        import_all(f"engine.{folder}")
