"""From a program to a labelled volume: what a structure cannot reach is culled, what it fills is known at once.

Tiles that a span's field cannot reach are left out, those that it fills are marked full (Barbier et al. 2025, Lipschitz
Pruning, doi 10.1111/cgf.70057); both follow from |f(c)| > L * half diagonal, so the result equals the dense evaluation
bit for bit. What is left is visited in bricks of 2 x 2 x 2 voxels. A brick that a surface may cross is sampled at its
middle and at its voxels' centres; the nine values give the field's gradient and curvature, and with them the share of
each voxel that the surface cuts off, exact for planes and close to it for surfaces that bend gently.

Voxels that need more are marked and done one by one: where the field is not close to linear, four samples on a
tetrahedron at Gauss points integrate quadratic fields exactly, so that small spheres keep their volume, and where that
does not do either, the voxel is sampled 5 x 5 x 5 times. Where several surfaces cross one voxel, their planes share it
out on a lattice, in painting order: neighbours that touch leave no gap.
"""

import taichi as ti
import torch

from engine.compile import compile_scene, strokes
from engine.device import device, kernel
from engine.displacement import displacement
from engine.grid import Grid
from engine.memory import require
from engine.position import position
from engine.program import Program, field
from engine.scene.model import Scene
from engine.volume import Volume

