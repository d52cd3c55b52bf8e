"""Free-form lattice: the inverse map is p - u(p), u the cubic B-spline that equals the given moves at its points.

    u(p) = sum_ijk c_ijk B(gx - i) B(gy - j) B(gz - k)

with g in steps of the lattice (Sederberg & Parry 1986, doi 10.1145/15886.15903; cubic B-splines as in Rueckert et al.
1999, doi 10.1109/42.796284). The coefficients c solve u = move at the points and are zero beyond them, so u ends two
steps outside the lattice with two smooth derivatives.

Lipschitz 1 + max |Du|; the map is one to one where |Du| < 1. Du is measured at points h apart; between them it differs
from its trilinear interpolation, whose norm is no larger than at the points, by at most
sum_axis h^2 / 8 |d^2 Du / daxis^2|, and the derivatives of a B-spline lie within the range of its coefficients'
differences.
"""

import functools
from typing import Annotated

import numpy as np
import taichi as ti
from pydantic import Field, model_validator

from engine.nodes import Ball, Warp, register
from engine.strict import Strict
from engine.vary import PositiveVec3, Varying, Vec3

Points = Annotated[int, Field(ge=2, le=6)]
Index = Annotated[int, Field(ge=0, le=5), Varying(low=0, high=5, whole=True)]

_HEAD = 6
#: |Du| must stay below this: at 1 the map may fold.
_MOST = 0.95
#: Points a step at which |Du| is measured.
_FINE = 5


class Move(Strict):
    """A point of the lattice, and where it goes."""

    at: tuple[Index, Index, Index] = Field(description="which point: 0, 1, ... along x, y, z")
    move: Vec3 = Field(description="mm along x, y, z")


@ti.func
def _weight(t: ti.f32) -> ti.f32:
    """The cubic B-spline B(t)."""
    near, far = ti.max(1.0 - ti.abs(t), 0.0), ti.max(2.0 - ti.abs(t), 0.0)
    return (far * far * far - 4.0 * near * near * near) / 6.0


