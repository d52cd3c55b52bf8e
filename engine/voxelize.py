"""From a program to a labelled volume: what a structure cannot reach is culled, what it fills is known at once.

Tiles, their blocks and the blocks' bricks that a span's field cannot reach are left out, those that it fills are known
to be full (Barbier et al. 2025, Lipschitz Pruning, doi 10.1111/cgf.70057); both follow from |f(c)| > L * half diagonal,
so the result equals the dense evaluation bit for bit. A brick, 2 x 2 x 2 voxels that a surface may cross, is sampled in
its middle and at its voxels' centres; the nine values give the field's gradient and curvature, and with them the share
of each voxel that the surface cuts off, exact for planes and close to it for surfaces that bend gently.

Where the field is not close to linear, four samples in a voxel, on a tetrahedron at Gauss points, integrate quadratic
fields exactly, so that small spheres keep their volume. Where that does not do, the voxel's octants are judged as a
brick's voxels are, and where even that fails, the voxel is sampled 5 x 5 x 5 times. Where several surfaces cross one
voxel, their planes share it out on a lattice, in painting order: neighbours that touch leave no gap.

Eight of a kind are always evaluated together: tiles, blocks, bricks, voxels, points (see `program.field`).
"""

import taichi as ti
import torch

from engine.compile import compile_scene, strokes
from engine.cull import BLOCK, CROSSED, INSIDE, OUTSIDE, SLACK, SPAN_BITS, TILE, cull, every_span
from engine.device import device, kernel
from engine.displacement import displacement
from engine.errors import UserError
from engine.grid import Grid
from engine.memory import require
from engine.position import position
from engine.program import CREASED, LANES, Program, field
from engine.scene.model import Scene
from engine.volume import Volume

#: Bytes per voxel that voxelising needs: the three arrays, and room for the tiles' lists.
BYTES_PER_VOXEL = 6
#: Voxels of a block of 2 x 2 x 2 bricks.
_VOXELS = BLOCK**3
#: The bits of an entry that hold the span.
_SPAN = (1 << SPAN_BITS) - 1
#: A field that departs from its mean by more than this share of a voxel is bent.
_BENT = 0.05
#: A field that departs in a brick from a linear one by more than this share of a voxel is not judged by the brick.
_CURVED = 0.08
#: Where the field exceeds what a linear one changes by, and so many times its bend, no surface crosses.
_MARGIN = 3.0
#: The same for a voxel by its eight octants, per edge of those.
_OCTANTS = 0.15
#: Points along an axis where that does not do either.
_FINE = 5
#: Surfaces that a voxel can hold, and points along an axis when it is shared out among them.
_LAYERS = 8
_SUB = 6
#: Gauss point of the interval [-1/2, 1/2].
_GAUSS = 0.28867513
vec3 = ti.math.vec3


def voxelize(scene: Scene, grid: Grid | None = None, dense: bool = False) -> Volume:
    """The labelled volume of a sampled scene.

    Args:
        scene: a scene without distributions (`Scene.sample`).
        grid: where to put the voxels; the scene's own grid by default.
        dense: evaluate every structure in every voxel (slow; the result is the same).
    """
    grid = grid or scene.grid.grid()
    require(grid.shape, BYTES_PER_VOXEL, f"scene '{scene.name}'")
    program, structures = compile_scene(scene)
    if len(program.spans) >> SPAN_BITS:
        raise UserError(f"scene '{scene.name}' draws {len(program.spans)} copies; at most {_SPAN} fit")
    top = torch.zeros(grid.shape, dtype=torch.uint8, device=device())
    under = torch.zeros_like(top)
    coverage = torch.full_like(top, 255)
    if program.spans:
        paint(program, grid, (top, under, coverage), dense)
    moved = displacement(scene, grid) if strokes(scene, scene.phase) else None
    return Volume(grid, top, under, coverage, structures, scene.phase, moved)


def paint(program: Program, grid: Grid, out: tuple[torch.Tensor, torch.Tensor, torch.Tensor], dense: bool) -> None:
    """Fill `out` (top, under, coverage) with the program's spans."""
    lists = every_span(program, grid) if dense else cull(program, grid)
    whole, real = program.tables
    axes = torch.tensor(grid.axes, dtype=torch.float32).to(device())
    origin = torch.tensor(grid.origin, dtype=torch.float32).to(device())
    clipped = program.family.all(dim=1).logical_not().to(torch.int32).to(device())
    family = program.family.to(torch.uint8).to(device())
    tables = (program.code, program.params, whole, real, clipped, family, axes, origin)
    _fill(*out, lists.first, lists.entries, *tables, int(dense))


