"""Lobules with septa between them: cells around random seeds (Worley 1996, doi 10.1145/237170.237267).

A point belongs to the seed whose weighted distance m |p - s| is least; the weights make walls curved and cells unequal.
Near the wall towards a neighbour, its distance is (m2^2 |p - s2|^2 - m1^2 |p - s1|^2) / |gradient of that|, exact for
equal weights. A voxel's share of a septum is that of a box as wide as the voxel across the wall (same variance), which
is the average over the voxel where the septum is nearly flat in it; voxels large against lobules are divided.
Seeds are fixed in the world, one in each cube of a lattice, so grids of every spacing see the same lobules.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import taichi as ti
import torch
from pydantic import Field

from engine.device import device, kernel
from engine.pattern import Canvas, Pattern, register
from engine.vary import Positive, Varying

if TYPE_CHECKING:
    from engine.volume import Volume

#: Cubes along each axis after which seeds repeat, a power of two.
PERIOD = 64
#: Part of a cube, along each axis, that its seed may lie in.
JITTER = 0.8
#: Natural logarithm of the largest weight over the smallest.
UNEQUAL = 0.35
#: Most parts that a voxel is divided into along an axis.
MOST_PARTS = 4

vec3 = ti.math.vec3
ivec3 = ti.math.ivec3
Size = Annotated[float, Field(ge=0.5), Varying(low=0.5)]


@register("lobules")
class Lobules(Pattern):
    """Cells of about one size with septa between: fat, breast, liver, thyroid. Strength: septa relative to lobules.

    Septa differ in thickness between 0 and twice the mean, so many seem to end.
    """

    kind: Literal["lobules"] = "lobules"
    size: Size = Field(description="diameter of the ball that is as large as the mean lobule, mm")
    septum: Positive = Field(1.0, description="mean thickness of septa, mm")

    def variation(self, volume: "Volume", amounts: Sequence[float], canvas: Canvas) -> torch.Tensor:
        strength = volume.mix(amounts)
        weight = strength.abs()
        share = self.septa(canvas, weight, volume.displacement)
        # a structure outside the grid has no weight anywhere
        mean = (share * weight).sum(dtype=torch.float64) / weight.sum(dtype=torch.float64).clamp(min=1e-12)
        return share.sub_(mean.to(torch.float32)).mul_(strength)

    def septa(self, canvas: Canvas, where: torch.Tensor, moved: torch.Tensor | None = None) -> torch.Tensor:
        """Share of septum in each voxel in which `where` is above 0, float32 `[z, y, x]`.

        `moved` is how far from each voxel its tissue was at phase 0, mm, `[z, y, x, 3]`; None where nothing has moved.
        """
        grid = canvas.grid
        edge = self.size * (math.pi / 6.0) ** (1.0 / 3.0)  # of the cube that holds one seed
        seeds = canvas.stream.child("lobules").uniform((PERIOD, PERIOD, PERIOD, 4)).sub_(0.5)
        seeds[..., :3] *= JITTER
        seeds[..., 3] = (2.0 * UNEQUAL * seeds[..., 3]).exp()
        parts = [min(MOST_PARTS, max(1, math.ceil(4.0 * s / self.size))) for s in grid.spacing]
        out = torch.zeros(grid.shape, dtype=torch.float32, device=device())
        axes, origin = ti.Matrix((grid.axes / edge).tolist()), ti.Vector([v / edge for v in grid.origin])
        if moved is None:
            moved = torch.zeros((1, 1, 1, 3), device=device())
        _septa(seeds, axes, origin, ti.Vector(parts), self.septum / edge, 1.0 / edge, moved, where, out)
        return out

    @classmethod
    def example(cls) -> "Lobules":
        return cls.model_validate({"size": 9.0, "signal": -0.2, "density": 0.03})


@ti.func
def _seed(seeds: ti.template(), cube):
    """Position of the seed of `cube`, and its weight m^2."""
    i = cube & (PERIOD - 1)
    offset = vec3(seeds[i.z, i.y, i.x, 0], seeds[i.z, i.y, i.x, 1], seeds[i.z, i.y, i.x, 2])
    return ti.cast(cube, ti.f32) + 0.5 + offset, seeds[i.z, i.y, i.x, 3]


@ti.func
def _share(seeds: ti.template(), p: vec3, axes: ti.math.mat3, septum: ti.f32) -> ti.f32:
    """Share of septum in the box at `p` whose edges are the columns of `axes`; lengths in cubes."""
    home = ti.cast(ti.floor(p), ti.i32)
    nearest, least = ivec3(0), 1e9
    for k, j, i in ti.ndrange((-1, 2), (-1, 2), (-1, 2)):
        cube = home + ivec3(i, j, k)
        at, weight = _seed(seeds, cube)
        d = weight * (p - at).norm_sqr()
        if d < least:
            least, nearest = d, cube
    own, own_weight = _seed(seeds, nearest)
    reach = septum + 0.5 * ti.sqrt((axes * axes).sum())
    share = 0.0
    for k, j, i in ti.ndrange((-1, 2), (-1, 2), (-1, 2)):
        cube = home + ivec3(i, j, k)
        at, weight = _seed(seeds, cube)
        difference = weight * (p - at).norm_sqr() - least
        slope = 2.0 * (weight * (p - at) - own_weight * (p - own))
        if difference * difference < slope.norm_sqr() * reach * reach and (cube - nearest).norm_sqr() > 0:
            steep = slope.norm()
            distance = difference / steep
            width = (axes.transpose() @ (slope / steep)).norm()
            # the septum between two lobules has a thickness of its own, the same from both sides
            mixed = 64.0 * (weight + own_weight)
            half = septum * (mixed - ti.floor(mixed))
            overlap = ti.min(half, distance + 0.5 * width) - ti.max(-half, distance - 0.5 * width)
            share = ti.max(share, overlap / width)
    return share


@kernel
def _septa(
    seeds: ti.types.ndarray(ti.f32, ndim=4),
    axes: ti.math.mat3,
    origin: ti.math.vec3,
    parts: ti.math.ivec3,
    septum: ti.f32,
    per_mm: ti.f32,
    moved: ti.types.ndarray(ti.f32, ndim=4),
    where: ti.types.ndarray(ti.f32, ndim=3),
    out: ti.types.ndarray(ti.f32, ndim=3),
):
    for z, y, x in out:
        if where[z, y, x] > 0.0:
            inner = axes
            for row, column in ti.static(ti.ndrange(3, 3)):
                inner[row, column] = axes[row, column] / parts[column]
            total = 0.0
            k, j, i = ti.min(z, moved.shape[0] - 1), ti.min(y, moved.shape[1] - 1), ti.min(x, moved.shape[2] - 1)
            then = origin + per_mm * vec3(moved[k, j, i, 0], moved[k, j, i, 1], moved[k, j, i, 2])
            for c, b, a in ti.ndrange(parts.z, parts.y, parts.x):
                index = vec3(x, y, z) + (vec3(a, b, c) + 0.5) / ti.cast(parts, ti.f32) - 0.5
                total += _share(seeds, axes @ index + then, inner, septum)
            out[z, y, x] = total / (parts.x * parts.y * parts.z)
