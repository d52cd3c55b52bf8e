"""Scenes written in Python: the same as their YAML twins, whatever the order of steps; every mistake explained."""

# ruff: noqa: E501 (a table of one-line mistakes)

from __future__ import annotations

import copy
import inspect
import itertools
import math
import operator
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from engine import author, nodes, vary
from engine.author import (
    Solid,
    beating,
    blob,
    box,
    breathing,
    choice,
    column,
    ct,
    ellipsoid,
    integer,
    lognormal,
    material,
    maximum,
    minimum,
    mirror,
    mr,
    normal,
    region,
    repeat,
    scatter,
    scene,
    sphere,
    structure,
    subtract,
    torus,
    tube,
    uniform,
    us,
    var,
)
from engine.compile import compile_scene, rotation
from engine.errors import UserError
from engine.render.protocols import PROTOCOLS
from engine.scene import Scene, SceneError
from engine.voxelize import voxelize

ROOT = Path(__file__).parents[2]
SCENES = sorted((ROOT / "scenes").glob("*.yaml"))


def alone(solid: Solid) -> Scene:
    return scene("test", size=32, spacing=1).add("it", solid, material="liver").build()


def field(solid: Solid, points: np.ndarray) -> np.ndarray:
    program, _ = compile_scene(alone(solid).sample(0))
    return program.evaluate(points, 0)


# --- what is registered is there ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(nodes.SHAPES))
def test_every_shape_is_a_function(kind):
    cls, function = nodes.SHAPES[kind], getattr(author, kind)
    example = cls.example()
    fields = example.model_dump(exclude_unset=True, exclude={"kind"})
    assert function(**fields).core == example
    assert set(inspect.signature(function).parameters) == set(cls.model_fields) - {"kind"}
    assert inspect.getdoc(function).startswith(inspect.getdoc(cls).splitlines()[0])
    assert kind in dir(author)


@pytest.mark.parametrize("name", sorted(nodes.DEFORMERS))
def test_every_deformer_is_a_method(name):
    cls, method = nodes.DEFORMERS[name], getattr(Solid, name)
    example = cls.example()
    fields = example.model_dump(exclude_unset=True)
    assert getattr(sphere(5), name)(**fields).deform == (example,)
    assert set(inspect.signature(getattr(sphere(5), name)).parameters) == set(cls.model_fields)
    assert inspect.getdoc(method).startswith(inspect.getdoc(cls).splitlines()[0])
    assert name in dir(sphere(5))


@pytest.mark.parametrize("op", sorted(nodes.COMBINES))
def test_every_combine_is_a_function_and_a_method(op):
    a, b, c = sphere(5), box((4, 4, 4)), torus(6, 2)
    parts = [a.written(), *({"op": op, **solid.written()} for solid in (b, c))]
    expected = Scene.model_validate(
        {
            **alone(a).model_dump(exclude_unset=True),
            "structures": {"it": {"kind": "blend", "smooth": 2, "parts": parts, "material": "liver"}},
        }
    )
    assert alone(getattr(author, op)(a, b, c, smooth=2)) == expected
    assert alone(getattr(a, op)(b, c, smooth=2)) == expected
    assert inspect.getdoc(getattr(author, op)) == inspect.getdoc(nodes.COMBINES[op])


def test_every_protocol_distribution_and_function_is_there():
    assert set(PROTOCOLS) <= set(author.__all__)
    assert set(vary.DISTRIBUTIONS) - {"expr"} <= set(author.__all__)
    assert set(vary._FUNCTIONS) - {"min", "max", "abs", "round"} <= set(author.__all__)
    assert all(inspect.getdoc(getattr(author, name)) for name in author.__all__)


# --- twins -------------------------------------------------------------------------------------------------------------

