"""Shapes against what geometry says of them: volumes, distances, thicknesses."""

import math

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.ndimage import distance_transform_edt

from engine.compile import compile_scene
from engine.nodes import SHAPES
from engine.shapes.cortex import SHALLOW, gyri
from engine.voxelize import voxelize
from tests.engine.scenes import scene_of


def field_of(**body):
    program, _ = compile_scene(scene_of(body))
    return lambda points: program.evaluate(np.atleast_2d(points), 0)


def points(count=4000, reach=25.0, seed=0):
    return np.random.default_rng(seed).uniform(-reach, reach, (count, 3))


@pytest.mark.parametrize("exponents", [(1, 1), (0.3, 1), (1.4, 0.6), (2, 2)])
def test_superellipsoid_has_its_volume(exponents):
    """2 abc e1 e2 B(e1/2 + 1, e1) B(e2/2, e2/2) (Jaklic, Leonardis & Solina 2000)."""
    (a, b, c), (e1, e2) = radii, _ = (15, 12, 9), exponents

    def beta(x, y):
        return math.gamma(x) * math.gamma(y) / math.gamma(x + y)

    volume = voxelize(scene_of({"kind": "superellipsoid", "radii": radii, "exponents": exponents}))
    expected = 2 * a * b * c * e1 * e2 * beta(e1 / 2 + 1, e1) * beta(e2 / 2, e2 / 2)
    assert volume.measure("s0") == pytest.approx(expected, rel=0.003)


def test_superellipsoid_with_exponents_of_one_is_an_ellipsoid():
    where = points()
    plain = field_of(kind="ellipsoid", radii=[9, 14, 6])(where)
    assert field_of(kind="superellipsoid", radii=[9, 14, 6])(where) == pytest.approx(plain, abs=1e-4)


@pytest.mark.parametrize("radii", [(12, 5), (0, 10), (7, 7)])
def test_cone_has_its_volume(radii):
    low, high = radii
    volume = voxelize(scene_of({"kind": "cone", "radii": radii, "height": 24}))
    assert volume.measure("s0") == pytest.approx(math.pi * 24 / 3 * (low**2 + low * high + high**2), rel=0.004)


def test_cylinder_is_a_revolved_box():
    p = points()
    q = np.stack([np.hypot(p[:, 0], p[:, 1]) - (8 - 2), np.abs(p[:, 2]) - (10 - 2)])
    exact = np.linalg.norm(np.maximum(q, 0), axis=0) + np.minimum(q.max(axis=0), 0) - 2
    assert field_of(kind="cone", radii=[8, 8], height=20, round=2)(p) == pytest.approx(exact, abs=1e-4)


def test_a_rounded_cone_touches_the_planes_and_the_side_of_the_sharp_one():
    """Rounding takes off edges only: the middles of both ends and of the side stay where they are."""
    middle = [[0, 0, -11], [0, 0, 11], [8.5, 0, 0]]
    for rounding in (0, 2):
        assert field_of(kind="cone", radii=[12, 5], height=22, round=rounding)(middle) == pytest.approx(0, abs=1e-5)
    edge = [[12, 0, -11]]
    assert field_of(kind="cone", radii=[12, 5], height=22, round=2)(edge)[0] > 0.5


def test_a_rounded_tip_is_a_ball_that_touches_the_side():
    """A cone of half opening angle t: the inscribed ball of radius r has its centre r / sin t from the tip."""
    opening = math.atan2(8, 20)
    top = 10 - 2 / math.sin(opening) + 2
    field = field_of(kind="cone", radii=[8, 0], height=20, round=2)
    assert field([[0, 0, top], [0, 0, top - 2]]) == pytest.approx([0, -2], abs=1e-4)


def test_halfspace_is_the_distance_to_its_plane():
    where = points()
    normal = np.array([1, -2, 2]) / 3
    field = field_of(kind="halfspace", direction=[1e-3, -2e-3, 2e-3], at=[3, 0, 0])
    assert field(where) == pytest.approx((where - [3, 0, 0]) @ normal, abs=1e-4)


