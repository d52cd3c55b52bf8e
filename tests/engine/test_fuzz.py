"""Whatever stands in a scene file, it is drawn or refused with a message; nothing else happens."""

import copy
import io
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from engine.compile import compile_scene
from engine.errors import UserError
from engine.scene import Scene

SCENES = Path(__file__).parents[2] / "scenes"
JUNK = [
    None, True, -1, 0, 1e30, 3.7, float("nan"), "", "$nothing", "liver", "2026-01-01", -(10**400), [], {}, [1, 2], [[]],
    {1: 2}, {"uniform": [1, 2]}, {"uniform": [2, 1]}, {"normal": [0, -1]}, {"choice": []}, {"expr": "9 ** 9 ** 9"},
    {"expr": "1 / 0"}, {"expr": "().__class__"}, {"kind": "sphere"},
    {"choice": ["a", {"kind": "box"}], "weights": [0, 0]},
]  # fmt: skip


def places(node, path=()):
    """Every place in a document."""
    if path:
        yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def mutated(document, rng):
    """The document with one thing in it replaced, removed, renamed or doubled."""
    out = copy.deepcopy(document)
    every = list(places(out))
    *above, last = every[rng.integers(len(every))]
    node = out
    for key in above:
        node = node[key]
    action = rng.integers(4)
    if action == 0 and isinstance(node, dict):
        node[str(last) + "x"] = node.pop(last)
    elif action == 1:
        del node[last]
    elif action == 2 and isinstance(node, list):
        node.append(copy.deepcopy(node[last]))
    else:
        node[last] = copy.deepcopy(JUNK[rng.integers(len(JUNK))])
    return out


@pytest.mark.parametrize("name", ["abdomen", "anything"])
def test_mutated_scenes_are_drawn_or_refused(name, tmp_path):
    yaml = YAML(typ="safe")
    document = yaml.load((SCENES / f"{name}.yaml").read_text())
    rng = np.random.default_rng(7)
    refused = 0
    for _ in range(60):
        text = io.StringIO()
        yaml.dump(mutated(document, rng), text)
        path = tmp_path / "scene.yaml"
        path.write_text(text.getvalue())
        try:
            compile_scene(Scene.load(path).sample(1))
        except UserError as error:
            refused += 1
            assert len(str(error)) > 20
    assert refused > 15
