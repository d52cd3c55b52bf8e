"""From a program to a labelled volume: what a structure cannot reach is culled, what it fills is known at once.

Tiles, their blocks and the blocks' bricks that a span's field cannot reach are left out, those that it fills are known
to be full (Barbier et al. 2025, Lipschitz Pruning, doi 10.1111/cgf.70057); both follow from |f(c)| > L * half diagonal,
so the result equals the dense evaluation bit for bit. A brick, 2 x 2 x 2 voxels that a surface may cross, is sampled in
its middle and at its voxels' centres; the nine values give the field's gradient and curvature, and with them the share
of each voxel that the surface cuts off, exact for planes and close to it for surfaces that bend gently.

Where the field is not close to linear, four samples in a voxel, on a tetrahedron at Gauss points, integrate quadratic
fields exactly, so that small spheres keep their volume, and where that does not do either, the voxel is sampled
5 x 5 x 5 times. Where several surfaces cross one voxel, their planes share it out on a lattice, in painting order:
neighbours that touch leave no gap.

Eight of a kind are always evaluated together: tiles, blocks, bricks, voxels, points (see `program.field`).
"""

import taichi as ti
import torch

from engine.compile import compile_scene, strokes
from engine.device import device, kernel
from engine.displacement import displacement
from engine.errors import UserError
from engine.grid import Grid
from engine.memory import require
from engine.position import position
from engine.program import LANES, Program, field
from engine.scene.model import Scene
from engine.volume import Volume

#: Voxels along the edge of a tile.
TILE = 8
#: Bytes per voxel that voxelising needs: the three arrays, and room for the tiles' lists.
BYTES_PER_VOXEL = 6
#: Voxels of a block of 2 x 2 x 2 bricks.
_BLOCK = 64
#: A field that departs from its mean by more than this share of a voxel is bent.
_BENT = 0.1
#: A field that departs in a brick from a linear one by more than this share of a voxel is not judged by the brick.
_CURVED = 0.08
#: Where the field exceeds what a linear one changes by, and so many times its bend, no surface crosses.
_MARGIN = 3.0
_FINE = 5
#: Surfaces that a voxel can hold, and points along an axis when it is shared out among them.
_LAYERS = 8
_SUB = 6
#: Gauss point of the interval [-1/2, 1/2].
_GAUSS = 0.28867513
#: Float rounding, mm: a tile is culled only beyond it.
_SLACK = 2e-3
#: An entry of a tile's list: a span's number, and above it two bits for how each block of the tile lies to the surface.
_SPAN_BITS = 15
_OUTSIDE, _CROSSED, _INSIDE = 0, 1, 2

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
    if len(program.spans) >> _SPAN_BITS:
        raise UserError(f"scene '{scene.name}' draws {len(program.spans)} copies; at most {(1 << _SPAN_BITS) - 1} fit")
    top = torch.zeros(grid.shape, dtype=torch.uint8, device=device())
    under = torch.zeros_like(top)
    coverage = torch.full_like(top, 255)
    if program.spans:
        paint(program, grid, (top, under, coverage), dense)
    moved = displacement(scene, grid) if strokes(scene, scene.phase) else None
    return Volume(grid, top, under, coverage, structures, scene.phase, moved)


