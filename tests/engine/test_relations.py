"""Neighbours: gaps, contact and pressure, measured on the voxels."""

import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage

from engine.compile import compile_scene
from engine.errors import UserError
from engine.scene import Scene, SceneError
from engine.scene.schema import schema
from engine.voxelize import voxelize
from tests.engine.scenes import every_node, scene_of

NODES = every_node()
NOISE = [{"noise": {"amplitude": 1.5, "wavelength": 12, "seed": 2}}]
SPHERE = {"kind": "sphere", "radius": 10, "at": [-7, 0, 0]}
OTHER = {"kind": "sphere", "radius": 10, "at": [7, 0, 0]}
NEIGHBOURS = {
    "sphere": SPHERE,
    "ellipsoid": {"kind": "ellipsoid", "radii": [16, 10, 7], "at": [-7, 0, 0], "rotate": [10, 40, 20]},
    "noisy": {"kind": "ellipsoid", "radii": [12, 9, 14], "at": [-7, 0, 0], "scale": [1, 1.3, 0.8], "deform": NOISE},
    "blob": {"kind": "blob", "radius": 8, "roughness": 0.2, "seed": 3, "at": [-5, 0, 0]},
    "bent": {"kind": "tube", "points": [[-5, 0, 0]], "length": 30, "radius": 6, "deform": [{"bend": {"radius": 90}}]},
    "pair": {"kind": "sphere", "radius": 6, "at": [8, 4, 0], "mirror": {"axis": "x", "labels": [1, 2]}},
    "row": {"kind": "sphere", "radius": 5, "repeat": {"count": 3, "step": [0, 11, 0], "centred": True}},
}


def mask(volume, name):
    return volume.mask(name).cpu().numpy()


def nearest(volume, name, others) -> float:
    """The least distance (mm) between voxels of `name` and voxels of `others`."""
    away = ndimage.distance_transform_edt(~np.any([mask(volume, o) for o in others], 0), volume.grid.spacing[::-1])
    return float(away[mask(volume, name)].min())


def same(a, b) -> bool:
    return all(torch.equal(getattr(a, part), getattr(b, part)) for part in ("top", "under", "coverage"))


@pytest.mark.parametrize("kind", NEIGHBOURS)
@pytest.mark.parametrize("mm", [0.0, 4.0])
def test_gaps_are_at_least_so_wide(kind, mm):
    volume = voxelize(scene_of(NEIGHBOURS[kind], {**OTHER, "gap": {"to": "s0", "mm": mm}}))
    assert volume.measure("s1") > 50
    names = ["s0"] if kind != "pair" else ["s0_left", "s0_right"]
    assert nearest(volume, "s1", names) >= mm - 0.5 * np.sqrt(3)
    assert voxelize(scene_of(NEIGHBOURS[kind])).measure(names[0]) == pytest.approx(volume.measure(names[0]), rel=1e-2)


def test_a_gap_to_an_exact_field_is_no_wider():
    volume = voxelize(scene_of(SPHERE, {**OTHER, "gap": {"to": ["s0"], "mm": 3}}))
    assert nearest(volume, "s1", ["s0"]) <= 3 + np.sqrt(3)


@pytest.mark.parametrize("apart", [12.0, 20.0, 22.5])
def test_contact_leaves_nothing_between(apart):
    """Spheres that overlap, that touch, and that leave a cleft: along their axis one gives way to the other at once."""
    left, right = ({"kind": "sphere", "radius": 10, "at": [x, 0.2, 0.1]} for x in (-apart / 2, apart / 2))
    volume = voxelize(scene_of(left, {**right, "touching": {"to": "s0", "fillet": 7}}, size=48))
    both = (volume.fraction("s0") + volume.fraction("s1")).cpu().numpy()
    z, y, x = np.indices(both.shape) - 23.5
    tunnel = (np.hypot(y, z) < 1.5) & (abs(x) < apart / 2)
    assert both[tunnel].min() > 1 - 1.5 / 255
    assert (mask(volume, "s0") | mask(volume, "s1"))[tunnel].all()
    assert volume.measure("s0") == pytest.approx(4 / 3 * np.pi * 1000, rel=5e-3)
    plain = voxelize(scene_of(left, right, size=48))
    assert (plain.top == 0).cpu().numpy()[tunnel].any() == (apart > 20)