@register("lattice")
class Lattice(Warp):
    """Moves the points of a lattice and all that lies between them.

    The lattice has `resolution` points along x, y, z (2 to 6 each), the outermost on the faces of a box of `size` mm
    around the local origin. What stands at a point afterwards came from `move` mm away; points not named stay. The
    deformation ends smoothly two steps of the lattice outside the box.
    """

    everywhere = True

    size: PositiveVec3
    resolution: tuple[Points, Points, Points] = (3, 3, 3)
    points: list[Move]

    @staticmethod
    @ti.func
    def warp(p, params: ti.template(), o: ti.i32):
        n = ti.math.vec3(params[o], params[o + 1], params[o + 2])
        step = ti.math.vec3(params[o + 3], params[o + 4], params[o + 5])
        # one step beyond the last weights there is nothing to add
        g = ti.math.clamp(p / step + 0.5 * (n - 1.0), -2.0, n + 1.0)
        first = ti.max(ti.cast(ti.floor(g), ti.i32) - 1, 0)
        last = ti.min(ti.cast(ti.floor(g), ti.i32) + 3, ti.cast(n, ti.i32))
        u = ti.math.vec3(0.0)
        for i in range(first.x, last.x):
            for j in range(first.y, last.y):
                for k in range(first.z, last.z):
                    weight = _weight(g.x - i) * _weight(g.y - j) * _weight(g.z - k)
                    at = o + _HEAD + 3 * ((i * int(n.y) + j) * int(n.z) + k)
                    u += weight * ti.math.vec3(params[at], params[at + 1], params[at + 2])
        return p - u

    @model_validator(mode="after")
    def _fits(self):
        if not all(isinstance(v, (int, float)) for v in self.size):
            return self
        if not all(isinstance(v, (int, float)) for point in self.points for v in (*point.at, *point.move)):
            return self
        for i, point in enumerate(self.points):
            if any(a >= n for a, n in zip(point.at, self.resolution, strict=True)):
                raise ValueError(
                    f"lattice: points[{i}] is at {list(point.at)}, but with resolution {list(self.resolution)} the "
                    f"last point is {[n - 1 for n in self.resolution]}"
                )
            if point.at in [other.at for other in self.points[:i]]:
                raise ValueError(f"lattice: points[{i}] moves {list(point.at)} a second time; give each point one move")
        if self.steepest > _MOST:
            raise ValueError(
                f"lattice: neighbouring points move so differently that space could fold (their moves change by up to "
                f"{self.steepest:.2g} mm per mm; at most {_MOST:g} is safe); multiply every move by "
                f"{0.99 * _MOST / self.steepest:.3g} or less, or move neighbouring points along"
            )
        return self

    def step(self) -> np.ndarray:
        """Distance between neighbouring points along x, y, z, mm."""
        return np.array(self.size) / (np.array(self.resolution) - 1)

    def coefficients(self) -> np.ndarray:
        """c (nx, ny, nz, 3), mm."""
        c = np.zeros((*self.resolution, 3))
        for point in self.points:
            c[point.at] = point.move
        for axis, n in enumerate(self.resolution):
            values = (4 * np.eye(n) + np.eye(n, k=1) + np.eye(n, k=-1)) / 6  # B is 2/3 at 0 and 1/6 at 1
            c = np.moveaxis(np.tensordot(np.linalg.inv(values), c, (1, axis)), 0, axis)
        return c

    @functools.cached_property
    def steepest(self) -> float:
        """A bound of |Du|."""
        c, step = self.coefficients(), self.step()
        slopes, remainder = [], 0.0
        for axis in range(3):
            bases = [_basis(n, derivative=other == axis) for other, n in enumerate(self.resolution)]
            slopes.append(np.einsum("ai,bj,ck,ijkd->abcd", *bases, c, optimize=True) / step[axis])
        du = np.stack(slopes, axis=-1)
        padded = np.pad(c, [(3, 3)] * 3 + [(0, 0)])
        for axis in range(3):
            curvature = np.diff(padded, n=2, axis=axis)
            thirds = [np.linalg.norm(np.diff(curvature, axis=b), axis=-1).max() / step[b] for b in range(3)]
            remainder += float(np.linalg.norm(thirds)) / (8 * _FINE**2)
        square = (du**2).sum(axis=(-2, -1))  # no less than the norm's
        first = np.linalg.norm(du[np.unravel_index(square.argmax(), square.shape)], 2)
        return float(np.linalg.norm(du[square >= first**2 * (1 - 1e-9)], 2, axis=(1, 2)).max()) + remainder

    def pack(self) -> np.ndarray:
        return np.concatenate([self.resolution, self.step(), self.coefficients().ravel()])

    def deformed(self, ball: Ball) -> Ball:
        return ball.grown(float(np.linalg.norm(self.coefficients(), axis=-1).max()))

    def lipschitz(self, ball: Ball) -> float:
        return 1 + self.steepest

    @classmethod
    def example(cls) -> "Lattice":
        return cls(
            size=(28, 24, 24),
            resolution=(3, 3, 3),
            points=[Move(at=(2, 1, 1), move=(5, 2, 0)), Move(at=(0, 1, 2), move=(0, -3, 4))],
        )


def _basis(n: int, derivative: bool) -> np.ndarray:
    """B(g - i) or its derivative for points i < n, at `_FINE` values g a step from two steps before to two after."""
    g = np.arange(-2 * _FINE, (n + 1) * _FINE + 1) / _FINE
    t = g[:, None] - np.arange(n)
    near, far = np.maximum(1 - np.abs(t), 0), np.maximum(2 - np.abs(t), 0)
    return np.sign(t) * (4 * near**2 - far**2) / 2 if derivative else (far**3 - 4 * near**3) / 6
