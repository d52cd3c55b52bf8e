"""The JSON Schema of scenes: it accepts what a scene may hold, and refuses the rest as far as a schema can tell."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from engine import nodes, vary
from engine.pattern import PATTERNS
from engine.render.preset import PRESETS
from engine.scene.schema import schema

SCHEMA = schema()
CHECK = Draft202012Validator(SCHEMA)
SCENES = Path(__file__).parents[2] / "scenes"
BLOB = {"kind": "blob", "radius": 3, "material": "fat"}


def scene(**fields):
    base = {"viscera": 1, "name": "mine", "grid": {"size": [9, 9, 9], "spacing": [1, 1, 1]}}
    return {**base, "structures": {"organ": BLOB}, **fields}


def valid(document):
    return CHECK.is_valid(json.loads(json.dumps(document)))


def with_organ(**fields):
    return scene(structures={"organ": {"material": "fat", **fields}})


def test_it_is_a_schema():
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", sorted(SCENES.rglob("*.yaml")), ids=lambda path: path.stem)
def test_scenes_are_accepted(path):
    assert valid(YAML(typ="safe").load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("kind", sorted(nodes.SHAPES))
def test_every_shape_is_accepted_and_no_other_field(kind):
    example = {"kind": kind, **nodes.SHAPES[kind].example().model_dump(exclude_none=True)}
    assert valid(with_organ(**example))
    assert valid(with_organ(kind="blend", parts=[example]))
    assert valid(scene(structures={"organ": {"choice": [{**example, "material": "fat"}, BLOB]}}))
    for wrong in ({**example, "colour": "red"}, {key: value for key, value in example.items() if key != "kind"}):
        assert not valid(with_organ(**wrong))
        assert not valid(with_organ(kind="blend", parts=[wrong]))


@pytest.mark.parametrize("name", sorted(nodes.DEFORMERS))
def test_every_deformer_is_accepted(name):
    node = nodes.DEFORMERS[name].example().model_dump(exclude_none=True)
    assert valid(with_organ(**BLOB, deform=[{name: node}]))
    assert not valid(with_organ(**BLOB, deform=[{name: {**node, "strength": 1}}]))


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_every_pattern_is_accepted(name):
    node = PATTERNS[name].example().model_dump(exclude_none=True)
    for written in (node, [node, node], {"choice": [node, [node]]}):
        assert valid(scene(materials={"mine": {"pattern": written}}))
    assert not valid(scene(materials={"mine": {"pattern": {**node, "strength": 1}}}))


@pytest.mark.parametrize("name", PRESETS)
def test_every_protocol_is_accepted(name):
    assert valid(scene(acquire=[{"protocol": name}]))
    assert not valid(scene(acquire=[{"protocol": name, "strength": 1}]))


@pytest.mark.parametrize(
    "number",
    [
        3,
        "$size",
        {"uniform": [1, 2]},
        {"normal": [5, 1], "clip": [2, 8]},
        {"choice": [1, 2], "weights": [1, 3]},
        {"expr": "2 * size"},
    ],
    ids=str,
)
def test_numbers_may_vary(number):
    assert valid(scene(vars={"size": number}))
    assert valid(with_organ(kind="blob", radius=number))
    assert valid(with_organ(kind="ellipsoid", radii=[number, number, 4]))


@pytest.mark.parametrize(
    "number",
    [
        -3,
        "big",
        None,
        [3],
        {},
        {"clip": [1, 2]},
        {"unifrm": [1, 2]},
        {"uniform": [1, 2], "normal": [1, 2]},
        {"uniform": [1]},
    ],
    ids=str,
)
def test_what_is_no_number_is_refused(number):
    assert not valid(with_organ(kind="blob", radius=number))


def test_distributions_are_those_of_the_language():
    assert set(vary.DISTRIBUTIONS) < set(SCHEMA["$defs"]["Distribution"]["properties"])


@pytest.mark.parametrize(
    "acquire", [{"protocol": "ct-heed"}, {"modality": "ctt"}, {"kvp": 100}, {"modality": "mr", "kvp": 100}]
)
def test_what_is_no_protocol_is_refused(acquire):
    assert not valid(scene(acquire=[acquire]))
    assert valid(scene(acquire=[{"modality": "ct", "kvp": 100}]))


def test_names_may_be_the_scenes_own():
    assert valid(with_organ(**{**BLOB, "material": "mine"}))
    assert valid(scene(background="mine"))