@pytest.mark.parametrize("kind", NEIGHBOURS)
@pytest.mark.parametrize("relation", [{"touching": {"to": "s0"}}, {"press": {"against": "s0"}}], ids=["touch", "press"])
def test_coverage_sums_to_one_along_the_contact(kind, relation):
    volume = voxelize(scene_of(NEIGHBOURS[kind], {**OTHER, **relation}).sample(0))
    filled = volume.mix([0.0] + [1.0] * (len(volume.structures) - 1)).cpu().numpy()
    inner = ndimage.binary_erosion(filled > 0.5, ndimage.generate_binary_structure(3, 3), 2)
    mine = mask(volume, "s1")
    contact = inner & (ndimage.binary_dilation(mine) ^ ndimage.binary_erosion(mine))
    assert contact.sum() > 40
    assert (filled[contact] > 1 - 1.5 / 255).mean() > 0.995
    assert filled[contact].min() > 0.95


@pytest.mark.parametrize("kind", NEIGHBOURS)
def test_a_pressed_structure_keeps_its_volume(kind):
    body = {"kind": "blob", "radius": 9, "roughness": 0.3, "seed": 1, "at": [7, 2, 0]}
    alone = voxelize(scene_of(body, size=48)).measure("s0")
    cut = voxelize(scene_of(NEIGHBOURS[kind], {**body, "press": {"against": "s0", "yields": False}}, size=48))
    drawn = scene_of(NEIGHBOURS[kind], {**body, "press": {"against": "s0"}}, size=48).sample(0)
    volume = voxelize(drawn)
    assert cut.measure("s1") < 0.97 * alone
    assert volume.measure("s1") == pytest.approx(alone, rel=0.03)
    assert all(b > 0 for b in drawn.structures["s1"].press.bulge_mm)
    for name in set(volume.names()) - {"s1"}:
        assert volume.measure(name) == pytest.approx(cut.measure(name), rel=1e-2)


def test_each_copy_bulges_as_it_is_pressed():
    pair = {"kind": "sphere", "radius": 8, "at": [12, 0, 0], "mirror": {"labels": [5, 6], "names": ["l", "r"]}}
    near = {"kind": "box", "size": [8, 30, 30], "at": [6, 0, 0]}
    drawn = scene_of(near, {**pair, "press": {"against": "s0"}}, size=56).sample(0)
    left, right = drawn.structures["s1"].press.bulge_mm
    assert left > 1
    assert right == 0
    volume = voxelize(drawn)
    assert volume.measure("l") == pytest.approx(volume.measure("r"), rel=0.02)
    only = scene_of(pair, {"kind": "box", "size": [40, 6, 6], "press": {"against": "r", "yields": False}}, size=56)
    volume = voxelize(only)
    assert volume.measure("l") < 0.95 * volume.measure("r")


def test_volume_is_kept_within_the_parent_and_beside_others():
    """An organ between two others in a cavity: pressed by one, in contact with the other, clipped by the cavity."""
    cavity = {"kind": "box", "size": [36, 30, 30]}
    a = {"kind": "sphere", "radius": 9, "at": [-12, 0, 0], "inside": "s0"}
    b = {"kind": "sphere", "radius": 9, "at": [12, 0, 0], "inside": "s0", "press": {"against": "s1"}}
    c = {"kind": "ellipsoid", "radii": [12, 8, 13], "at": [1, 3, 4], "inside": "s0"}
    related = {**c, "press": {"against": ["s1", "s2"]}, "touching": {"to": "s2", "fillet": 3}}
    alone = voxelize(scene_of(cavity, c)).measure("s1")
    volume = voxelize(scene_of(cavity, a, b, related).sample(0))
    assert volume.measure("s3") == pytest.approx(alone, rel=0.03)
    box = voxelize(scene_of(cavity)).fraction("s0")
    assert (volume.fraction("s3") <= box + 0.02).all()
    assert volume.measure("s0") == pytest.approx(36 * 30 * 30, rel=2e-3)