def test_capsule_is_the_distance_to_a_segment():
    where, a, b = points(), np.array([-9.0, 2, 1]), np.array([6.0, -3, 4])
    t = np.clip((where - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
    exact = np.linalg.norm(where - a - t[:, None] * (b - a), axis=1) - 5
    assert field_of(kind="capsule", ends=[a.tolist(), b.tolist()], radius=5)(where) == pytest.approx(exact, abs=1e-4)


def test_capsule_has_its_volume():
    volume = voxelize(scene_of({"kind": "capsule", "ends": [[-7, 0, 0], [7, 3, 2]], "radius": 6}))
    length = math.dist([-7, 0, 0], [7, 3, 2])
    assert volume.measure("s0") == pytest.approx(math.pi * 36 * length + 4 / 3 * math.pi * 216, rel=0.003)


def test_a_chain_is_the_nearest_of_its_segments():
    """More segments than a chunk holds, the last chunk not full."""
    rng = np.random.default_rng(4)
    knots = np.cumsum(rng.normal(0, 3, (22, 3)), axis=0)
    where, line = points(500), field_of(kind="tube", points=knots.tolist(), radius=2)
    parts = SHAPES["tube"](points=knots.tolist(), radius=2).segments()
    each = [
        field_of(kind="capsule", ends=[s[0, :3].tolist(), s[1, :3].tolist()], radius=2)(where) for s in parts
    ]  # fmt: skip
    assert line(where) == pytest.approx(np.min(each, axis=0), abs=1e-4)


def test_one_metaball_is_a_sphere():
    where = points()
    field = field_of(kind="metaballs", centres=[[1, 2, 3]], radius=7, smooth=5)
    assert field(where) == pytest.approx(np.linalg.norm(where - [1, 2, 3], axis=1) - 7, abs=1e-4)


def test_metaballs_swell_between_their_centres_and_forget_their_order():
    centres, radii = [[-5, 0, 0], [5, 0, 0], [0, 30, 0]], [4, 4, 3]
    field = field_of(kind="metaballs", centres=centres, radius=radii, smooth=6)
    turned = field_of(kind="metaballs", centres=centres[::-1], radius=radii[::-1], smooth=6)
    where = points()
    assert field([[0, 0, 0]])[0] == pytest.approx(5 - 4 - 6 / 4, abs=1e-4)
    assert turned(where) == pytest.approx(field(where), abs=1e-4)


def test_metaballs_without_smoothing_are_a_union():
    where = points()
    centres = np.array([[-5, 0, 0], [5, 3, 0], [0, -4, 6]])
    exact = (np.linalg.norm(where[:, None] - centres, axis=2) - [4, 6, 5]).min(axis=1)
    field = field_of(kind="metaballs", centres=centres.tolist(), radius=[4, 6, 5], smooth=0)
    assert field(where) == pytest.approx(exact, abs=1e-3)


def depth_inside(body, spacing, size):
    """Distance (mm) of each voxel to the nearest one outside, by an exact distance transform, and the field there."""
    scene = scene_of(body, size=size, spacing=spacing)
    grid = scene.grid.grid()
    index = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), -1)[..., ::-1].reshape(-1, 3)
    values = compile_scene(scene)[0].evaluate(grid.to_world(index), 0).reshape(size, size, size)
    return distance_transform_edt(values < 0, sampling=spacing) - spacing / 2, values


def test_a_flat_sheet_is_a_plate():
    where = points()
    q = np.abs(where) - [14, 10, 2]
    field = field_of(kind="sheet", size=[28, 20], thickness=4)
    assert ((field(where) < 0) == (q.max(axis=1) < 0)).all()
    assert field([[3, 2, 1], [3, 2, 2.2], [16, 0, 0]]) == pytest.approx([-1, 0.2, 2], abs=1e-5)


def test_a_domed_sheet_is_a_cap_of_a_sphere():
    where = points(20_000, reach=14)
    field = field_of(kind="sheet", size=[28, 28], thickness=3, dome=40)(where)
    exact = np.abs(np.linalg.norm(where - np.array([0, 0, -40]), axis=1) - 40) - 1.5
    near = (np.abs(exact) < 0.3) & (np.abs(where[:, :2]).max(axis=1) < 13)
    assert field[near] == pytest.approx(exact[near], abs=0.05)


