"""Beating: a ventricle contracts about its long axis, shortens and twists; its wall keeps its volume.

In cylindrical coordinates (r, angle, z) around the long axis, z from apex to base, a contracted point comes from

    z0 = z + W D P(z),    r0^2 = r^2 + W (min(m r^2, r^2 / P1 + c) - r^2),    angle0 = angle - W twist z / (2 b),

with P the smooth step from the apex (-b) to where the base has come down to (b - D), D = 2 b shortening, and
P1 = 1 + D P'(z) the local stretch along z. Within the cavity, m = 1 / (1 - contraction)^2 shrinks all radii alike:
blood leaves. Beyond it, c = a^2 (1 - 1 / (m P1)) makes the Jacobian P1 / P1 = 1: the wall thickens as it moves in. The
cavity's radius a(z0) = a (1 - (z0 / 1.5 b)^2)^2 tapers to both ends; the minimum is rounded. W fades from 1 in the
core of the region to 0 at its edge. `contraction`, `shortening` and `twist` grow with the stroke.

Lipschitz the largest stretch on a lattice in the half plane (r, z), plus half its change between neighbours.
"""

import functools
import math
from typing import Annotated

import numpy as np
import taichi as ti
from pydantic import Field, model_validator

from engine.motion.window import Core, smooth_step
from engine.nodes import Motion, register
from engine.sine import cosine, sine
from engine.vary import Positive, Varying, Vec3, numbers_only

#: The cavity's profile ends at this multiple of its half length.
_TAPER = 1.5
#: Width over which the minimum is rounded, as a share of c.
_ROUND = 0.25
#: Points across and along the half plane in which displacement and strain are bounded.
_ACROSS, _ALONG = 120, 180

Contraction = Annotated[float, Field(ge=0, le=0.5), Varying(low=0, high=0.5)]
Shortening = Annotated[float, Field(ge=0, le=0.4), Varying(low=0, high=0.4)]
Twisting = Annotated[float, Field(ge=-45, le=45), Varying(low=-45, high=45)]
Systole = Annotated[float, Field(ge=0.1, le=0.9), Varying(low=0.1, high=0.9)]


@register("beating")
class Beating(Motion):
    """A ventricle's beat: phase 0 is the end of diastole, `systole` that of systole.

    The defaults are the left ventricle's: radii of the cavity shrink by a third, its length by 12 %, the apex turns by
    10 degrees against the base (counter-clockwise seen from the apex), and 55 % of the blood leaves.
    """

    centre: Vec3 = Field(description="middle of the cavity, mm")
    axis: Vec3 = Field(description="direction from the apex to the base")
    cavity: tuple[Positive, Positive] = Field(description="radius and half length of the cavity, mm")
    radii: tuple[Positive, Positive] = Field(description="of the region, across and along the axis, mm")
    core: Core = 0.5
    contraction: Contraction = Field(default=0.33, description="share by which the cavity's radius shrinks")
    shortening: Shortening = Field(
        default=0.12, description="share by which the cavity's length shrinks: the base comes down"
    )
    twist: Twisting = Field(default=10.0, description="degrees by which the apex turns against the base")
    systole: Systole = Field(default=0.35, description="share of the cycle that contraction takes")

    @staticmethod
    @ti.func
    def warp(p, params: ti.template(), o: ti.i32):
        axis = ti.math.vec3(params[o + 3], params[o + 4], params[o + 5])
        d = p - ti.math.vec3(params[o], params[o + 1], params[o + 2])
        z = d.dot(axis)
        across = d - z * axis
        q = across.dot(across)
        share = smooth_step((1.0 - ti.sqrt(q * params[o + 6] + z * z * params[o + 7])) * params[o + 8])
        a, b, m, drop, twist = params[o + 9], params[o + 10], params[o + 11], params[o + 12], params[o + 13]
        s = ti.math.clamp((z + b) / (2.0 * b - drop), 0.0, 1.0)
        down = share * drop * s * s * (3.0 - 2.0 * s)
        stretch = 1.0 + drop * 6.0 * s * (1.0 - s) / (2.0 * b - drop)
        end = (z + down) / (ti.static(_TAPER) * b)
        profile = ti.max(1.0 - end * end, 0.0)
        c = (a * profile * profile) ** 2 * (1.0 - 1.0 / (m * stretch))
        inner, outer = m * q, q / stretch + c
        width = ti.max(ti.static(_ROUND) * c, 1e-6)
        near = ti.max(width - ti.abs(inner - outer), 0.0)
        grown = q + share * (ti.min(inner, outer) - 0.25 * near * near / width - q)
        factor = ti.sqrt(ti.max(grown, 0.0) / ti.max(q, 1e-9))
        angle = share * twist * z
        turned = factor * (cosine(angle) * across - sine(angle) * axis.cross(across))
        moved = p
        if share > 0.0:
            moved = p + (turned - across) + down * axis
        return moved

    def wave(self, phase: float) -> float:
        if phase < self.systole:
            return 0.5 - 0.5 * math.cos(math.pi * phase / self.systole)
        # the ventricle fills fast at first, then slowly
        return 0.5 + 0.5 * math.cos(math.pi * ((phase - self.systole) / (1.0 - self.systole)) ** 0.7)

    def pack(self, stroke: float) -> list[float]:
        axis = np.asarray(self.axis, float) / np.linalg.norm(self.axis)
        across, along = self.radii
        window = [1.0 / across**2, 1.0 / along**2, 1.0 / (1.0 - self.core)]
        return [*self.centre, *axis.tolist(), *window, *self._state(stroke)]

    def _state(self, stroke: float) -> tuple[float, float, float, float, float]:
        """Radius and half length of the cavity (mm), m, D (mm), and twist per mm along the axis."""
        a, b = self.cavity
        m = (1.0 - stroke * self.contraction) ** -2
        return a, b, m, 2.0 * b * stroke * self.shortening, math.radians(stroke * self.twist) / (2.0 * b)

    def reach(self, stroke: float) -> float:
        return _bounds(self.radii, self.core, self._state(stroke))[0]

    def strain(self, stroke: float) -> float:
        return _bounds(self.radii, self.core, self._state(stroke))[1]

    def stretch(self, stroke: float) -> float:
        return _bounds(self.radii, self.core, self._state(stroke))[2]

    def remedy(self) -> str:
        return "reduce contraction, shortening or twist, or let it fade over more mm: larger radii or a smaller core"

    @model_validator(mode="after")
    def _directed(self):
        if numbers_only(self) and not np.any(self.axis):
            raise ValueError("axis is [0, 0, 0]; give the direction from the apex to the base")
        return self

    @classmethod
    def example(cls) -> "Beating":
        return cls(centre=(1, 2, 0), axis=(1, -1, 2), cavity=(10, 16), radii=(30, 40))