def test_what_is_clipped_away_of_a_neighbour_does_not_count():
    half = {"kind": "box", "size": [20, 40, 40], "at": [-10, 0, 0]}
    clipped = {"kind": "sphere", "radius": 10, "inside": "s0"}
    other = {"kind": "sphere", "radius": 8, "at": [9, 0, 0]}
    for relation in ({"gap": {"to": "s1", "mm": 0}}, {"press": {"against": "s1", "yields": False}}):
        volume = voxelize(scene_of(half, clipped, {**other, **relation}))
        assert volume.measure("s2") == pytest.approx(4 / 3 * np.pi * 512, rel=0.01)


def test_a_volume_that_cannot_be_kept_is_refused():
    scene = scene_of({"kind": "sphere", "radius": 12}, {"kind": "sphere", "radius": 5, "press": {"against": "s0"}})
    with pytest.raises(UserError, match=r"structures.s1: press: s0 leaves 0% of its volume.*yields: false"):
        scene.sample(0)
    endless = scene_of(SPHERE, {"kind": "slab", "thickness": 4, "press": {"against": "s0"}})
    with pytest.raises(UserError, match="a shape without end"):
        endless.sample(0)
    with pytest.raises(UserError, match=r"the bulge is found when the scene is drawn"):
        voxelize(scene_of(SPHERE, {**OTHER, "press": {"against": "s0"}}))


# --- drawing ----------------------------------------------------------------------------------------------------------


def full_scene() -> Scene:
    bodies = [
        {**SPHERE, "at": [{"uniform": [-9, -7]}, 0, 0]},
        {"kind": "sphere", "radius": 2, "at": [0, 9, 0], "probability": 0.5},
        {"kind": "blob", "radius": {"uniform": [1.5, 2.5]}, "scatter": {"region": "s0", "count": 3}, "inside": "s0"},
        {**OTHER, "press": {"against": ["s0", "s1"]}, "gap": {"to": "s2", "mm": {"uniform": [1, 2]}}},
        {"choice": [{**NEIGHBOURS["row"], "material": "fat", "touching": {"to": ["s3", "s0"]}}]},
        {"kind": "sphere", "radius": 4, "at": [0, -6, 0], "gap": {"to": "s1", "mm": 2}, "inside": "s3"},
    ]
    structures = {f"s{i}": body if "choice" in body else {"material": "liver", **body} for i, body in enumerate(bodies)}
    grid = {"size": [40] * 3, "spacing": [1] * 3}
    return Scene.model_validate({"viscera": 1, "name": "test", "grid": grid, "structures": structures})


def test_drawn_scenes_reload_to_the_same_voxels(tmp_path):
    for index in range(4):
        drawn = full_scene().sample(3, index)
        (tmp_path / "drawn.yaml").write_text(drawn.dump())
        again = Scene.load(tmp_path / "drawn.yaml").sample(8)
        assert same(voxelize(again), voxelize(drawn))
        assert full_scene().sample(3, index) == drawn


def test_relations_follow_what_was_drawn():
    for index in range(12):
        drawn = full_scene().sample(3, index).structures
        assert drawn["s3"].gap.to == [name for name in drawn if name.startswith("s2.")]
        assert drawn["s3"].press.against == [name for name in ("s0", "s1") if name in drawn]
        assert (drawn["s5"].gap is not None) == ("s1" in drawn)