TWIN = """\
viscera: 1
name: twin
description: a bit of everything
seed: 5
background: water
grid: {size: [36, 32, 28], spacing: [5, 5, 6]}
vars:
  waist: {normal: [80, 2], clip: [76, 84]}
  depth: {expr: 0.68 * waist}
  breath: {uniform: [-4, 6]}
  iodine: {uniform: [2, 4]}
materials:
  enhanced: {like: liver, iodine_mg_ml: {expr: 0.55 * iodine}}
  metastasis: {like: tumour, iodine_mg_ml: {uniform: [0.2, 0.9]}}
structures:
  body: {kind: ellipsoid, label: 1, material: fat, color: "#d9c3a0", radii: [$waist, $depth, 900], deform: [{noise: {amplitude: 4, wavelength: 160}}]}
  ribs:
    kind: blend
    label: 4
    material: bone
    inside: body
    rotate: [16, 0, 0]
    scale: [1, 0.68, 1]
    repeat: {count: 5, step: [0, 0, 27], centred: true}
    parts:
      - {kind: torus, radius: {expr: waist - 7}, thickness: 5.2}
      - {kind: box, op: subtract, at: [0, {expr: -waist}, 0], size: [90, 70, 60]}
  liver:
    kind: blend
    material: enhanced
    inside: body
    at: [-20, -4, {expr: 14 - breath}]
    rotate: [0, {normal: [6, 4]}, {normal: [-4, 4]}]
    scale: {uniform: [0.9, 1.1]}
    smooth: 16
    parts:
      - {kind: ellipsoid, at: [-10, 6, -4], radii: [{uniform: [36, 40]}, 36, 40]}
      - {kind: ellipsoid, at: [28, -16, 12], rotate: [0, 24, 0], radii: [30, 16, 18]}
      - kind: blend
        op: subtract
        at: [20, 20, -24]
        parts: [{kind: sphere, radius: 24}, {kind: tube, op: intersect, points: [[-20, 0, 0], [20, 0, 4]], radius: [14, 18]}]
    deform: [{noise: {amplitude: 2, wavelength: 30, octaves: 2}}, {twist: {rate: 0.2}}]
  lesion:
    kind: blob
    label: 10
    group: lesions
    material: {choice: [metastasis, cyst], weights: [0.65, 0.35]}
    inside: liver
    radius: {lognormal: [7, 0.3], clip: [4, 12]}
    roughness: 0.4
    scatter: {region: liver, count: {integer: [1, 4]}, margin: 1}
  stone: {kind: sphere, radius: 3, material: bone, scatter: {region: {centre: [0, 20, 0], radii: [30, 10, 20]}, count: 3}, probability: 0.9}
  kidney:
    choice:
      - {kind: ellipsoid, radii: [12, 10, 20], at: [40, 20, 0], material: kidney, inside: body, mirror: {labels: [18, 19]}}
      - {kind: sphere, radius: 13, at: [40, 20, 0], material: cyst, inside: body, mirror: {labels: [18, 19]}}
    weights: [3, 1]
motion:
  - breathing:
      amplitude: {uniform: [4, 9]}
      centre: [0, 0, 0]
      radii: [{expr: waist + 8}, 70, 120]
      still: {at: [0, {expr: 0.5 * depth}], radius: 8, fade: 20}
  - beating: {centre: [10, -5, 30], axis: [1, 0, 2], cavity: [8, 14], radii: [30, 40], cycles: {integer: [3, 5]}}
phase: 0.25
acquire:
  - {modality: ct, kvp: {choice: [100, 120]}, noise_hu: {uniform: [8, 16]}}
  - {modality: mr, sequence: t2w}
  - {modality: us, probe: curved, depth_mm: 100}
"""