@pytest.mark.parametrize("wander", [0, 0.8])
def test_a_folded_sheet_is_as_thick_on_slopes_as_on_crests(wander):
    body = {
        "kind": "sheet",
        "size": [24, 20],
        "thickness": 3,
        "folds": 3,
        "wavelength": 16,
        "wander": wander,
        "seed": 4,
    }
    deep, values = depth_inside(body, 0.4, 66)
    middle = (values < -1.4) & (np.abs(np.indices(values.shape)[1:] - 32.5) * 0.4 < 8).all(axis=0)
    assert np.percentile(deep[middle], 2) > 1.15  # half of a plate cut straight down would be 0.7 mm there
    assert np.percentile(deep[middle], 98) < 1.65


@pytest.mark.parametrize("seed", [1, 2])
def test_cortex_keeps_a_ribbon_of_even_width(seed):
    """Points of the white matter's surface lie `inset` mm below that of the cortex, a little more where sulci meet."""
    body = {"kind": "cortex", "radii": [24, 28, 22], "wavelength": 12, "depth": 7, "width": 1.2, "seed": seed}
    deep, values = depth_inside(body, 0.6, 96)
    surface = np.abs(values + 2.4) < 0.15
    assert surface.sum() > 5000
    assert np.median(deep[surface]) == pytest.approx(2.4, abs=0.15)
    assert np.percentile(deep[surface], 5) > 1.9
    assert np.percentile(deep[surface], 75) < 2.9
    assert np.percentile(deep[surface], 95) < 3.8


def test_cortex_is_folded():
    """Its sulci take the surface well below the ellipsoid, and the surface is far larger than the ellipsoid's."""
    body = {"kind": "cortex", "radii": [24, 28, 22], "wavelength": 10, "depth": 8, "width": 1, "seed": 3}
    plain = field_of(kind="ellipsoid", radii=[24, 28, 22])
    field, where = field_of(**body), points(200_000, reach=28)
    shell = 1.0

    def area(values):
        return (np.abs(values) < shell / 2).sum()

    assert area(field(where)) > 1.5 * area(plain(where))
    assert (field(where[plain(where) > 0]) > 0).all()


def test_cortex_agrees_with_all_its_points():
    """The lists leave out no point that counts: D2 - D1 over all points gives the same field, at every depth."""
    radii, wavelength, depth, width = np.array([24.0, 28.0, 22.0]), 10.0, 8.0, 1.0
    table = gyri(tuple(radii), wavelength, depth, 3)
    n = int(table[0])
    first = int(table[1 : 1 + 2 * n**3].reshape(-1, 2)[:, 1].sum()) + 1 + 2 * n**3
    sites = table[first:].reshape(-1, 12)
    p = points(20_000, reach=30)
    a = np.linalg.norm(p / radii, axis=1)
    x = p / a[:, None]
    reach, floor = 0.5 * wavelength, min(depth + 0.5 * wavelength, 0.8 * radii.min())
    e = np.minimum(np.maximum((a - 1) * np.linalg.norm(x, axis=1), -floor), (a - 1) * radii.min())
    h = np.clip(-e, 0, depth)
    bend = h * h / (2 * depth)
    moved = sites[:, :3] + (h - bend)[:, None, None] * sites[:, 6:9] + bend[:, None, None] * sites[:, 9:12]
    away = np.linalg.norm(moved - x[:, None], axis=2)
    nearest = away.argmin(axis=1)
    s = []
    for name in (3, 4):
        other = np.where(sites[:, name] == sites[nearest, name][:, None], np.inf, away).min(axis=1)
        s.append(a * np.minimum((other - away.min(axis=1)) / 2, reach) - width / 2)

    def corner(a, b):
        return np.hypot(np.maximum(a, 0), np.maximum(b, 0)) + np.minimum(np.maximum(a, b), 0)

    shallow, k = sites[nearest, 5] * depth, min(SHALLOW[0] * depth / 2, 0.8 * (wavelength - width) / 2)
    body = -np.minimum(corner(s[0], -(shallow + e)), corner(s[1], -(depth + e)))
    field = field_of(kind="cortex", radii=radii.tolist(), wavelength=wavelength, depth=depth, width=width, seed=3)
    assert np.abs(corner(e + k, body + k) - k - field(p)).max() < 2e-3