# --- programs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_culled_equals_dense_with_relations(seed):
    rng = np.random.default_rng(seed)
    kinds = rng.choice([k for k in sorted(NODES) if k != "slab"], 5)
    bodies = []
    for i, kind in enumerate(kinds):
        body = {**NODES[kind], "at": rng.uniform(-13, 13, 3).tolist(), "rotate": rng.uniform(0, 360, 3).tolist()}
        if i and rng.random() < 0.3:
            body["inside"] = f"s{rng.integers(i)}"
        if rng.random() < 0.3:
            body["mirror"] = {"axis": str(rng.choice(["x", "y", "z"]))}
        around, parent = set(), body.get("inside")
        while parent:
            around.add(parent)
            parent = bodies[int(parent[1:])].get("inside")
        free = [f"s{k}" for k in range(i) if f"s{k}" not in around]
        for relation, field, more in (
            ("gap", "to", {"mm": float(rng.uniform(0, 4))}),
            ("touching", "to", {"fillet": float(rng.uniform(0, 6))}),
            ("press", "against", {"bulge_mm": [float(rng.uniform(0, 2))] * 2}),
        ):
            if free and rng.random() < 0.6:
                body[relation] = {field: [str(n) for n in rng.permutation(free)[:2]], **more}
        bodies.append(body)
    scene = scene_of(*bodies, size=21, spacing=float(rng.uniform(1.2, 2.5)))
    assert same(voxelize(scene), voxelize(scene, dense=True))


def test_bounds_and_balls_hold_with_relations():
    scene = full_scene().sample(3, 1)
    program, _ = compile_scene(scene)
    rng = np.random.default_rng(0)
    a = rng.uniform(-30, 30, (20_000, 3))
    b = a + rng.normal(size=a.shape) * rng.choice([0.05, 0.5, 5.0], (len(a), 1))
    run = np.linalg.norm((a - b).astype(np.float32), axis=1)
    for i, span in enumerate(program.spans):
        here = program.evaluate(a, i)
        assert (np.abs(here - program.evaluate(b, i)) <= span.lipschitz * run * 1.002 + 2e-3).all()
        away = np.linalg.norm(a - span.ball.centre, axis=1) - span.ball.radius
        assert (here >= span.ball.rise * away - 2e-3)[away > 0].all()


def test_organs_that_all_press_each_other_stay_small():
    bodies = [{"kind": "sphere", "radius": 7, "at": [3.0 * i - 8, 0, 0]} for i in range(7)]
    for i, body in enumerate(bodies):
        if i:
            body["press"] = {"against": [f"s{k}" for k in range(i)], "yields": False}
    program, _ = compile_scene(scene_of(*bodies))
    rows = [span.stop - span.start for span in program.spans]
    assert rows[-1] <= 5 * 7  # what all press against is cut away once, not again in each of its neighbours


# --- mistakes ---------------------------------------------------------------------------------------------------------

HEAD = "viscera: 1\nname: t\ngrid: {size: [8, 8, 8], spacing: [1, 1, 1]}\nstructures:\n"
ORGAN = "{kind: sphere, radius: 3, material: liver, "


@pytest.mark.parametrize(
    ("line", "message", "column"),
    [
        (ORGAN + "gap: {to: livr, mm: 3}}", "structure 'livr' is not defined[\\s\\S]*did you mean 'liver'", 63),
        (
            ORGAN + "press: {against: [liver, spleen]}}",
            "refers to 'spleen', which comes later[\\s\\S]*move 'spleen'",
            78,
        ),
        (ORGAN + "touching: {to: organ}}", "refers to 'organ', which comes later", 68),
        (ORGAN + "inside: liver, gap: {to: liver, mm: 1}}", "lies inside 'liver'; nothing would be left", 78),
        (ORGAN + "gap: {to: liver, mm: -1}}", "greater than or equal to 0", 74),
        (ORGAN + "press: {against: []}}", "at least 1 item", 61),
        ("{choice: [" + ORGAN + "touching: {to: livr}}]}", "did you mean 'liver'", 78),
    ],
)
def test_mistakes_are_located(line, message, column, tmp_path):
    path = tmp_path / "scene.yaml"
    path.write_text(f"{HEAD}  liver: {ORGAN[:-2]}}}\n  organ: {line}\n  spleen: {ORGAN[:-2]}}}\n")
    with pytest.raises(SceneError, match=message) as caught:
        Scene.load(path)
    (mistake,) = caught.value.mistakes
    assert (mistake.place.line, mistake.place.column) == (5, column - 1)


