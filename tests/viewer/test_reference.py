"""The reference in docs/authoring.md: complete, up to date, and every example in the page a valid scene."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from engine import nodes
from engine.pattern import PATTERNS
from engine.scene import Scene, model
from engine.scene.schema import schema
from engine.shapes import mesh
from tests.tutorial import section
from viewer.nodes import picture
from viewer.reference import entries, with_reference

PAGE = Path(__file__).parents[2] / "docs" / "authoring.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", TEXT.replace(section(TEXT), ""), re.MULTILINE | re.DOTALL)
BASE = {
    "viscera": 1,
    "name": "example",
    "grid": {"size": [32, 32, 32], "spacing": [2, 2, 2]},
    "vars": {"size": 1, "waist": 150},
}
SCHEMA = Draft202012Validator(schema())
BODY = {"kind": "sphere", "radius": 12, "material": "liver"}


def whole(part: dict[str, Any]) -> dict[str, Any]:
    """A scene that holds `part`: some of a scene's fields, a structure or some of its fields, or several structures."""
    if "viscera" in part:
        return part
    if set(part) <= set(Scene.model_fields):
        return {**BASE, "structures": {"organ": BODY}, **part}
    if "kind" in part:
        return {**BASE, "structures": {"organ": part}}
    if set(part) <= set(model.StructureFields.model_fields):
        return {**BASE, "structures": {"organ": {**BODY, **part}}}
    return {**BASE, "structures": part}


def test_the_reference_is_up_to_date():
    assert with_reference(TEXT) == TEXT, "run: python -m viewer.nodes docs"


def test_every_registered_node_is_in_it():
    listed = {(entry.section, entry.name) for entry in entries()}
    tables = {"shapes": nodes.SHAPES, "combine": nodes.COMBINES, "deform": nodes.DEFORMERS, "motion": nodes.MOTIONS}
    tables |= {"patterns": PATTERNS, "relations": model.RELATIONS}
    assert {(section, name) for section, table in tables.items() for name in table} <= listed
    parts = ("at", "rotate", "scale", "deform", "label", "group", "material", "color", "probability")
    fields = set(model.StructureFields.model_fields) - set(parts)
    assert {name for section, name in listed if section in ("placement", "relations")} == fields | {"place"}


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: f"{entry.section}-{entry.name}")
def test_every_entry_is_complete(entry):
    assert entry.about
    assert (PAGE.parent / "images" / "nodes" / entry.picture).is_file()
    if entry.section in ("shapes", "combine", "deform", "motion"):
        assert "Lipschitz" in entry.formula


def test_pictures_are_those_of_the_reference():
    there = {path.name for path in (PAGE.parent / "images" / "nodes").glob("*.png")}
    assert there == {entry.picture for entry in entries()}


def test_there_are_examples():
    assert len(BLOCKS) > len(entries())


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_example_is_valid(block, tmp_path):
    shutil.copy(Path(mesh.__file__).with_name("kidney.ply"), tmp_path)
    path = tmp_path / "example.yaml"
    with path.open("w") as file:
        YAML().dump(whole(YAML().load(block)), file)
    scenes = [path.read_text(), Scene.load(path).sample(1).dump()]
    assert all(SCHEMA.is_valid(json.loads(json.dumps(YAML(typ="safe").load(text)))) for text in scenes)


@pytest.mark.usefixtures("offscreen")
@pytest.mark.parametrize("section", ["shapes", "relations"])
def test_pictures_show_something(section):
    entry = next(entry for entry in entries() if entry.section == section)
    image = picture(entry)
    assert image.height == 160
    assert len(np.unique(np.asarray(image).reshape(-1, 3), axis=0)) > 50
