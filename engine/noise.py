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
    """The 256-entry permutation that the `opensimplex` package makes from `seed`: integers in the bits of float32."""
    return np.asarray(OpenSimplex(seed)._perm, np.int32).view(np.float32)


@ti.func
def _axis(i: ti.i32) -> ivec3:
    return ivec3(int(i == 0), int(i == 1), int(i == 2))


@ti.func
def _entry(params: ti.template(), i: ti.i32) -> ti.i32:
    return ti.bit_cast(params[i], ti.i32)


@ti.func
def _contribution(params: ti.template(), o: ti.i32, cell, inside, vertex) -> ti.f32:
    """What lattice vertex `vertex` adds at `inside`; both are offsets from the cell's corner."""
    d = inside - ti.cast(vertex, ti.f32) - ti.cast(vertex.sum(), ti.f32) * _SQUISH
    reach = 2.0 - d.dot(d)
    value = 0.0
    if reach > 0.0:
        at = cell + vertex
        index = _entry(params, o + (at.x & 255))
        index = _entry(params, o + ((index + at.y) & 255))
        index = _entry(params, o + ((index + at.z) & 255)) % 24
        # gradients are the permutations of (11, 4, 4) with every sign: `major` picks the permutation, `signs` the signs
        major, signs = index % 3, index // 3
        x, y, z = d.x * (2.0 * (signs & 1) - 1.0), d.y * (1.0 - (signs & 2)), d.z * (1.0 - 0.5 * (signs & 4))
        slope = 4.0 * (x + y + z) + 7.0 * ti.select(major == 0, x, ti.select(major == 1, y, z))
        reach *= reach
        value = reach * reach * slope
    return value


@ti.func
def _outer_tetrahedron(fraction, total: ti.f32, upper: ti.i32):
    """The two extra vertices of a point in the tetrahedron at the cell's near corner, or, mirrored, at the far one."""
    score = 1.0 - fraction if upper else fraction
    corner = (total - 2.0) if upper else (1.0 - total)
    # axes ordered by score; ties go to the lower axis, as in the package
    first, last = 0, 2
    for i in ti.static(range(1, 3)):
        if score[i] > score[first]:
            first = i
    for i in ti.static((1, 0)):
        if score[i] < score[last]:
            last = i
    if last == first:
        last = 2 if first != 2 else 1
    second = 3 - first - last
    a, b = ivec3(0), ivec3(0)
    if corner > score[second]:
        # the corner is one of the two closest vertices
        a = _axis(first) - _axis(second)
        b = _axis(first) - _axis(last)
    else:
        a = _axis(first) + _axis(second)
        b = a - _axis(last)
    if upper:
        a, b = ivec3(1) - a, ivec3(1) - b
    return a, b


@ti.func
def _octahedron(fraction, total: ti.f32):
    """The two extra vertices of a point in the octahedron between the two tetrahedra."""
    pair = total - fraction  # sum of the other two fractions
    score = ti.abs(pair - 1.0)
    worst = 0
    for i in ti.static(range(1, 3)):
        if score[i] < score[worst]:
            worst = i
    i, j = (worst + 1) % 3, (worst + 2) % 3
    far_i, far_j = pair[i] > 1.0, pair[j] > 1.0
    a, b = ivec3(0), ivec3(0)
    if far_i and far_j:
        a, b = ivec3(1), 2 * _axis(worst)
    elif not far_i and not far_j:
        a, b = ivec3(0), ivec3(1) - 2 * _axis(worst)
    elif far_i:
        a, b = ivec3(1) - 2 * _axis(i), 2 * _axis(j)
    else:
        a, b = ivec3(1) - 2 * _axis(j), 2 * _axis(i)
    return a, b


@ti.func
def noise(params: ti.template(), o: ti.i32, p) -> ti.f32:
    """OpenSimplex noise at `p`; the permutation's 256 entries stand in `params` from `o` on."""
    stretched = p - p.sum() / 6.0
    corner = ti.floor(stretched)
    cell = ti.cast(corner, ti.i32)
    fraction = stretched - corner
    total = fraction.sum()
    inside = p - corner - corner.sum() * _SQUISH
    a, b = ivec3(0), ivec3(0)
    if total <= 1.0 or total >= 2.0:
        a, b = _outer_tetrahedron(fraction, total, int(total >= 2.0))
    else:
        a, b = _octahedron(fraction, total)
    value = _contribution(params, o, cell, inside, a) + _contribution(params, o, cell, inside, b)
    if total <= 1.0 or total >= 2.0:
        value += _contribution(params, o, cell, inside, ivec3(int(total >= 2.0)))
    for k in range(3):
        if total < 2.0:
            value += _contribution(params, o, cell, inside, _axis(k))
        if total > 1.0:
            value += _contribution(params, o, cell, inside, ivec3(1) - _axis(k))
    return value / _NORM