def twin() -> author.SceneBuilder:
    waist = var("waist", normal(80, 2, clip=(76, 84)))
    depth = var("depth", 0.68 * waist)
    breath = var("breath", uniform(-4, 6))
    enhanced = material("enhanced", like="liver", iodine_mg_ml=0.55 * var("iodine", uniform(2, 4)))
    metastasis = material("metastasis", like="tumour", iodine_mg_ml=uniform(0.2, 0.9))

    body = ellipsoid(radii=(waist, depth, 900)).noise(amplitude=4, wavelength=160)
    ring = torus(radius=waist - 7, thickness=5.2) - box((90, 70, 60)).translate(0, -waist, 0)
    bed = sphere(24) & tube(points=[(-20, 0, 0), (20, 0, 4)], radius=[14, 18])
    liver = (
        ellipsoid(radii=(uniform(36, 40), 36, 40)).translate(-10, 6, -4)
        | ellipsoid(radii=(30, 16, 18)).rotate(0, 24).translate(28, -16, 12)
    ).subtract(bed.translate(20, 20, -24))
    liver = liver.smooth(16).noise(amplitude=2, wavelength=30, octaves=2).twist(0.2)
    liver = liver.scale(uniform(0.9, 1.1)).rotate(0, normal(6, 4), normal(-4, 4)).translate(-20, -4, 14 - breath)
    kidneys = choice(
        structure(ellipsoid(radii=(12, 10, 20)).translate(40, 20, 0), material="kidney"),
        sphere(13).translate(40, 20, 0),
        weights=(3, 1),
    )

    s = scene(
        "twin", (36, 32, 28), (5, 5, 6), description="a bit of everything", seed=5, background="water", phase=0.25
    )
    s.add("body", body, material="fat", label=1, color="#d9c3a0")
    s.add("ribs", ring.scale(1, 0.68, 1).rotate(16), material="bone", label=4, inside="body",
          repeat=repeat(5, (0, 0, 27), centred=True))  # fmt: skip
    s.add("liver", liver, material=enhanced, inside="body")
    s.add("lesion", blob(radius=lognormal(7, 0.3, clip=(4, 12)), roughness=0.4), label=10, group="lesions",
          material=choice(metastasis, "cyst", weights=(0.65, 0.35)), inside="liver",
          scatter=scatter("liver", integer(1, 4), margin=1))  # fmt: skip
    s.add("stone", sphere(3), material="bone", probability=0.9, scatter=scatter(region((0, 20, 0), (30, 10, 20)), 3))
    s.add("kidney", kidneys, material="cyst", inside="body", mirror=mirror(labels=(18, 19)))
    s.move(
        breathing((0, 0, 0), (waist + 8, 70, 120), amplitude=uniform(4, 9), still=column((0, 0.5 * depth), 8, 20)),
        beating((10, -5, 30), (1, 0, 2), cavity=(8, 14), radii=(30, 40), cycles=integer(3, 5)),
    )
    return s.acquire(
        ct(kvp=choice(100, 120), noise_hu=uniform(8, 16)), mr(sequence="t2w"), us(probe="curved", depth_mm=100)
    )


def same_voxels(a: Scene, b: Scene) -> None:
    for index in range(2):
        one, other = voxelize(a.sample(3, index)), voxelize(b.sample(3, index))
        assert len(one.top.unique()) > 4
        for name in ("top", "under", "coverage"):
            assert (getattr(one, name) == getattr(other, name)).all()


def test_a_scene_in_python_equals_its_yaml_twin(tmp_path):
    (tmp_path / "twin.yaml").write_text(TWIN)
    written = Scene.load(tmp_path / "twin.yaml")
    built = twin().build()
    assert built == written
    assert built.sample(1) == written.sample(1)
    same_voxels(built, written)


def test_what_is_built_dumps_and_loads_equal(tmp_path):
    (tmp_path / "twin.yaml").write_text(twin().dump())
    loaded = Scene.load(tmp_path / "twin.yaml")
    assert loaded == twin().build()
    assert pickle.loads(pickle.dumps(loaded)) == twin().build()
    same_voxels(loaded, twin().build())