@ti.func
def _half_diagonal(axes: ti.template(), edge: ti.f32) -> ti.f32:
    """Half the diagonal (mm) of a block `edge` voxels wide."""
    square = 0.0
    for j in ti.static(range(3)):
        for k in ti.static(range(3)):
            square += axes[j, k] * axes[j, k]
    return 0.5 * edge * ti.sqrt(square)


@ti.func
def _within(real: ti.template(), s: ti.i32, points: ti.template(), k: ti.i32, slack: ti.f32) -> ti.i32:
    """Whether one of `points` is at most `slack` mm outside a span's ball."""
    p = vec3(points[k], points[LANES + k], points[2 * LANES + k])
    return int((p - vec3(real[s, 0], real[s, 1], real[s, 2])).norm() - real[s, 3] <= slack)


@ti.func
def _sides(d: ti.template(), points: ti.template(), real: ti.template(), s: ti.i32, half: ti.f32):
    """How cells lie to a span's surface, given its field `d` in their middles `points` and half their diagonal (mm)."""
    side = ti.Vector([OUTSIDE] * LANES)
    for k in range(LANES):
        if _within(real, s, points, k, half):
            if ti.abs(d[k]) <= real[s, 4] * half:
                side[k] = CROSSED
            elif d[k] < 0.0:
                side[k] = INSIDE
    return side


@ti.func
def _half_space(mean: ti.f32, gradient) -> ti.f32:
    """Share of the unit cube where mean + gradient . u < 0, u in [-1/2, 1/2]^3.

    The cube's cut volume of Scardovelli & Zaleski 2000 (doi 10.1006/jcph.2000.6567), by inclusion and exclusion; slopes
    are kept from vanishing so that it stays well conditioned in single precision.
    """
    g = ti.abs(gradient)
    total = ti.max(g.sum(), 1e-12)
    m = ti.max(g / total, 0.01)
    m /= m.sum()
    a = ti.math.clamp(0.5 - mean / total, 0.0, 1.0)
    share = a * a * a
    for j in ti.static(range(3)):
        share -= ti.max(a - m[j], 0.0) ** 3
        share += ti.max(a - 1.0 + m[j], 0.0) ** 3
    return ti.math.clamp(share / (6.0 * m.x * m.y * m.z), 0.0, 1.0)


@ti.func
def _tetrahedron(k: ti.i32):
    """Corners of a tetrahedron at Gauss points of the unit cube around the origin."""
    x, y = 1.0 - 2.0 * (k & 1), 1.0 - 2.0 * (k >> 1)
    return _GAUSS * vec3(x, y, x * y)