def test_an_inset_cortex_with_the_same_seed_is_the_same_field():
    where, body = points(), {"kind": "cortex", "radii": 24, "wavelength": 10, "depth": 6, "seed": 7}
    assert field_of(**body, inset=3)(where) == pytest.approx(field_of(**body)(where) + 3, abs=1e-4)


def test_two_structures_share_a_seed_by_a_variable():
    body = {"kind": "cortex", "radii": 18, "wavelength": 8, "depth": 4, "seed": "$folds"}
    scene = scene_of(body, {**body, "inset": 2, "inside": "s0"}, vars={"folds": {"integer": [0, 100000]}})
    one, two = scene.sample(1), scene.sample(2)
    assert one.structures["s0"].seed == one.structures["s1"].seed != two.structures["s0"].seed
    with pytest.raises(ValidationError, match="needs a whole number"):
        scene_of({**body, "seed": {"uniform": [0, 9]}})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"kind": "superellipsoid", "radii": 9, "exponents": [1, 3]}, "less than or equal to 2"),
        ({"kind": "cone", "radii": [0, 0], "height": 9}, "both radii are 0 mm"),
        ({"kind": "cone", "radii": [4, 2], "height": 9, "round": 3.5}, "round is 3.5 mm, more than"),
        ({"kind": "cone", "radii": [9, 9], "height": 6, "round": 3}, "round is 3 mm, more than"),
        ({"kind": "halfspace", "direction": [0, 0, 0]}, "direction must not be"),
        ({"kind": "capsule", "ends": [[0, 0, 0], [0, 0, 2]], "radius": [5, 2]}, "one end lies within the other"),
        ({"kind": "capsule", "ends": [[0, 0, 0], [0, 0, 9]], "radius": [5, 2, 1]}, "3 values for 2 ends"),
        ({"kind": "metaballs", "centres": [[0, 0, 0]], "radius": [1, 2]}, "2 values for 1 centres"),
        ({"kind": "sheet", "size": [40, 30], "thickness": 3, "dome": 20}, "dome is 20 mm, too small .* at least 31 mm"),
        ({"kind": "cortex", "radii": 20, "depth": 11}, "depth is 11 mm, more than half of the smallest radius"),
        ({"kind": "cortex", "radii": 20, "depth": 6, "width": 4}, "width is 4 mm, more than half of the sulci's depth"),
        ({"kind": "cortex", "radii": 60, "wavelength": 4, "width": 1}, "between 5 and 60 mm"),
        ({"kind": "cortex", "radii": 20, "depth": 8, "inset": 12}, "only 12 mm lie below the sulci"),
    ],
)
def test_impossible_shapes_are_refused(body, message):
    with pytest.raises(ValidationError, match=message):
        SHAPES[body["kind"]].model_validate(body)


def test_shapes_may_vary():
    varying = {"uniform": [2, 4]}
    bodies = [
        {"kind": "superellipsoid", "radii": varying, "exponents": [{"uniform": [0.5, 1]}, 1]},
        {"kind": "cone", "radii": [varying, 2], "height": {"uniform": [8, 9]}, "round": {"uniform": [0.1, 0.5]}},
        {"kind": "halfspace", "direction": [varying, 0, 0]},
        {"kind": "capsule", "ends": [[0, 0, varying], [0, 9, 0]], "radius": [varying, 2]},
        {"kind": "metaballs", "centres": [[varying, 0, 0], [0, 0, 0]], "radius": varying, "smooth": varying},
        {"kind": "sheet", "size": [20, {"uniform": [9, 20]}], "thickness": varying, "dome": {"uniform": [30, 40]}},
        {"kind": "cortex", "radii": {"uniform": [20, 30]}, "depth": 6, "inset": varying},
    ]
    scene = scene_of(*bodies)
    assert scene.sample(1) != scene.sample(2)
    assert len(compile_scene(scene.sample(1))[0].spans) == len(bodies)
