"""Tissues that differ from draw to draw."""

import math

import numpy as np
import pytest

from engine.compile import compile_scene, tissues
from engine.random import Stream
from engine.scene import Scene
from engine.scene.people import person
from engine.tissue import FIELDS_T, load_table, tissue
from tests.engine.scenes import scene_of

BALL = {"kind": "sphere", "radius": 5}


def drawn(vary=1.0, seed=1, **more):
    return scene_of(BALL, vary=vary, **more).sample(seed)


def test_nothing_varies_unless_asked():
    assert scene_of(BALL).sample(3).materials == drawn(vary=0, seed=3).materials == {}


def test_moments_are_the_tables():
    liver = tissue("liver")
    people = [person({}, ["liver"], 2.0, Stream.of(seed))["liver"] for seed in range(3000)]
    for key, spread in liver.spread.items():
        mean = getattr(liver, key)
        values = np.array([p[key][1.5] if isinstance(p[key], dict) else p[key] for p in people])
        mean = mean[1.5] if isinstance(mean, dict) else mean
        deviation = 2.0 * spread * (1.0 if key.endswith("_db") else mean)
        assert values.mean() == pytest.approx(mean, abs=4 * deviation / math.sqrt(3000)), key
        assert values.std() == pytest.approx(deviation, rel=0.07), key


def test_one_number_moves_every_field_strength():
    base = tissue("liver")
    made = tissues(drawn())["liver"]
    for key in ("t1_ms", "t2_ms"):
        factors = [getattr(made, key)[field] / getattr(base, key)[field] for field in FIELDS_T]
        assert factors == pytest.approx([factors[0]] * len(FIELDS_T))
        assert factors[0] != pytest.approx(1, abs=1e-6)
    assert made.composition == base.composition


def test_materials_like_one_tissue_agree_and_keep_what_they_set():
    materials = {"ill": {"like": "liver", "t1_ms": 900}, "calm": {"like": "liver", "vary": 0}, "idle": {"like": "bone"}}
    bodies = [{**BALL, "material": name} for name in ("liver", "ill", "calm", "fat", "adipose")]
    scene = scene_of(*bodies, vary=1, materials=materials).sample(4)
    made = tissues(scene)
    assert made["ill"].t1_ms == dict.fromkeys(FIELDS_T, 900)
    assert made["ill"].t2_ms == made["liver"].t2_ms != tissue("liver").t2_ms
    assert made["calm"].t2_ms == tissue("liver").t2_ms
    assert made["fat"].t2_ms == made["adipose"].t2_ms != tissue("fat").t2_ms
    assert scene.materials["idle"].model_dump(exclude_none=True) == {"like": "bone"}


def test_a_drawn_scene_says_what_it_drew(tmp_path):
    scene = drawn(materials={"own": {"like": "liver"}}, background="muscle")
    path = tmp_path / "drawn.yaml"
    path.write_text(scene.dump())
    again = Scene.load(path)
    assert again.sample(99) == again
    assert compile_scene(again)[1] == compile_scene(scene)[1]
    assert set(scene.materials) == {"liver", "muscle", "own"}
    assert scene.vary == 0


def test_adding_a_structure_changes_no_other_tissue():
    more = scene_of(BALL, {**BALL, "material": "bone"}, vary=1).sample(1)
    assert more.materials["liver"] == drawn().materials["liver"]


@pytest.mark.parametrize("seed", range(5))
def test_every_tissue_stays_matter(seed):
    names = list(load_table())
    scene = scene_of(*[{**BALL, "material": name} for name in names], vary=3).sample(seed)
    for name, made in tissues(scene).items():
        assert 0 <= made.pd <= 1, name
        assert all(made.t2_ms[field] <= made.t1_ms[field] for field in FIELDS_T), name


def test_patterns_are_drawn():
    fibres = {"kind": "fibres", "direction": [0, 0, 1], "length": {"uniform": [9, 12]}, "width": 2}
    choice = {"choice": [fibres, [fibres, {"kind": "noise", "length": {"uniform": [2, 3]}}], []]}
    scene = scene_of({**BALL, "material": "m"}, materials={"m": {"like": "liver", "pattern": choice}})
    found = [tissues(scene.sample(seed))["m"].pattern for seed in range(20)]
    assert {len(patterns) for patterns in found} == {0, 1, 2}
    assert all(9 <= patterns[0].length <= 12 for patterns in found if patterns)
    assert Scene.model_validate(scene.model_dump(exclude_unset=True)) == scene