@ti.func
def _sub_voxel(k: ti.i32, n: ti.i32):
    """The k-th of n^3 points of a lattice in the unit cube around the origin."""
    return (vec3(k % n, (k // n) % n, k // (n * n)) + 0.5) / n - 0.5


@ti.func
def _share_out(
    base: ti.i32, rows: ti.template(), planes: ti.template(), start: ti.i32, layers: ti.i32,
    clipped: ti.template(), family: ti.template(),
):  # fmt: skip
    """The two rows with the largest shares of a voxel that several planes cut, and the first one's part of both.

    Points of a lattice are given to the last layer that holds them and may paint there; the voxel's layers stand in
    `rows` and `planes` from `start` on. Which rows are in the voxel matters more than how finely: the planes are exact
    to second order, the lattice to about 1 / 100.
    """
    counts = ti.Vector([0] * (_LAYERS + 1))
    for k in range(_SUB**3):
        u = _sub_voxel(k, _SUB)
        owner, owner_row = 0, base
        for j in range(layers):
            row, q = rows[start + j], 4 * (start + j)
            holds = planes[q] + planes[q + 1] * u.x + planes[q + 2] * u.y + planes[q + 3] * u.z < 0.0
            if holds and (clipped[row] == 0 or family[row, owner_row] != 0):
                owner, owner_row = j + 1, row
        counts[owner] += 1
    # copies of one structure count together
    for j in range(1, layers):
        for i in range(j):
            if rows[start + i] == rows[start + j]:
                counts[i + 1] += counts[j + 1]
                counts[j + 1] = 0
    first, second = 0, -1
    for j in range(1, layers + 1):
        if counts[j] > counts[first]:
            first = j
    for j in range(layers + 1):
        if j != first and (second < 0 or counts[j] > counts[second]):
            second = j
    a = base if first == 0 else rows[start + first - 1]
    b = base if second == 0 else rows[start + second - 1]
    return a, b, float(counts[first]) / float(counts[first] + counts[second])


@ti.func
def _curvature(middle: ti.f32, values):
    """Derivatives of a field in a brick, per voxel edge, from its value in the `middle` and `values` at its voxels.

    Returns the gradient in the middle, the mixed second derivatives (yz, xz, xy), the Laplacian, and how far the field
    departs from a linear one.
    """
    mean, odd = 0.0, 0.0
    gradient, mixed = vec3(0.0), vec3(0.0)
    for k in ti.static(range(8)):
        x, y, z = ti.static(2.0 * (k & 1) - 1.0, 2.0 * (k >> 1 & 1) - 1.0, 2.0 * (k >> 2) - 1.0)
        d = values[k]
        mean += 0.125 * d
        gradient += 0.25 * d * vec3(x, y, z)
        mixed += 0.5 * d * vec3(y * z, x * z, x * y)
        odd += 0.125 * d * (x * y * z)
    rise = mean - middle
    return gradient, mixed, 8.0 * rise, ti.abs(rise) + 0.25 * mixed.norm() + ti.abs(odd)


@kernel
def _fill(
    top: ti.types.ndarray(ti.u8, ndim=3),
    under: ti.types.ndarray(ti.u8, ndim=3),
    coverage: ti.types.ndarray(ti.u8, ndim=3),
    first: ti.types.ndarray(ti.i32, ndim=1),
    entries: ti.types.ndarray(ti.i32, ndim=1),
    code: ti.types.ndarray(ti.i32, ndim=2),
    params: ti.types.ndarray(ti.f32, ndim=1),
    whole: ti.types.ndarray(ti.i32, ndim=2),
    real: ti.types.ndarray(ti.f32, ndim=2),
    clipped: ti.types.ndarray(ti.i32, ndim=1),
    family: ti.types.ndarray(ti.u8, ndim=2),
    axes: ti.types.ndarray(ti.f32, ndim=2),
    origin: ti.types.ndarray(ti.f32, ndim=1),
    dense: ti.i32,
):
    """Blocks of 2 x 2 x 2 bricks; `dense` evaluates every span everywhere, without changing what comes out.

    For each span `stage` goes from the bricks' middles (0) to the voxels of each brick (1 to 8). Voxels of a brick
    whose share is not known from that are `waiting`, as bits, and done one by one: `batch` 0 is the centre and the
    tetrahedron, 1 the octants, further ones are the fine lattice. `field` stands in one place, for compilers take
    seconds on it.
    """
    half = _half_diagonal(axes, 1.0)
    spread = vec3(0.0)  # of the Laplacian on the axes: curvature is as likely along each, per mm
    for j, k in ti.static(ti.ndrange(3, 3)):
        spread[k] += axes[j, k] * axes[j, k]
    spread /= spread.sum()
    for bz, by, bx in ti.ndrange(
        (top.shape[0] + BLOCK - 1) // BLOCK, (top.shape[1] + BLOCK - 1) // BLOCK, (top.shape[2] + BLOCK - 1) // BLOCK
    ):
        ny, nx = (top.shape[1] + TILE - 1) // TILE, (top.shape[2] + TILE - 1) // TILE
        tile = ((bz // 2) * ny + by // 2) * nx + bx // 2
        if first[tile + 1] > first[tile]:
            base, layers = ti.Vector([0] * _VOXELS), ti.Vector([0] * _VOXELS)
            share = ti.Vector([0.0] * _VOXELS)  # of the voxel's last layer
            rows, planes = ti.Vector([0] * (_VOXELS * _LAYERS)), ti.Vector([0.0] * (4 * _VOXELS * _LAYERS))
            block = (bx & 1) + 2 * (by & 1) + 4 * (bz & 1)
            for i in range(first[tile], first[tile + 1]):
                s = entries[i] & _SPAN
                whole_block = entries[i] >> SPAN_BITS + 2 * block & 3
                row = whole[s, 2]
                free, creased = clipped[row] == 0, whole[s, 3] == CREASED
                bound = real[s, 4] * half
                side, middle = ti.Vector([whole_block] * LANES), ti.Vector([0.0] * LANES)
                part, plane = ti.Vector([0.0] * LANES), ti.Vector([0.0] * (4 * LANES))
                waiting, batch, inside, centre = 0, 0, 0, 0.0
                stage = LANES + 1 if whole_block == OUTSIDE else 0
                while stage <= LANES:
                    brick = stage - 1
                    x, y, z, edge = BLOCK * bx, BLOCK * by, BLOCK * bz, 2
                    crossed = whole_block == CROSSED
                    if stage > 0:
                        x, y, z, edge = x + 2 * (brick & 1), y + 2 * (brick >> 1 & 1), z + 2 * (brick >> 2), 1
                        crossed = side[brick] == CROSSED
                    voxel = ti.math.popcnt((waiting & -waiting) - 1)  # the lowest bit's number
                    points, d = ti.Vector([0.0] * (3 * LANES)), ti.Vector([0.0] * LANES)
                    if crossed or dense:
                        for k in range(LANES):
                            u = vec3(k & 1, k >> 1 & 1, k >> 2) * edge + 0.5 * (edge - 1)
                            if waiting != 0:
                                u = vec3(voxel & 1, voxel >> 1 & 1, voxel >> 2)
                                if batch > 1:
                                    u += _sub_voxel(ti.min((batch - 2) * LANES + k, _FINE**3 - 1), _FINE)
                                elif batch == 1:
                                    u += _sub_voxel(k, 2)
                                elif 1 <= k <= 4:
                                    u += _tetrahedron(k - 1)
                            p = position(axes, origin, x + u.x, y + u.y, z + u.z)
                            for j in ti.static(range(3)):
                                points[j * LANES + k] = p[j]
                        d = field(code, params, whole[s, 0], whole[s, 1], points)
                    if stage == 0:
                        if crossed:
                            side, middle = _sides(d, points, real, s, 2.0 * half + SLACK), d
                    elif waiting == 0:
                        gradient, mixed, laplacian, bent = _curvature(middle[brick], d)
                        judged = whole[s, 3] == 0 and bent <= _CURVED * gradient.norm()
                        for k in range(LANES):
                            part[k], plane[4 * k] = float(side[brick] == INSIDE), -1e9
                            if crossed:
                                there = _slope(gradient, mixed, laplacian * spread, k)
                                if ti.abs(d[k]) >= _reach(bound, there, bent, creased):
                                    part[k] = float(d[k] < 0.0)
                                elif judged:
                                    part[k] = _half_space(d[k] + laplacian / 24.0, there)
                                    _put(plane, k, d[k] + laplacian / 24.0, there)
                                else:
                                    waiting |= 1 << k
                    elif batch == 0:
                        mean, gradient = 0.0, vec3(0.0)
                        for k in range(4):
                            mean += 0.25 * d[k + 1]
                            gradient += d[k + 1] * _tetrahedron(k) * (0.25 / (_GAUSS * _GAUSS))
                        _put(plane, voxel, mean, gradient)
                        bent = ti.abs(mean - d[0])
                        if ti.abs(d[0]) >= _reach(bound, gradient, bent, creased):
                            part[voxel] = float(d[0] < 0.0)
                            waiting &= waiting - 1
                        elif bent <= _BENT * gradient.norm():
                            part[voxel] = _half_space(mean, gradient)
                            waiting &= waiting - 1
                        else:
                            batch, inside, centre = 1, 0, d[0]
                    elif batch == 1:
                        gradient, mixed, laplacian, bent = _curvature(centre, d)
                        if not creased and bent <= _OCTANTS * gradient.norm():
                            total = 0.0
                            for k in range(LANES):
                                there = _slope(gradient, mixed, laplacian * spread, k)
                                total += _half_space(d[k] + laplacian / 24.0, there)
                            part[voxel] = total / LANES
                            waiting &= waiting - 1
                            batch = 0
                        else:
                            batch = 2
                    else:
                        for k in range(ti.min(LANES, _FINE**3 - (batch - 2) * LANES)):
                            inside += int(d[k] < 0.0)
                        batch += 1
                        if (batch - 2) * LANES >= _FINE**3:
                            part[voxel] = float(inside) / _FINE**3
                            waiting &= waiting - 1
                            batch = 0
                    if waiting == 0:
                        if stage > 0 and side[brick] != OUTSIDE:
                            for k in range(LANES):
                                v = brick * LANES + k
                                alone = layers[v] == 0
                                fits = free or family[row, base[v]] != 0
                                if part[k] >= 1.0 and (free or (alone and fits)):
                                    base[v], layers[v] = row, 0  # it covers whatever was painted before
                                elif part[k] > 0.0 and (fits or not alone):
                                    q = v * _LAYERS + ti.min(layers[v], _LAYERS - 1)
                                    rows[q], share[v] = row, part[k]
                                    for j in ti.static(range(4)):
                                        planes[4 * q + j] = plane[4 * k + j]
                                    if part[k] >= 1.0:
                                        planes[4 * q] = -1e9
                                    layers[v] = ti.min(layers[v], _LAYERS - 1) + 1
                        stage += 1
            for v in range(_VOXELS):
                x = BLOCK * bx + 2 * (v >> 3 & 1) + (v & 1)
                y = BLOCK * by + 2 * (v >> 4 & 1) + (v >> 1 & 1)
                z = BLOCK * bz + 2 * (v >> 5) + (v >> 2 & 1)
                if x < top.shape[2] and y < top.shape[1] and z < top.shape[0]:
                    a, b, most = base[v], base[v], 1.0
                    if layers[v] == 1:
                        a, b, most = _larger_first(base[v], rows[v * _LAYERS], share[v])
                    elif layers[v] > 1:
                        a, b, most = _share_out(base[v], rows, planes, v * _LAYERS, layers[v], clipped, family)
                    _write(top, under, coverage, z, y, x, a, b, most)


@ti.func
def _slope(gradient, mixed, laplacian, k: ti.i32):
    """The gradient in the k-th of eight cells, given the derivatives in their middle (`laplacian`: along each axis)."""
    u = vec3(k & 1, k >> 1 & 1, k >> 2) - 0.5
    turn = vec3(mixed.z * u.y + mixed.y * u.z, mixed.z * u.x + mixed.x * u.z, mixed.y * u.x + mixed.x * u.y)
    return gradient + laplacian * u + turn


@ti.func
def _reach(bound: ti.f32, gradient, bent: ti.f32, creased: ti.i32) -> ti.f32:
    """The value at a voxel's centre from which on no surface crosses it: by the Lipschitz bound, or by what a field of
    that gradient changes by in a voxel and a multiple of its bend."""
    return bound if creased else ti.min(bound, 0.5 * ti.abs(gradient).sum() + _MARGIN * bent)


@ti.func
def _put(plane: ti.template(), k: ti.i32, mean: ti.f32, gradient):
    """Set the k-th of some planes, mean + gradient . u = 0."""
    plane[4 * k] = mean
    for j in ti.static(range(3)):
        plane[4 * k + 1 + j] = gradient[j]


@ti.func
def _larger_first(base: ti.i32, row: ti.i32, share: ti.f32):
    """Two rows, of which `row` has `share` of the voxel: the larger one, the other, and the larger one's share."""
    a, b, most = base, row, 1.0 - share
    if share > 0.5:
        a, b, most = row, base, share
    return a, b, most


@ti.func
def _write(
    top: ti.template(), under: ti.template(), coverage: ti.template(), z: ti.i32, y: ti.i32, x: ti.i32,
    a: ti.i32, b: ti.i32, most: ti.f32,
):  # fmt: skip
    """Put two rows and the first one's share into a voxel; a share below half a step of the 8-bit scale is none."""
    step = ti.round(most * 255.0)
    top[z, y, x] = ti.cast(a, ti.u8)
    under[z, y, x] = ti.cast(a if step >= 255.0 else b, ti.u8)
    coverage[z, y, x] = ti.cast(step, ti.u8)