@pytest.mark.parametrize("path", SCENES, ids=lambda p: p.stem)
def test_gallery_scenes_dump_and_load_equal(path, tmp_path):
    scene = Scene.load(path)
    (tmp_path / "again.yaml").write_text(scene.dump())
    assert Scene.load(tmp_path / "again.yaml") == scene


def test_the_page_of_the_documentation_is_true():
    text, _, _ = (ROOT / "docs" / "python.md").read_text().partition("## Volumes for")  # those: test_drawn.py
    blocks = re.findall(r"```(python|yaml)\n(.*?)```", text, re.DOTALL)
    names: dict = {}
    last = ""
    for language, code in blocks:
        if language == "python":
            exec(code, names)
            last = list(names)[-1]
        else:
            document = {**YAML(typ="safe").load(code), "material": "liver"}
            head = {"viscera": 1, "name": "test", "grid": {"size": [32] * 3, "spacing": [1] * 3}}
            assert Scene.model_validate({**head, "structures": {"it": document}}) == alone(names[last])
    assert [language for language, _ in blocks] == ["python", "python", "yaml", "python", "yaml"]
    drawn = names["abdomen"].sample(1)
    assert {"body", "liver", "veins", "kidney", "lesion.1"} <= set(drawn.structures)
    assert len(voxelize(drawn, drawn.grid.grid(32)).top.unique()) > 4


# --- the order of steps ------------------------------------------------------------------------------------------------

SIDES = np.array([14.0, 9.0, 6.0])
LENGTHS, ANGLES = st.sampled_from([0, 0, -8, 5, 12.5]), st.sampled_from([0, 0, -90, 20, 35, 90])
FACTORS = st.sampled_from([1, 0.7, 1.3])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("translate"), st.tuples(LENGTHS, LENGTHS, LENGTHS)),
        st.tuples(st.just("rotate"), st.tuples(ANGLES, ANGLES, ANGLES)),
        st.tuples(st.just("scale"), st.tuples(FACTORS)),
        st.tuples(st.just("scale"), st.tuples(FACTORS, FACTORS, FACTORS)),
        st.tuples(st.just("twist"), st.tuples(st.sampled_from([-2, 1.5]))),
    ),
    max_size=7,
)


TURNS = [("rotate", (0, 20, 35)), ("rotate", (0, 0, 20)), ("rotate", (90, 20, 0)), ("scale", (1, 0.7, 1.3))]


def moved(points: np.ndarray, step: str, numbers: tuple[float, ...]) -> np.ndarray:
    """Where one step takes points, by its definition."""
    if step == "translate":
        return points + numbers
    if step == "rotate":
        return points @ rotation(numbers).T
    if step == "scale":
        return points * numbers
    angle = np.radians(numbers[0] * points[:, 2])
    x, y, z = points.T
    return np.stack([np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y, z], axis=1)


def in_box(points: np.ndarray) -> np.ndarray:
    return (np.abs(points) - SIDES / 2).max(axis=1)


@settings(max_examples=150, deadline=None, derandomize=True)
@example(steps=TURNS, ways=["plain"] * 21)
@example(steps=TURNS, ways=["var"] * 21)
@given(steps=STEPS, ways=st.lists(st.sampled_from(["plain", "var", "drawn"]), min_size=21, max_size=21))
def test_steps_act_in_the_order_they_are_written_in(steps, ways):
    solid, points = box(tuple(SIDES)), np.random.default_rng(0).uniform(-9, 9, (300, 3))
    inside, way = in_box(points), iter(ways)
    serial = itertools.count()
    makers = {"plain": lambda v: v, "var": lambda v: var(f"v{next(serial)}", v), "drawn": choice}
    for step, numbers in steps:
        points = moved(points, step, numbers)
        solid = getattr(solid, step)(*(makers[next(way)](v) for v in numbers))
    value = field(solid, points)
    clear = np.abs(inside) > 0.05
    assert ((value < 0) == (inside < 0))[clear].all()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(steps=STEPS.map(lambda steps: [s for s in steps if s[0] in ("translate", "rotate")]))
