"""Deformers: what they do to volumes, that they cannot fold, that their bounds hold."""

# ruff: noqa: E501 (a table of one-line mistakes)

import functools
import math

import numpy as np
import pytest
import taichi as ti
import torch
from pydantic import ValidationError
from scipy.ndimage import map_coordinates

from engine.compile import compile_scene
from engine.deform.bend import Bend
from engine.deform.lattice import Lattice
from engine.deform.sag import Sag
from engine.deform.taper import Taper
from engine.deform.twist import Twist
from engine.deform.warp import RandomWarp
from engine.device import kernel
from engine.errors import UserError
from engine.nodes import DEFORMERS, ORIGIN, Ball, Warp
from engine.scene import Scene
from engine.voxelize import voxelize
from tests.engine.scenes import DEFORM_EXAMPLES, scene_of

BALL = Ball((3.0, -2.0, 4.0), 18.0)
BLOB = {"kind": "blob", "radius": 12, "roughness": 0.6, "seed": 3}


def lattice(*moves, size=(40, 30, 36), resolution=(3, 2, 4)):
    return Lattice(size=size, resolution=resolution, points=[{"at": at, "move": move} for at, move in moves])


#: Two or more of each warp, gentle and strong.
WARPS = {
    "bend": Bend(radius=60),
    "bend-strong": Bend(radius=38),
    "twist": Twist(rate=-1),
    "twist-strong": Twist(rate=12),
    "taper": Taper(low=0.5, high=1.5, length=30),
    "taper-strong": Taper(low=2.5, high=0.3, length=8),
    "sag": Sag(amount=0.2, height=30),
    "sag-strong": Sag(amount=0.5, height=20, direction=(1, -2, 0.5)),
    "warp": RandomWarp(amplitude=2, wavelength=40, seed=0),
    "warp-strong": RandomWarp(amplitude=4, wavelength=20, seed=9),
    "lattice": lattice(((0, 0, 0), (2, 1, -3)), ((2, 1, 3), (-2, 0, 4))),
    "lattice-strong": lattice(((1, 0, 1), (5, -3, 2.5)), ((1, 1, 1), (5, -3, 2.5))),
    "lattice-dense": lattice(((2, 2, 2), (0, 0, 3)), ((3, 3, 3), (2, 0, 0)), resolution=(6, 6, 6)),
}
warps = pytest.mark.parametrize("name", WARPS)


@functools.cache
def _kernel(cls):
    warp = cls.warp

    @kernel
    def apply(
        out: ti.types.ndarray(ti.f32, ndim=2),
        points: ti.types.ndarray(ti.f32, ndim=2),
        params: ti.types.ndarray(ti.f32, ndim=1),
    ):
        for i in range(points.shape[0]):
            q = warp(ti.math.vec3(points[i, 0], points[i, 1], points[i, 2]), params, 0)
            for j in ti.static(range(3)):
                out[i, j] = q[j]

    return apply


def undeformed(node: Warp, points: np.ndarray) -> np.ndarray:
    """Where each point (n, 3) came from."""
    where = torch.from_numpy(np.ascontiguousarray(points, np.float32))
    out = torch.empty_like(where)
    _kernel(type(node))(out, where, torch.from_numpy(np.array(node.pack(), np.float32)))
    return out.numpy().astype(float)


