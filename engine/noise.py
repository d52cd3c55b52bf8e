"""OpenSimplex noise in three dimensions, as a Taichi function.

The values are those of the `opensimplex` package (Spencer 2014's lattice noise) for the same seed; the package makes
the permutation, this file evaluates it. A point gets a contribution from the vertices of the simplex it lies in and
from the two nearest ones outside, which the package picks by three rules; they are the branches of `noise`.
"""

import functools

import numpy as np
import taichi as ti
from opensimplex import OpenSimplex

#: Values in a permutation table.
TABLE = 256
#: Bound of the gradient's length; the largest among 4e6 samples over 40 seeds is 2.54.
SLOPE = 3.2
#: Bound of the absolute value; the largest among the same samples is 0.97.
PEAK = 1.0

_SQUISH = 1.0 / 3.0
_NORM = 103.0

vec3 = ti.math.vec3
ivec3 = ti.math.ivec3


@functools.lru_cache(maxsize=4096)
def permutation(seed: int) -> np.ndarray:
    """The 256-entry permutation that the `opensimplex` package makes from `seed`: integers in the bits of float32.

    The lowest 8 bits hold the entry, those above the gradient that it stands for: 3 bits of signs, 2 of the long axis.
    """
    entries = np.asarray(OpenSimplex(seed)._perm, np.int32)
    gradient = entries % 24
    return (entries | gradient // 3 << 8 | gradient % 3 << 11).view(np.float32)


@ti.func
def _entry(params: ti.template(), i: ti.i32) -> ti.i32:
    return ti.bit_cast(params[i], ti.i32)


@ti.func
def _contribution(params: ti.template(), o: ti.i32, cell, inside, vertex) -> ti.f32:
    """What lattice vertex `vertex` adds at `inside`; both are offsets from the cell's corner."""
    d = inside - vertex - vertex.sum() * _SQUISH
    reach = ti.max(2.0 - d.dot(d), 0.0)
    at = cell + ti.cast(vertex, ti.i32)
    index = _entry(params, o + (at.x & 255))
    index = _entry(params, o + ((index + at.y) & 255))
    index = _entry(params, o + ((index + at.z) & 255))
    # gradients are the permutations of (11, 4, 4) with every sign
    x = ti.select((index & 256) != 0, d.x, -d.x)
    y = ti.select((index & 512) != 0, -d.y, d.y)
    z = ti.select((index & 1024) != 0, -d.z, d.z)
    long = ti.select((index & 6144) == 0, x, ti.select((index & 2048) != 0, y, z))
    return reach * reach * reach * reach * (4.0 * (x + y + z) + 7.0 * long)


@ti.func
def _outer_tetrahedron(fraction, total: ti.f32, upper: ti.f32):
    """The two extra vertices of a point in the tetrahedron at the cell's near corner, or, mirrored, at the far one."""
    score = ti.select(upper > 0.0, 1.0 - fraction, fraction)
    corner = ti.select(upper > 0.0, total - 2.0, 1.0 - total)
    # axes ordered by score; ties go to the lower axis, as in the package
    x_first = (score.x >= score.y) & (score.x >= score.z)
    y_first = (1 - x_first) & (score.y >= score.z)
    z_last = (score.z <= score.x) & (score.z <= score.y)
    y_last = (1 - z_last) & (score.y <= score.x)
    first = vec3(x_first, y_first, 1 - x_first - y_first)
    last = vec3(1 - y_last - z_last, y_last, z_last)
    second = 1.0 - first - last
    near = corner > second.dot(score)  # the corner is one of the two closest vertices
    a = first + ti.select(near, -second, second)
    b = first - last + ti.select(near, vec3(0.0), second)
    return ti.select(upper > 0.0, 1.0 - a, a), ti.select(upper > 0.0, 1.0 - b, b)


@ti.func
def _octahedron(fraction, total: ti.f32):
    """The two extra vertices of a point in the octahedron between the two tetrahedra."""
    pair = total - fraction  # sum of the other two fractions
    score = ti.abs(pair - 1.0)
    x_worst = (score.x <= score.y) & (score.x <= score.z)
    y_worst = (1 - x_worst) & (score.y <= score.z)
    z_worst = 1 - x_worst - y_worst
    worst = vec3(x_worst, y_worst, z_worst)
    i, j = vec3(z_worst, x_worst, y_worst), vec3(y_worst, z_worst, x_worst)  # the axes after it
    far_i, far_j = i.dot(pair) > 1.0, j.dot(pair) > 1.0
    other, far = ti.select(far_i, i, j), ti.select(far_i, j, i)
    a = ti.select(far_i == far_j, vec3(far_i), 1.0 - 2.0 * other)
    b = ti.select(far_i == far_j, ti.select(far_i, 2.0 * worst, 1.0 - 2.0 * worst), 2.0 * far)
    return a, b


@ti.func
def noise(params: ti.template(), o: ti.i32, p) -> ti.f32:
    """OpenSimplex noise at `p`; the permutation's 256 entries stand in `params` from `o` on.

    Without branches, so that LLVM can evaluate several points at once.
    """
    stretched = p - p.sum() / 6.0
    corner = ti.floor(stretched)
    cell = ti.cast(corner, ti.i32)
    fraction = stretched - corner
    total = fraction.sum()
    inside = p - corner - corner.sum() * _SQUISH
    upper = ti.cast(total >= 2.0, ti.f32)
    outer = (total <= 1.0) | (total >= 2.0)
    outer_a, outer_b = _outer_tetrahedron(fraction, total, upper)
    inner_a, inner_b = _octahedron(fraction, total)
    value = _contribution(params, o, cell, inside, ti.select(outer, outer_a, inner_a))
    value += _contribution(params, o, cell, inside, ti.select(outer, outer_b, inner_b))
    # a tetrahedron has its corner and three vertices, the octahedron three and three
    others = 0.0
    for k in ti.static(range(3)):
        axis = vec3(k == 0, k == 1, k == 2)
        value += _contribution(params, o, cell, inside, ti.select(upper > 0.0, 1.0 - axis, axis))
        last = 1.0 - axis
        if ti.static(k == 0):
            last = ti.select(outer, vec3(upper), last)
            value += _contribution(params, o, cell, inside, last)
        else:
            others += _contribution(params, o, cell, inside, last)
    return (value + ti.select(outer, 0.0, others)) / _NORM