@functools.lru_cache(maxsize=256)
def _bounds(
    radii: tuple[float, float], core: float, state: tuple[float, float, float, float, float]
) -> tuple[float, float, float]:
    """Bounds of |psi - id| (mm), of the norm of its derivative, and of that of psi's.

    They are taken on a lattice in the half plane (r, z), on which the map depends; what changes from one point to the
    next is added, as they may be larger in between.
    """
    across, along = radii
    r, z = np.meshgrid((np.arange(_ACROSS) + 0.5) * across / _ACROSS, np.linspace(-along, along, _ALONG), indexing="ij")
    h = 1e-5 * min(radii)
    r0, z0, angle = _half_plane(r, z, radii, core, state)
    (r_r, z_r, angle_r), (r_z, z_z, angle_z) = (
        [(up - down) / (2.0 * h) for up, down in zip(ups, downs, strict=True)]
        for ups, downs in (
            (_half_plane(r + h, z, radii, core, state), _half_plane(r - h, z, radii, core, state)),
            (_half_plane(r, z + h, radii, core, state), _half_plane(r, z - h, radii, core, state)),
        )
    )
    # the derivative in the frame (radial, tangential, axial), of which the first two have turned by `angle`
    zero = np.zeros_like(r)
    rows = [[r_r, zero, r_z], [r0 * angle_r, r0 / r, r0 * angle_z], [z_r, zero, z_z]]
    c, s = np.cos(angle), np.sin(angle)
    rows[:2] = [
        [c * u - s * v for u, v in zip(*rows[:2], strict=True)],
        [s * u + c * v for u, v in zip(*rows[:2], strict=True)],
    ]
    derivative = np.moveaxis(np.array(rows), (0, 1), (-2, -1))
    strain, stretch = _highest(derivative - np.eye(3)), _highest(derivative)
    moved = np.sqrt((r0 * c - r) ** 2 + (r0 * s) ** 2 + (z0 - z) ** 2)
    cell = math.hypot(across / _ACROSS, 2.0 * along / (_ALONG - 1))
    return float(moved.max()) + 0.5 * cell * strain, strain, stretch


def _highest(matrices: np.ndarray) -> float:
    """A bound of the spectral norm over a lattice of matrices, half a change between neighbours added."""
    norm = np.sqrt(np.linalg.eigvalsh(matrices.swapaxes(-1, -2) @ matrices)[..., -1])
    return float(norm.max()) + 0.5 * sum(float(np.abs(np.diff(norm, axis=axis)).max()) for axis in (0, 1))


def _half_plane(r, z, radii, core, state):
    """(r0, z0, angle - angle0) of `warp`, in double precision."""
    a, b, m, drop, twist = state
    q = r * r
    s = np.clip((1.0 - np.hypot(r / radii[0], z / radii[1])) / (1.0 - core), 0.0, 1.0)
    share = s * s * (3.0 - 2.0 * s)
    s = np.clip((z + b) / (2.0 * b - drop), 0.0, 1.0)
    z0 = z + share * drop * s * s * (3.0 - 2.0 * s)
    stretch = 1.0 + drop * 6.0 * s * (1.0 - s) / (2.0 * b - drop)
    profile = np.maximum(1.0 - (z0 / (_TAPER * b)) ** 2, 0.0)
    c = (a * profile**2) ** 2 * (1.0 - 1.0 / (m * stretch))
    inner, outer = m * q, q / stretch + c
    width = np.maximum(_ROUND * c, 1e-6)
    near = np.maximum(width - np.abs(inner - outer), 0.0)
    grown = q + share * (np.minimum(inner, outer) - 0.25 * near**2 / width - q)
    return np.sqrt(np.maximum(grown, 0.0)), z0, -share * twist * z