def test_rigid_steps_of_plain_numbers_are_one_place(steps):
    solid, points = sphere(3), np.random.default_rng(1).uniform(-9, 9, (50, 3))
    distance = np.linalg.norm(points, axis=1) - 3
    for step, numbers in steps:
        points, solid = moved(points, step, numbers), getattr(solid, step)(*numbers)
    assert solid.written()["kind"] == "sphere"
    np.testing.assert_allclose(field(solid, points), distance, atol=1e-3)


def test_rotations_compose_at_the_pole():
    for x, z in ((30, 20), (-75, 110)):
        solid = box((3, 4, 5)).rotate(x, 90, z).rotate(0, 0, 25).rotate(10)
        expected = rotation((10, 0, 0)) @ rotation((0, 0, 25)) @ rotation((x, 90, z))
        np.testing.assert_allclose(rotation(solid.turn), expected, atol=1e-7)


def test_a_distribution_is_drawn_once_for_each_use():
    """A scale after a move scales the place and the size by one draw, so it needs a frame of its own."""
    solid = sphere(2).translate(10, 0, 0).scale(uniform(1, 2))
    body = alone(solid).sample(0).structures["it"]
    assert body.kind == "blend"
    assert body.parts[0].at == (10, 0, 0)
    assert 1 < body.scale < 2


def test_joins_of_one_fillet_share_a_blend_and_others_nest():
    a, b, c = sphere(5), sphere(4).translate(3), sphere(3).translate(0, 3)
    assert len((a | b - c).written()["parts"]) == 2
    assert len((a | b | c).written()["parts"]) == 3
    assert len(a.union(b, smooth=2).union(c, smooth=2).written()["parts"]) == 3
    assert len(a.union(b, smooth=2).union(c, smooth=1).written()["parts"]) == 2
    assert len((a | b).translate(1).union(c).written()["parts"]) == 2
    assert subtract(a, b, c) == a - b - c


def test_nested_blends_mean_what_is_written():
    a, b, c = sphere(8), sphere(6).translate(5), box((6, 6, 30))
    points = np.random.default_rng(2).uniform(-14, 14, (500, 3))
    f, g, h = (field(s, points) for s in (a, b, c))
    np.testing.assert_array_equal(field(a - (b & c), points), np.maximum(f, -np.maximum(g, h)))
    np.testing.assert_array_equal(field((a - b) & c, points), np.maximum(np.maximum(f, -g), h))
    np.testing.assert_array_equal(field(a - b | c, points), np.minimum(np.maximum(f, -g), h))


def test_solids_never_change():
    organ = sphere(5)
    before = copy.deepcopy(organ)
    organ.translate(1).noise(1, 10)
    organ | sphere(3)
    assert organ == before
    with pytest.raises(AttributeError):
        organ.at = (1, 2, 3)


# --- arithmetic --------------------------------------------------------------------------------------------------------

X, Y = var("x", 2.5), var("y", 3)
FORMULAS = {
    "0.72 * x": 0.72 * X,
    "x + 3": X + 3,
    "12 - 2 * x": 12 - 2 * X,
    "(x + y) * 2": (X + Y) * 2,
    "-(x - y) ** 2": -((X - Y) ** 2),
    "(-3) ** y": (-3) ** Y,
    "x / (y / 2)": X / (Y / 2),
    "min(x, 40, y)": minimum(X, 40, Y),
    "max(x % 2, 1)": maximum(X % 2, 1),
    "abs(-x)": abs(-X),
    "round(x)": round(X),
    "sin(30 * y) + sqrt(x)": author.sin(30 * Y) + author.sqrt(X),
    "0.5 * x": np.float64(0.5) * X,
    "x - 2": X - np.int64(2),
}