def paint(program: Program, grid: Grid, out: tuple[torch.Tensor, torch.Tensor, torch.Tensor], dense: bool) -> None:
    """Fill `out` (top, under, coverage) with the program's spans."""
    whole, real = program.tables()
    tiles = tuple(-(-n // TILE) for n in grid.shape)
    axes = torch.tensor(grid.axes, dtype=torch.float32).to(device())
    origin = torch.tensor(grid.origin, dtype=torch.float32).to(device())
    lists = torch.empty((*tiles, len(program.spans)), dtype=torch.int32, device=device())
    counts = torch.empty(tiles, dtype=torch.int32, device=device())
    clipped = program.family.all(dim=1).logical_not().to(torch.int32).to(device())
    family = program.family.to(torch.uint8).to(device())
    if dense:
        crossed = sum(_CROSSED << 2 * k for k in range(LANES)) << _SPAN_BITS
        lists[:] = torch.arange(len(program.spans), dtype=torch.int32) + crossed
        counts[:] = len(program.spans)
    else:
        _cull(lists, counts, program.code, program.params, whole, real, clipped, axes, origin)
    tables = (program.code, program.params, whole, real, clipped, family, axes, origin)
    _fill(*out, lists, counts, *tables, int(dense))


@ti.func
def _half_diagonal(axes: ti.template(), edge: ti.f32) -> ti.f32:
    """Half the diagonal (mm) of a block `edge` voxels wide."""
    square = 0.0
    for j in ti.static(range(3)):
        for k in ti.static(range(3)):
            square += axes[j, k] * axes[j, k]
    return 0.5 * edge * ti.sqrt(square)


@kernel
def _cull(
    lists: ti.types.ndarray(ti.i32, ndim=4),
    counts: ti.types.ndarray(ti.i32, ndim=3),
    code: ti.types.ndarray(ti.i32, ndim=2),
    params: ti.types.ndarray(ti.f32, ndim=1),
    whole: ti.types.ndarray(ti.i32, ndim=2),
    real: ti.types.ndarray(ti.f32, ndim=2),
    clipped: ti.types.ndarray(ti.i32, ndim=1),
    axes: ti.types.ndarray(ti.f32, ndim=2),
    origin: ti.types.ndarray(ti.f32, ndim=1),
):
    """Lists of the spans that matter to each tile, for 2 x 2 x 2 tiles at a time."""
    half = _half_diagonal(axes, float(TILE)) + _SLACK
    for gz, gy, gx in ti.ndrange((counts.shape[0] + 1) // 2, (counts.shape[1] + 1) // 2, (counts.shape[2] + 1) // 2):
        tiles = _cells(axes, origin, 2 * TILE * gx, 2 * TILE * gy, 2 * TILE * gz, TILE)
        listed = ti.Vector([0] * LANES)
        for s in range(whole.shape[0]):
            near = 0
            for k in range(LANES):
                near += _within(real, s, tiles, k, half)
            side = ti.Vector([_OUTSIDE] * LANES)
            for n in range(LANES + 1 if near > 0 else 0):
                tile = n - 1
                z, y, x = 2 * gz + (tile >> 2), 2 * gy + (tile >> 1 & 1), 2 * gx + (tile & 1)
                in_grid = n > 0 and z < counts.shape[0] and y < counts.shape[1] and x < counts.shape[2]
                blocks = ti.Vector([_INSIDE] * LANES)
                if n == 0 or (in_grid and side[tile] == _CROSSED):
                    points = tiles
                    if n > 0:
                        points = _cells(axes, origin, TILE * x, TILE * y, TILE * z, TILE // 2)
                    d = field(code, params, whole[s, 0], whole[s, 1], points)
                    blocks = _sides(d, points, real, s, half if n == 0 else 0.5 * half)
                if n == 0:
                    side = blocks
                elif in_grid and side[tile] != _OUTSIDE:
                    entry, inside = 0, 0
                    for k in range(LANES):
                        entry |= blocks[k] << _SPAN_BITS + 2 * k
                        inside += int(blocks[k] == _INSIDE)
                    if inside == LANES and clipped[whole[s, 2]] == 0:
                        listed[tile] = 0  # it covers whatever was painted before
                    if entry != 0:
                        lists[z, y, x, listed[tile]] = entry + s
                        listed[tile] += 1
        for k in range(LANES):
            z, y, x = 2 * gz + (k >> 2), 2 * gy + (k >> 1 & 1), 2 * gx + (k & 1)
            if z < counts.shape[0] and y < counts.shape[1] and x < counts.shape[2]:
                counts[z, y, x] = listed[k]


@ti.func
def _cells(axes: ti.template(), origin: ti.template(), x: ti.i32, y: ti.i32, z: ti.i32, edge: ti.i32):
    """Middles (all x, then y, then z) of the 2 x 2 x 2 cells, `edge` voxels wide, from voxel (x, y, z) on."""
    middles = ti.Vector([0.0] * (3 * LANES))
    to_middle = 0.5 * (edge - 1)
    for k in range(LANES):
        i, j, h = x + edge * (k & 1), y + edge * (k >> 1 & 1), z + edge * (k >> 2)
        p = position(axes, origin, i + to_middle, j + to_middle, h + to_middle)
        for axis in ti.static(range(3)):
            middles[axis * LANES + k] = p[axis]
    return middles


@ti.func
def _within(real: ti.template(), s: ti.i32, points: ti.template(), k: ti.i32, slack: ti.f32) -> ti.i32:
    """Whether one of `points` is at most `slack` mm outside a span's ball."""
    p = vec3(points[k], points[LANES + k], points[2 * LANES + k])
    return int((p - vec3(real[s, 0], real[s, 1], real[s, 2])).norm() - real[s, 3] <= slack)


@ti.func
def _sides(d: ti.template(), points: ti.template(), real: ti.template(), s: ti.i32, half: ti.f32):
    """How cells lie to a span's surface, given its field `d` in their middles `points` and half their diagonal (mm)."""
    side = ti.Vector([_OUTSIDE] * LANES)
    for k in range(LANES):
        if _within(real, s, points, k, half):
            if ti.abs(d[k]) <= real[s, 4] * half:
                side[k] = _CROSSED
            elif d[k] < 0.0:
                side[k] = _INSIDE
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
def _cut(
    code: ti.template(), params: ti.template(), start: ti.i32, stop: ti.i32, axes: ti.template(), origin: ti.template(),
    index, bound: ti.f32,
):  # fmt: skip
    """How a span cuts the voxel at `index` (x, y, z): the share inside, and the plane mean + gradient . u = 0.

    The share is exactly 0 or 1 where the field exceeds `bound` at the centre. The first batch of points holds the
    centre and the tetrahedron; others, where the field is bent, a fine lattice.
    """
    mean, gradient, inside = 0.0, vec3(0.0), 0
    share = -1.0
    batch = 0
    while share < 0.0:
        points = ti.Vector([0.0] * (3 * LANES))
        for k in range(LANES):
            u = vec3(0.0)
            if batch > 0:
                u = _sub_voxel(ti.min((batch - 1) * LANES + k, _FINE**3 - 1), _FINE)
            elif 1 <= k <= 4:
                u = _tetrahedron(k - 1)
            p = position(axes, origin, index.x + u.x, index.y + u.y, index.z + u.z)
            for j in ti.static(range(3)):
                points[j * LANES + k] = p[j]
        d = field(code, params, start, stop, points)
        if batch == 0:
            for k in range(4):
                mean += 0.25 * d[k + 1]
                gradient += d[k + 1] * _tetrahedron(k) * (0.25 / (_GAUSS * _GAUSS))
            bent = ti.abs(mean - d[0])
            if ti.abs(d[0]) >= ti.min(bound, 0.5 * ti.abs(gradient).sum() + _MARGIN * bent):
                share = float(d[0] < 0.0)
            elif bent <= _BENT * gradient.norm():
                share = _half_space(mean, gradient)
        else:
            for k in range(ti.min(LANES, _FINE**3 - (batch - 1) * LANES)):
                inside += int(d[k] < 0.0)
            if batch * LANES >= _FINE**3:
                share = float(inside) / _FINE**3
        batch += 1
    return share, mean, gradient


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
    lists: ti.types.ndarray(ti.i32, ndim=4),
    counts: ti.types.ndarray(ti.i32, ndim=3),
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
    """Blocks of 2 x 2 x 2 bricks; `dense` evaluates every span everywhere, without changing what comes out."""
    half = _half_diagonal(axes, 1.0)
    spread = vec3(0.0)  # of the Laplacian on the axes: curvature is as likely along each, per mm
    for j, k in ti.static(ti.ndrange(3, 3)):
        spread[k] += axes[j, k] * axes[j, k]
    spread /= spread.sum()
    for bz, by, bx in ti.ndrange((top.shape[0] + 3) // 4, (top.shape[1] + 3) // 4, (top.shape[2] + 3) // 4):
        tz, ty, tx = 4 * bz // TILE, 4 * by // TILE, 4 * bx // TILE
        listed = counts[tz, ty, tx]
        if listed > 0:
            base, layers = ti.Vector([0] * _BLOCK), ti.Vector([0] * _BLOCK)
            share = ti.Vector([0.0] * _BLOCK)  # of the voxel's last layer
            rows, planes = ti.Vector([0] * (_BLOCK * _LAYERS)), ti.Vector([0.0] * (4 * _BLOCK * _LAYERS))
            block = (bx & 1) + 2 * (by & 1) + 4 * (bz & 1)
            for i in range(listed):
                entry = lists[tz, ty, tx, i]
                s = entry & ((1 << _SPAN_BITS) - 1)
                whole_block = entry >> _SPAN_BITS + 2 * block & 3
                row = whole[s, 2]
                rough = whole[s, 3] != 0
                bound = real[s, 4] * half
                side, middle = ti.Vector([whole_block] * LANES), ti.Vector([0.0] * LANES)
                for n in range(0 if whole_block == _OUTSIDE else LANES + 1):
                    brick = n - 1
                    x, y, z, edge = 4 * bx, 4 * by, 4 * bz, 2
                    crossed = whole_block == _CROSSED
                    if n > 0:
                        x, y, z, edge = x + 2 * (brick & 1), y + 2 * (brick >> 1 & 1), z + 2 * (brick >> 2), 1
                        crossed = side[brick] == _CROSSED
                    d = ti.Vector([0.0] * LANES)
                    if crossed or dense:
                        points = _cells(axes, origin, x, y, z, edge)
                        d = field(code, params, whole[s, 0], whole[s, 1], points)
                        if n == 0 and crossed:
                            side, middle = _sides(d, points, real, s, 2.0 * half + _SLACK), d
                    if n > 0 and side[brick] != _OUTSIDE:
                        gradient, mixed, laplacian, bent = vec3(0.0), vec3(0.0), 0.0, 0.0
                        if side[brick] == _CROSSED:
                            gradient, mixed, laplacian, bent = _curvature(middle[brick], d)
                        known = not (rough or bent > _CURVED * gradient.norm())
                        for k in range(LANES):
                            v = brick * LANES + k
                            part, mean, there = 1.0, -1e9, vec3(0.0)
                            if side[brick] == _CROSSED:
                                u = vec3(k & 1, k >> 1 & 1, k >> 2)
                                there = gradient + laplacian * spread * (u - 0.5)
                                there.x += mixed.z * (u.y - 0.5) + mixed.y * (u.z - 0.5)
                                there.y += mixed.z * (u.x - 0.5) + mixed.x * (u.z - 0.5)
                                there.z += mixed.y * (u.x - 0.5) + mixed.x * (u.y - 0.5)
                                mean = d[k] + laplacian / 24.0
                                if ti.abs(d[k]) >= ti.min(bound, 0.5 * ti.abs(there).sum() + _MARGIN * bent):
                                    part = float(d[k] < 0.0)
                                elif known:
                                    part = _half_space(mean, there)
                                else:
                                    part, mean, there = _cut(
                                        code, params, whole[s, 0], whole[s, 1], axes, origin, vec3(x, y, z) + u, bound
                                    )
                            free = clipped[row] == 0
                            alone = layers[v] == 0
                            fits = free or family[row, base[v]] != 0
                            if part >= 1.0 and (free or (alone and fits)):
                                base[v], layers[v] = row, 0  # it covers whatever was painted before
                            elif part > 0.0 and (fits or not alone):
                                q = v * _LAYERS + ti.min(layers[v], _LAYERS - 1)
                                rows[q], share[v] = row, part
                                planes[4 * q] = mean if part < 1.0 else -1e9
                                for j in ti.static(range(3)):
                                    planes[4 * q + 1 + j] = there[j]
                                layers[v] = ti.min(layers[v], _LAYERS - 1) + 1
            for v in range(_BLOCK):
                x = 4 * bx + 2 * (v >> 3 & 1) + (v & 1)
                y = 4 * by + 2 * (v >> 4 & 1) + (v >> 1 & 1)
                z = 4 * bz + 2 * (v >> 5) + (v >> 2 & 1)
                if x < top.shape[2] and y < top.shape[1] and z < top.shape[0]:
                    a, b, most = base[v], base[v], 1.0
                    if layers[v] == 1:
                        a, b, most = _larger_first(base[v], rows[v * _LAYERS], share[v])
                    elif layers[v] > 1:
                        a, b, most = _share_out(base[v], rows, planes, v * _LAYERS, layers[v], clipped, family)
                    _write(top, under, coverage, z, y, x, a, b, most)


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