def test_unchecked_circles_are_refused():
    with pytest.raises(UserError, match="relates to 's1', which does not stand before it"):
        voxelize(scene_of({**SPHERE, "gap": {"to": "s1", "mm": 1}}, {**OTHER, "gap": {"to": "s0", "mm": 1}}))


def test_the_schema_describes_relations():
    definitions = schema()["$defs"]
    sphere = definitions["SphereStructure"]["properties"]
    for relation, model in (("gap", "Gap"), ("touching", "Touching"), ("press", "Press")):
        assert sphere[relation]["description"]
        assert all(field.get("description") for field in definitions[model]["properties"].values())
    assert {"type": "string"} in definitions["Gap"]["properties"]["to"]["anyOf"]


# --- scattering -------------------------------------------------------------------------------------------------------

REGIONS = {
    "round": [{"kind": "sphere", "radius": 17}],
    "noisy": [{"kind": "ellipsoid", "radii": [18, 13, 15], "deform": NOISE}],
    "bent": [
        {"kind": "tube", "points": [[0, 0, 0]], "length": 40, "radius": 11, "deform": [{"bend": {"radius": 200}}]},
    ],
    "clipped": [
        {"kind": "box", "size": [20, 40, 40], "at": [8, 0, 0]},
        {"kind": "sphere", "radius": 16, "inside": "s0"},
    ],
    "pressed": [
        {"kind": "box", "size": [20, 40, 40], "at": [-12, 0, 0]},
        {"kind": "sphere", "radius": 15, "at": [4, 0, 0], "press": {"against": "s0"}},
    ],
}  # fmt: skip
COPIES = {
    "spheres": {"kind": "sphere", "radius": {"uniform": [1.5, 3]}},
    "noisy ellipsoids": {"kind": "ellipsoid", "radii": [2, 1.6, 1.5], "scale": [1, 1.2, 0.9], "deform": [
        {"noise": {"amplitude": 0.5, "wavelength": 5}}, {"twist": {"rate": 8}}]},
}  # fmt: skip


@pytest.mark.parametrize(("region", "copy"), list(itertools.product(REGIONS, COPIES)))
def test_scattered_copies_keep_margin_and_gap(region, copy):
    bodies = REGIONS[region]
    where = f"s{len(bodies) - 1}"
    scatter = {"region": where, "count": 5, "margin": 1.5, "gap": 2.0}
    scene = scene_of(*bodies, {**COPIES[copy], "scatter": scatter, "inside": where}, size=48).sample(1)
    volume = voxelize(scene)
    names = [name for name in scene.structures if name.startswith(f"s{len(bodies)}.")]
    assert len(names) >= 2
    slack = 0.5 * np.sqrt(3)
    depth = ndimage.distance_transform_edt(mask(volume, where))
    rows = {s.name: i for i, s in enumerate(volume.structures)}
    masks = {name: (volume.top == rows[name]).cpu().numpy() for name in names}
    for name in names:
        assert depth[masks[name]].min() >= 1.5 - slack
        others = np.any([masks[other] for other in names if other != name], 0)
        assert ndimage.distance_transform_edt(~others)[masks[name]].min() >= 2.0 - slack