@pytest.mark.parametrize("text", FORMULAS)
def test_arithmetic_on_variables_is_an_expression(text):
    assert FORMULAS[text].written() == {"expr": text}
    vary.names(text)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_expressions_give_what_python_gives(seed):
    rng = np.random.default_rng(seed)
    pairs = [(X, 2.5), (Y, 3.0), (-1.5, -1.5), (2, 2)]
    operators = ("add", "sub", "mul", "truediv", "neg", "abs")
    for _ in range(6):
        name = operators[rng.integers(len(operators))]
        (a, u), (b, v) = (pairs[i] for i in rng.integers(len(pairs), size=2))
        if name == "truediv" and abs(v) < 1e-9:
            continue
        function = getattr(operator, name)
        pairs.append((function(a), function(u)) if name in ("neg", "abs") else (function(a, b), function(u, v)))
    for formed, value in pairs:
        if isinstance(formed, author.quantity.Quantity):
            assert vary.evaluate(formed.text, {"x": 2.5, "y": 3}) == pytest.approx(value, rel=1e-12)


def test_functions_of_plain_numbers_are_numbers():
    assert author.sin(30) == pytest.approx(0.5)
    assert minimum(3, 2) == 2
    assert math.isclose(author.exp(author.log(5)), 5)


def test_variables_are_written_after_those_they_need():
    a = var("a", uniform(1, 2))
    c = var("c", 2 * var("b", a + 1))
    built = alone(sphere(radius=c).translate(a))
    assert list(built.vars) == ["a", "b", "c"]
    drawn = built.sample(3).structures["it"]
    assert drawn.radius == pytest.approx(2 * (drawn.at[0] + 1))


# --- mistakes ----------------------------------------------------------------------------------------------------------


def start() -> author.SceneBuilder:
    return scene("test", size=32, spacing=1).add("body", sphere(9), material="fat")