#: Voxels along the edge of a tile.
TILE = 8
#: Bytes per voxel that voxelising needs: the three arrays, and room for the tiles' lists.
BYTES_PER_VOXEL = 6
#: A field that departs from its mean by more than this share of a voxel is bent.
_BENT = 0.1
#: A field that departs in a brick from a linear one by more than this share of a voxel is not judged by the brick.
_CURVED = 0.08
#: Coverage that marks a voxel for `_refine`; no finished voxel has it.
_MARK = 0
_FINE = 5
#: Surfaces that a voxel can hold, and points along an axis when it is shared out among them.
_LAYERS = 8
_SUB = 6
#: Gauss point of the interval [-1/2, 1/2].
_GAUSS = 0.28867513
#: Float rounding, mm: a tile is culled only beyond it.
_SLACK = 2e-3
_FULL = 1 << 20  # added to a span's number in a tile's list where the tile lies wholly inside

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
        lists[:] = torch.arange(len(program.spans), dtype=torch.int32)
        counts[:] = len(program.spans)
    else:
        _cull(lists, counts, program.code, program.params, whole, real, clipped, axes, origin)
    work = (*out, lists, counts, program.code, program.params, whole, real, clipped, family, axes, origin)
    _fill(*work, int(dense))
    _refine(*work)


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
    for z, y, x in counts:
        middle = 0.5 * (TILE - 1)
        p = position(axes, origin, x * TILE + middle, y * TILE + middle, z * TILE + middle)
        half = _half_diagonal(axes, float(TILE)) + _SLACK
        n = 0
        for s in range(whole.shape[0]):
            away = (p - vec3(real[s, 0], real[s, 1], real[s, 2])).norm() - real[s, 3]
            if away <= half:
                d = field(code, params, whole[s, 0], whole[s, 1], p)
                bound = real[s, 4] * half
                if d < -bound:
                    if clipped[whole[s, 2]] == 0:
                        n = 0  # it covers whatever was painted before
                    lists[z, y, x, n] = s + _FULL
                    n += 1
                elif d <= bound:
                    lists[z, y, x, n] = s
                    n += 1
        counts[z, y, x] = n


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

    The share is exactly 0 or 1 where the field exceeds `bound` at the centre. The interpreter is inlined once: the loop
    visits the centre, then the tetrahedron, then, where the field is bent, a fine lattice, until the share is known.
    """
    centre, mean, gradient, inside = 0.0, 0.0, vec3(0.0), 0.0
    share = -1.0
    i = 0
    while share < 0.0:
        u = vec3(0.0)
        if 1 <= i <= 4:
            k = i - 1
            u = _GAUSS * vec3(1.0 - 2.0 * (k & 1), 1.0 - 2.0 * (k >> 1), (1.0 - 2.0 * (k & 1)) * (1.0 - 2.0 * (k >> 1)))
        elif i > 4:
            u = _sub_voxel(i - 5, _FINE)
        d = field(code, params, start, stop, position(axes, origin, index.x + u.x, index.y + u.y, index.z + u.z))
        if i == 0:
            centre = d
            if ti.abs(d) >= bound:
                share = float(d < 0.0)
        elif i <= 4:
            mean += 0.25 * d
            gradient += d * u * (0.25 / (_GAUSS * _GAUSS))
            if i == 4 and ti.abs(mean - centre) <= _BENT * gradient.norm():
                share = _half_space(mean, gradient)
        else:
            inside += float(d < 0.0)
            if i == 4 + _FINE**3:
                share = inside / _FINE**3
        i += 1
    return share, mean, gradient


@ti.func
def _sub_voxel(k: ti.i32, n: ti.i32):
    """The k-th of n^3 points of a lattice in the unit cube around the origin."""
    return (vec3(k % n, (k // n) % n, k // (n * n)) + 0.5) / n - 0.5


@ti.func
def _share_out(base: ti.i32, rows, planes, layers: ti.i32, clipped: ti.template(), family: ti.template()):
    """The two rows with the largest shares of a voxel that several planes cut, and the first one's part of both.

    Points of a lattice are given to the last layer that holds them and may paint there. Which rows are in the voxel
    matters more than how finely: the planes are exact to second order, the lattice to about 1 / 100.
    """
    counts = ti.Vector([0] * (_LAYERS + 1))
    for k in range(_SUB**3):
        u = _sub_voxel(k, _SUB)
        owner, owner_row = 0, base
        for j in range(layers):
            row = rows[j]
            holds = planes[j, 0] + planes[j, 1] * u.x + planes[j, 2] * u.y + planes[j, 3] * u.z < 0.0
            if holds and (clipped[row] == 0 or family[row, owner_row] != 0):
                owner, owner_row = j + 1, row
        counts[owner] += 1
    # copies of one structure count together
    for j in range(1, layers):
        for i in range(j):
            if rows[i] == rows[j]:
                counts[i + 1] += counts[j + 1]
                counts[j + 1] = 0
    first, second = 0, -1
    for j in range(1, layers + 1):
        if counts[j] > counts[first]:
            first = j
    for j in range(layers + 1):
        if j != first and (second < 0 or counts[j] > counts[second]):
            second = j
    a = base if first == 0 else rows[first - 1]
    b = base if second == 0 else rows[second - 1]
    return a, b, float(counts[first]) / float(counts[first] + counts[second])


@ti.func
def _curvature(values):
    """Derivatives of a field in a brick, per voxel edge, from `values` at its middle and its eight voxels' centres.

    Returns the gradient in the middle, the mixed second derivatives (yz, xz, xy), the Laplacian, and how far the field
    departs from a linear one.
    """
    mean, odd = 0.0, 0.0
    gradient, mixed = vec3(0.0), vec3(0.0)
    for k in ti.static(range(8)):
        x, y, z = ti.static(2.0 * (k & 1) - 1.0, 2.0 * (k >> 1 & 1) - 1.0, 2.0 * (k >> 2) - 1.0)
        d = values[k + 1]
        mean += 0.125 * d
        gradient += 0.25 * d * vec3(x, y, z)
        mixed += 0.5 * d * vec3(y * z, x * z, x * y)
        odd += 0.125 * d * (x * y * z)
    rise = mean - values[0]
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
    """Bricks of 2 x 2 x 2 voxels; `dense` evaluates every span everywhere, without changing what comes out."""
    for bz, by, bx in ti.ndrange((top.shape[0] + 1) // 2, (top.shape[1] + 1) // 2, (top.shape[2] + 1) // 2):
        tz, ty, tx = bz // (TILE // 2), by // (TILE // 2), bx // (TILE // 2)
        listed = counts[tz, ty, tx]
        if listed > 0:
            half = _half_diagonal(axes, 1.0)
            middle = position(axes, origin, 2.0 * bx + 0.5, 2.0 * by + 0.5, 2.0 * bz + 0.5)
            spread = vec3(0.0)  # of the Laplacian on the axes: curvature is as likely along each, per mm
            for j, k in ti.static(ti.ndrange(3, 3)):
                spread[k] += axes[j, k] * axes[j, k]
            spread /= spread.sum()
            base, cut, marked = ti.Vector([0] * 8), ti.Vector([-1] * 8), ti.Vector([0] * 8)
            share = ti.Vector([0.0] * 8)
            for i in range(listed):
                entry = lists[tz, ty, tx, i]
                s = entry % _FULL
                row = whole[s, 2]
                side = -1  # of the surface that the whole brick lies on; 0 where it may cross the brick
                values = ti.Vector([0.0] * 9)
                if entry < _FULL:
                    away = (middle - vec3(real[s, 0], real[s, 1], real[s, 2])).norm() - real[s, 3]
                    reached = away <= 2.0 * half + _SLACK
                    side = 1
                    if reached or dense:
                        wanted = 1
                        k = 0
                        while k < wanted:
                            p = middle
                            if k > 0:
                                p = position(
                                    axes,
                                    origin,
                                    2.0 * bx + (k - 1 & 1),
                                    2.0 * by + (k - 1 >> 1 & 1),
                                    2.0 * bz + (k - 1 >> 2),
                                )
                            d = field(code, params, whole[s, 0], whole[s, 1], p)
                            values[k] = d
                            if k == 0:
                                side = int(d > 0.0) * 2 - 1
                                if ti.abs(d) <= real[s, 4] * 2.0 * half:
                                    side = 0
                                if side == 0 or dense:
                                    wanted = 9
                            k += 1
                        if not reached:
                            side = 1
                gradient, mixed, laplacian, bent = vec3(0.0), vec3(0.0), 0.0, 0.0
                if side == 0:
                    gradient, mixed, laplacian, bent = _curvature(values)
                if side <= 0:
                    rough = whole[s, 3] != 0 or bent > _CURVED * gradient.norm()
                    for k in range(8):
                        part = 1.0
                        if side == 0:
                            d = values[k + 1]
                            if ti.abs(d) >= real[s, 4] * half:
                                part = float(d < 0.0)
                            elif rough:
                                part = -1.0  # not known yet
                            else:
                                v = vec3(k & 1, k >> 1 & 1, k >> 2) - 0.5
                                there = gradient + laplacian * spread * v
                                there.x += mixed.z * v.y + mixed.y * v.z
                                there.y += mixed.z * v.x + mixed.x * v.z
                                there.z += mixed.y * v.x + mixed.x * v.y
                                part = _half_space(d + laplacian / 24.0, there)
                        alone = cut[k] < 0 and marked[k] == 0
                        fits = clipped[row] == 0 or family[row, base[k]] != 0
                        if part >= 1.0 and (clipped[row] == 0 or (alone and fits)):
                            base[k], cut[k], marked[k] = row, -1, 0  # it covers whatever was painted before
                        elif part != 0.0 and (fits or not alone):
                            if part > 0.0 and alone:
                                cut[k], share[k] = row, part
                            else:
                                marked[k] = 1
            for k in range(8):
                x, y, z = 2 * bx + (k & 1), 2 * by + (k >> 1 & 1), 2 * bz + (k >> 2)
                if x < top.shape[2] and y < top.shape[1] and z < top.shape[0]:
                    if marked[k] == 1:
                        coverage[z, y, x] = ti.cast(_MARK, ti.u8)
                    else:
                        a, b, most = base[k], base[k], 1.0
                        if cut[k] >= 0:
                            a, b, most = _larger_first(base[k], cut[k], share[k])
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


@kernel
def _refine(
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
):
    """Marked voxels, one by one."""
    for z, y, x in top:
        if coverage[z, y, x] == _MARK:
            tz, ty, tx = z // TILE, y // TILE, x // TILE
            half = _half_diagonal(axes, 1.0)
            base, layers, share = 0, 0, 0.0
            rows = ti.Vector([0] * _LAYERS)
            planes = ti.Matrix([[0.0] * 4 for _ in range(_LAYERS)])
            for i in range(counts[tz, ty, tx]):
                entry = lists[tz, ty, tx, i]
                s = entry % _FULL
                row = whole[s, 2]
                part, mean, gradient = 1.0, -1.0, vec3(0.0)
                if entry < _FULL:
                    part = 0.0
                    p = position(axes, origin, float(x), float(y), float(z))
                    if (p - vec3(real[s, 0], real[s, 1], real[s, 2])).norm() <= real[s, 3] + half + _SLACK:
                        part, mean, gradient = _cut(
                            code, params, whole[s, 0], whole[s, 1], axes, origin, vec3(x, y, z), real[s, 4] * half
                        )
                if part >= 1.0 and (clipped[row] == 0 or (layers == 0 and family[row, base] != 0)):
                    base, layers = row, 0  # it covers whatever was painted before
                elif part > 0.0 and (clipped[row] == 0 or layers > 0 or family[row, base] != 0):
                    j = ti.min(layers, _LAYERS - 1)
                    rows[j] = row
                    planes[j, 0] = mean if part < 1.0 else -1e9
                    for k in ti.static(range(3)):
                        planes[j, k + 1] = gradient[k]
                    layers = j + 1
                    share = part
            a, b, most = base, base, 1.0
            if layers == 1:
                a, b, most = _larger_first(base, rows[0], share)
            elif layers > 1:
                a, b, most = _share_out(base, rows, planes, layers, clipped, family)
            _write(top, under, coverage, z, y, x, a, b, most)