def inside(ball: Ball, n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=(n, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return np.array(ball.centre) + direction * (ball.radius * rng.uniform(0, 1, (n, 1)) ** (1 / 3))


def jacobian(node: Warp, points: np.ndarray, step: float = 0.05) -> np.ndarray:
    """Central differences (n, 3, 3) of the inverse map."""
    columns = [undeformed(node, points + step * e) - undeformed(node, points - step * e) for e in np.eye(3)]
    return np.stack(columns, axis=-1) / (2 * step)


def volume(*deform: dict, body: dict = BLOB, size: int = 80, spacing: float = 0.75) -> float:
    """mm^3 of the deformed body."""
    made = voxelize(scene_of({**body, "deform": list(deform)}, size=size, spacing=spacing))
    return float(made.fraction("s0").double().sum()) * spacing**3


# --- every warp -------------------------------------------------------------------------------------------------------


@warps
def test_stretch_keeps_its_bound(name):
    node = WARPS[name]
    ball = node.deformed(BALL)
    stretch = np.linalg.norm(jacobian(node, inside(ball, 20_000)), 2, axis=(1, 2))
    assert stretch.max() <= node.lipschitz(ball) * 1.001 + 1e-3
    assert stretch.max() > 0.4 * node.lipschitz(ball)


@warps
def test_no_fold(name):
    node = WARPS[name]
    assert np.linalg.det(jacobian(node, inside(node.deformed(BALL), 20_000))).min() > 0


@warps
def test_deformed_ball_holds_what_came_from_the_ball(name):
    node = WARPS[name]
    ball = node.deformed(BALL)
    points = inside(ball.grown(8), 40_000)
    came_from = np.linalg.norm(undeformed(node, points) - np.array(BALL.centre), axis=1) <= BALL.radius - 1e-3
    beyond = np.linalg.norm(points - np.array(ball.centre), axis=1) > ball.radius
    if name.startswith("bend"):  # far behind its centre an arc meets itself; the ball keeps clear of it
        beyond &= points[:, 0] < node.radius
    assert came_from.any()
    assert not (came_from & beyond).any()


@pytest.mark.parametrize("name", [n for n in WARPS if DEFORMERS[n.split("-")[0]].keeps_volume])
def test_determinant_is_one_where_volume_is_kept(name):
    node = WARPS[name]
    off = np.abs(np.linalg.det(jacobian(node, inside(node.deformed(BALL), 20_000))) - 1)
    assert np.quantile(off, 0.98) < 0.01  # where the ends of a sagging organ begin, differences straddle a kink


@pytest.mark.parametrize("name", [name for name, cls in DEFORMERS.items() if cls.keeps_volume])
def test_volume_is_kept(name):
    assert volume({name: DEFORM_EXAMPLES[name]}) == pytest.approx(volume(), rel=5e-3)


def test_those_that_keep_volume():
    assert {name for name, cls in DEFORMERS.items() if cls.keeps_volume} == {"sag", "twist", "warp"}


@pytest.mark.parametrize("name", ["warp", "lattice"])
def test_shapes_without_end_can_be_warped(name):
    scene = scene_of({"kind": "slab", "axis": "z", "thickness": 11, "deform": [{name: DEFORM_EXAMPLES[name]}]})
    culled, dense = voxelize(scene), voxelize(scene, dense=True)
    assert (culled.coverage == dense.coverage).all()
    assert 11 * 0.8 < float(culled.fraction("s0").sum()) / 40**2 < 11 * 1.2


@pytest.mark.parametrize("name", ["sag", "taper"])
def test_others_refuse_them(name):
    scene = scene_of({"kind": "slab", "thickness": 11, "deform": [{name: DEFORM_EXAMPLES[name]}]})
    with pytest.raises(UserError, match=r"structures.s0: a shape without end"):
        compile_scene(scene)


# --- one by one -------------------------------------------------------------------------------------------------------


def test_bend_changes_volume_by_the_centroid():
    body = {"kind": "box", "size": [8, 12, 30], "round": 1}
    off = {"kind": "blend", "parts": [{**body, "at": [5, 0, 0]}]}
    assert volume({"bend": {"radius": 60}}, body=body) == pytest.approx(volume(body=body), rel=3e-3)
    assert volume({"bend": {"radius": 60}}, body=off) == pytest.approx(volume(body=body) * (1 - 5 / 60), rel=3e-3)


def test_bend_lays_the_axis_on_its_arc():
    angle = np.linspace(-0.4, 0.4, 9)
    arc = np.stack([60 - 60 * np.cos(angle), 0 * angle, 60 * np.sin(angle)], axis=1)
    axis = np.stack([0 * angle, 0 * angle, 60 * angle], axis=1)
    assert np.abs(undeformed(Bend(radius=60), arc) - axis).max() < 1e-3


def test_twist_turns_planes():
    points = inside(BALL, 500)
    x, y, z = undeformed(Twist(rate=3), points).T
    turn = np.exp(1j * np.radians(3) * points[:, 2])
    assert np.abs((x + 1j * y) * turn - (points[:, 0] + 1j * points[:, 1])).max() < 1e-4
    assert np.abs(z - points[:, 2]).max() < 1e-6


@pytest.mark.parametrize(("low", "high"), [(1.4, 0.5), (0.6, 1.2)])
def test_taper_makes_a_frustum(low, high):
    box = {"kind": "box", "size": [20, 16, 30]}
    expected = 20 * 16 * 30 * (low**2 + low * high + high**2) / 3
    taper = {"taper": {"low": low, "high": high, "length": 30}}
    assert volume(taper, body=box) == pytest.approx(expected, rel=5e-3)


def test_sag_flattens_by_its_amount_and_widens_the_lower_end():
    tall = {"kind": "box", "size": [14, 30, 14]}
    scene = scene_of({**tall, "deform": [{"sag": {"amount": 0.3, "height": 30}}]}, size=80, spacing=0.5)
    made = voxelize(scene)
    area = made.fraction("s0").double().sum(dim=(0, 2)).numpy() * 0.25  # mm^2 at each y
    assert area.sum() * 0.5 == pytest.approx(14 * 30 * 14, rel=5e-3)
    y = made.grid.origin[1] + 0.5 * np.arange(80)
    share = (y - (15 - 21)) / 21  # from the upper end to the lower one
    within = (share > 0.03) & (share < 0.97)
    assert np.abs(area[within] / 14**2 - (1 + 2 * 0.3 / 0.7 * share[within])).max() < 0.02
    assert area[(share < -0.03) | (share > 1.03)].max() == 0


def test_sag_leaves_directions_alike():
    boxes = [{"kind": "sphere", "radius": 13, "deform": [{"sag": {"amount": 0.3, "height": 26, "direction": d}}]}
             for d in ((0, 1, 0), (0, 5, 0), (0, 0, -1))]  # fmt: skip
    first, longer, up = (voxelize(scene_of(body)).coverage for body in boxes)
    assert (first == longer).all()
    assert (first.float() - up.flip(0).transpose(0, 1)).abs().max() <= 2


def test_warp_is_inverted_shear_by_shear():
    node, points = WARPS["warp-strong"], inside(Ball(ORIGIN, 60), 5000)
    back = undeformed(node, points)
    for k, phi, a in reversed(list(zip(*node.shears(), strict=True))):
        assert abs(k @ a) < 1e-12 * np.linalg.norm(k) * np.linalg.norm(a) + 1e-15
        back = back - np.sin(back @ k + phi)[:, None] * a
    assert np.abs(back - points).max() < 1e-4


def test_warp_moves_by_its_amplitude_in_all_directions_alike():
    points = np.random.default_rng(0).uniform(-200, 200, (2000, 3))
    moved = np.concatenate(
        [undeformed(RandomWarp(amplitude=3, wavelength=25, seed=s), points) - points for s in range(40)]
    )
    assert np.sqrt((moved**2).sum(axis=1).mean()) == pytest.approx(3, rel=0.02)
    assert np.sqrt((moved**2).mean(axis=0)) == pytest.approx(3 / math.sqrt(3), rel=0.05)
    assert np.linalg.norm(moved, axis=1).max() <= 6


def test_warp_bound_is_close_and_far_below_the_product():
    bounds = [RandomWarp(amplitude=4, wavelength=20, seed=s).lipschitz(BALL) for s in range(30)]
    assert min(bounds) > 3
    assert max(bounds) < 8


def test_warps_grow_from_the_scenes_seed():
    scene = scene_of({"kind": "sphere", "radius": 12, "deform": [{"warp": {"amplitude": 2, "wavelength": 20}}]})
    seeds = [scene.sample(1, i).structures["s0"].deform[0].warp.seed for i in (0, 0, 1)]
    assert seeds[0] == seeds[1] != seeds[2]
    assert None not in seeds


@pytest.mark.parametrize("name", ["lattice", "lattice-strong", "lattice-dense"])
def test_lattice_moves_its_points_and_nothing_far_away(name):
    node = WARPS[name]
    n = np.array(node.resolution)
    index = np.stack(np.meshgrid(*map(np.arange, n), indexing="ij"), axis=-1).reshape(-1, 3)
    points = (index - (n - 1) / 2) * node.step()
    moves = {point.at: point.move for point in node.points}
    expected = np.array([moves.get(tuple(i), (0, 0, 0)) for i in index.tolist()])
    assert np.abs(points - undeformed(node, points) - expected).max() < 1e-4
    far = np.random.default_rng(1).uniform(-1, 1, (5000, 3)) * 200
    far = far[(np.abs(far) > np.array(node.size) / 2 + 2 * node.step()).any(axis=1)]
    assert (undeformed(node, far) == far.astype(np.float32)).all()


def test_lattice_is_the_b_spline_of_its_coefficients():
    node, points = WARPS["lattice-dense"], inside(Ball(ORIGIN, 40), 3000)
    c = np.pad(node.coefficients(), [(4, 4)] * 3 + [(0, 0)])
    g = points / node.step() + (np.array(node.resolution) - 1) / 2 + 4
    u = [map_coordinates(c[..., axis], g.T, order=3, prefilter=False, mode="constant") for axis in range(3)]
    assert np.abs(points - undeformed(node, points) - np.stack(u, axis=1)).max() < 1e-4


def test_lattice_bound_is_close_where_one_point_moves():
    node = lattice(((1, 1, 1), (1, 0, 0)), size=(40, 40, 40), resolution=(3, 3, 3))
    steepest = np.linalg.norm(jacobian(node, inside(Ball(ORIGIN, 40), 40_000)) - np.eye(3), 2, axis=(1, 2)).max()
    assert steepest <= node.steepest <= 1.4 * steepest


# --- what cannot be ---------------------------------------------------------------------------------------------------

WRONG = {
    "amplitude": ({"warp": {"amplitude": 5, "wavelength": 20}}, "more than a fifth of the wavelength.*at most 4 mm or a wavelength of at least 25 mm"),
    "fold": ({"lattice": {"size": [20, 20, 20], "points": [{"at": [1, 1, 1], "move": [30, 0, 0]}]}}, r"could fold.*multiply every move by 0\.\d+"),
    "no point": ({"lattice": {"size": [20, 20, 20], "points": [{"at": [1, 3, 1], "move": [1, 0, 0]}]}}, r"points\[0\] is at \[1, 3, 1\].*last point is \[2, 2, 2\]"),
    "twice": ({"lattice": {"size": [20, 20, 20], "points": [{"at": [1, 1, 1], "move": [1, 0, 0]}] * 2}}, r"points\[1\] moves \[1, 1, 1\] a second time"),
    "fine": ({"lattice": {"size": [20, 20, 20], "resolution": [3, 3, 9], "points": []}}, "less than or equal to 6"),
    "nowhere": ({"sag": {"amount": 0.2, "height": 20, "direction": [0, 0, 0]}}, "points nowhere; use"),
    "flat": ({"sag": {"amount": 0.7, "height": 20}}, "less than or equal to 0.5"),
    "thin": ({"taper": {"low": 0.01, "length": 20}}, "greater than or equal to 0.05"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_explained(case):
    deform, message = WRONG[case]
    with pytest.raises(ValidationError, match=message):
        scene_of({**BLOB, "deform": [deform]})


def test_the_advice_for_a_fold_is_enough():
    with pytest.raises(ValidationError, match="could fold") as caught:
        lattice(((1, 1, 1), (30, 8, 0)))
    factor = float(str(caught.value).split("multiply every move by ")[1].split()[0])
    assert lattice(((1, 1, 1), (30 * factor, 8 * factor, 0))).steepest < 0.95


def test_a_draw_that_folds_is_explained():
    move = {"at": [1, 1, 1], "move": [{"uniform": [30, 40]}, 0, 0]}
    scene = scene_of({**BLOB, "deform": [{"lattice": {"size": [20, 20, 20], "points": [move]}}]})
    with pytest.raises(UserError, match=r"seed 3, index 0: structures.*could fold"):
        scene.sample(3)


def test_strong_moves_are_safe_where_neighbours_move_along():
    scene = scene_of({**BLOB, "deform": [{"lattice": {"size": [60, 60, 60], "resolution": [2, 2, 2], "points": [
        {"at": [i, j, k], "move": [12, 0, 0]} for i in (0, 1) for j in (0, 1) for k in (0, 1)
    ]}}]})  # fmt: skip
    made = voxelize(Scene.model_validate(scene.model_dump(exclude_unset=True)))
    x = float((made.fraction("s0") * torch.arange(40)).sum() / made.fraction("s0").sum())
    still = voxelize(scene_of(BLOB))
    assert x - float((still.fraction("s0") * torch.arange(40)).sum() / still.fraction("s0").sum()) > 6


def test_a_shell_of_an_ellipsoid_is_as_thick_as_its_page_says():
    """Thickness along each axis: that given, times the radius over the smallest one."""
    radii, thickness = np.array([40.0, 20.0, 8.0]), 2.0
    body = {"kind": "ellipsoid", "radii": radii.tolist(), "deform": [{"shell": {"thickness": thickness}}]}
    program, _ = compile_scene(scene_of(body))
    for axis, radius in enumerate(radii):
        depth = np.linspace(0.0, radius, 4001)
        wall = program.evaluate((radius - depth)[:, None] * np.eye(3)[axis], 0) < 0
        assert depth[wall].max() == pytest.approx(thickness * radius / radii.min(), abs=0.05)