WRONG = {
    "negative": (lambda: sphere(radius=-1), r"greater than 0\n --> radius: -1\n\n1 error in sphere\(\)"),
    "misspelt argument": (lambda: sphere(raduis=1), r"sphere\(\) has no argument 'raduis' \(did you mean 'radius'\?\)"),
    "missing argument": (lambda: torus(3), r"torus\(\): missing a required argument: 'thickness'; it takes: radius"),
    "too many": (lambda: sphere(3, 4), r"sphere\(\): too many positional"),
    "together": (lambda: box((1, 2, 3), round=4), "more than half of the thinnest side"),
    "distribution": (lambda: ellipsoid({"unifrom": [1, 2]}), "'unifrom' is no way.*radii.unifrom.*did you mean 'uniform'"),
    "reversed": (lambda: uniform(3, 1), r"uniform needs \[low, high\]"),
    "unbounded": (lambda: sphere(normal(3, 1)), "can reach any negative number; add clip"),
    "drawn arithmetic": (lambda: 2 * uniform(1, 2), "give it a name: x = var"),
    "text": (lambda: X + "3", "expressions take numbers and variables"),
    "infinite": (lambda: X * math.inf, "finite"),
    "compared": (lambda: min(X, 3), "not known before the scene is drawn; use minimum"),
    "tested": (lambda: X if X else Y, "not known before the scene is drawn"),
    "math": (lambda: math.sqrt(X), "not known before the scene is drawn"),
    "name of a variable": (lambda: var("2x", 3), "'2x' is no name of a variable"),
    "value of a variable": (lambda: var("x", None), "'x' needs a number"),
    "deformer": (lambda: sphere(3).nosie(1, 2), "no 'nosie'.*did you mean 'noise'.*bend"),
    "deformer's field": (lambda: sphere(3).noise(1, wavelenght=2), "no argument 'wavelenght'.*'wavelength'"),
    "shape": (lambda: author.shpere, "engine.author has no 'shpere'.*'sphere'"),
    "step": (lambda: sphere(3).translate(dx=3), r"translate\(\) has no argument 'dx'; it takes: x, y, z"),
    "step's number": (lambda: sphere(3).rotate("left"), "valid number.*x: left"),
    "factor": (lambda: sphere(3).scale(0), "greater than 0"),
    "two factors": (lambda: sphere(3).scale(1, 2), "one factor, or three"),
    "no solid": (lambda: sphere(3) - 3, "subtract joins solids, got 3"),
    "no solid first": (lambda: 3 | sphere(3), "union joins solids, got 3"),
    "smooth of one": (lambda: sphere(3).smooth(3), "rounds the joins of a blend"),
    "smooth": (lambda: (sphere(3) | sphere(2)).translate(1).smooth(3), "before it is moved or deformed"),
    "fillet": (lambda: sphere(3).union(sphere(2), smooth=-1), "greater than or equal to 0.*smooth: -1"),
    "field": (lambda: start().add("x", sphere(3), materail="fat"), "no argument 'materail'.*'material'"),
    "no material": (lambda: start().add("x", sphere(3)), "'x' needs a material"),
    "nested field": (lambda: start().add("x", sphere(3), material="fat", mirror={"axs": "x"}), "unknown field 'axs'.*mirror.axs.*'axis'"),
    "twice": (lambda: start().add("body", sphere(3), material="fat"), "'body' is in the scene already"),
    "no structure": (lambda: start().add("x", "sphere", material="fat"), r"x: a structure is made of a solid.*'sphere'"),
    "tissue": (lambda: start().add("x", sphere(3), material="livr").build(), r"'livr' is not defined\n --> structures.x.material: livr    did you mean 'liver'"),
    "parent": (lambda: start().add("x", sphere(3), material="fat", inside="bodi").build(), "structure 'bodi' is not defined.*structures.x.inside.*'body'"),
    "reference": (lambda: start().add("x", sphere("$size"), material="fat").build(), "variable 'size' is not defined.*structures.x.radius"),
    "base tissue": (lambda: start().add("x", sphere(3), material=material("m", like="livr")).build(), "tissue 'livr' is not defined.*materials.m.like"),
    "element": (lambda: material("m", composition={"Xx": 1}), "not a chemical symbol"),
    "two of a name": (lambda: start().add("x", sphere(var("r", 1)).translate(var("r", 2)), material="fat").build(), "'r' is defined in two ways"),
    "scene": (lambda: scene("a b", size=3, spacing=-1), r"name: a b[\s\S]*spacing[\s\S]*2 errors in scene\(\)"),
    "empty": (lambda: scene("a", size=3, spacing=1).build(), "at least 1 item.*structures"),
    "protocol": (lambda: start().acquire("ct"), r"takes ct\(...\)"),
    "motion": (lambda: start().move(sphere(3)), r"move: takes beating\(...\), breathing\(...\), got Solid"),
    "folding": (lambda: breathing((0, 0, 0), (9, 9, 9), amplitude=40), r"would fold.*1 error in breathing\(\)"),
    "motion's field": (lambda: breathing((0, 0, 0), (9, 9, 9), amplitud=4), "no argument 'amplitud'.*'amplitude'"),
    "sequence": (lambda: mr(sequence="t3w"), "sequence: t3w"),
    "variants": (lambda: start().add("x", choice(1, 2), material="fat"), "x: a structure is made of a solid.*got 1"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_mistakes_are_explained(case):
    call, message = WRONG[case]
    with pytest.raises(UserError, match=re.compile(message, re.DOTALL)) as caught:
        call()
    assert "pydantic" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_all_mistakes_of_a_scene_at_once():
    s = start().add("x", sphere("$a"), material="livr", inside="z")
    with pytest.raises(SceneError) as caught:
        s.build()
    assert len(caught.value.mistakes) == 3
    assert "3 errors in scene 'test'" in str(caught.value)
