"""The scene language: located errors, drawing, round trips."""

# ruff: noqa: E501 (a table of one-line scenes)

import textwrap
from pathlib import Path

import numpy as np
import pytest

from engine.compile import compile_scene
from engine.errors import UserError
from engine.scene import Scene, SceneError
from engine.scene.sample import Scattered, draw
from tests.engine.scenes import scene_of

SCENES = sorted((Path(__file__).parents[2] / "scenes").glob("*.yaml"))

HEAD = """\
viscera: 1
name: test
grid: {size: [32, 32, 32], spacing: [1, 1, 1]}
"""


def write(folder: Path, body: str, name: str = "scene.yaml", head: str = HEAD) -> Path:
    path = folder / name
    path.write_text(head + textwrap.dedent(body))
    return path


def mistakes(folder: Path, body: str) -> list[str]:
    with pytest.raises(SceneError) as caught:
        Scene.load(write(folder, body))
    return [str(m) for m in caught.value.mistakes]


WRONG = {
    "unknown field": ("organ: {kind: sphere, radius: 3, material: liver, colour: red}", "unknown field 'colour'", "did you mean 'color'?", 5, 53),
    "misspelt kind": ("organ: {kind: sphre, radius: 3, material: liver}", "'sphre' is no kind", "did you mean 'sphere'?", 5, 17),
    "no kind": ("organ: {radius: 3, material: liver}", "no 'kind'", "add 'kind: ...'", 5, 3),
    "missing field": ("organ: {kind: sphere, material: liver}", "'organ' needs 'radius'", "add 'radius: ...' here", 5, 3),
    "wrong type": ("organ: {kind: sphere, radius: big, material: liver}", "valid number", "", 5, 33),
    "negative": ("organ: {kind: sphere, radius: -3, material: liver}", "greater than 0", "", 5, 33),
    "can be negative": ("organ: {kind: sphere, radius: {normal: [3, 1]}, material: liver}", "can reach any negative number; add clip", "", 5, 25),
    "reversed": ("organ: {kind: sphere, radius: {uniform: [5, 2]}, material: liver}", "uniform needs [low, high]", "", 5, 25),
    "distribution": ("organ: {kind: sphere, radius: {unifrom: [1, 2]}, material: liver}", "'unifrom' is no way to write a number", "did you mean 'uniform'?", 5, 34),
    "variable": ("organ: {kind: sphere, radius: $rr, material: liver}", "variable 'rr' is not defined", "", 5, 33),
    "expression": ("organ: {kind: sphere, radius: {expr: __import__('os')}, material: liver}", "is not allowed in an expression", "", 5, 25),
    "comma": ("organ: {kind: sphere, radius: {expr: max(3, 2 * min(4, 5))}, material: liver}", 'put the expression in quotes: {expr: "max(3, 2 * min(4, 5))"}', "", 5, 25),
    "bracket": ("organ: {kind: sphere, radius: {expr: '2 * (3 + 1'}, material: liver}", "cannot read '2 * (3 + 1'", "", 5, 25),
    "material": ("organ: {kind: sphere, radius: 3, material: livr}", "material 'livr' is not defined", "did you mean 'liver'?", 5, 46),
    "parent": ("organ: {kind: sphere, radius: 3, material: liver, inside: boddy}", "structure 'boddy' is not defined", "", 5, 61),
    "itself": ("organ: {kind: sphere, radius: 3, material: liver, inside: organ}", "refers to 'organ', which comes later", "", 5, 61),
    "two deformers": ("organ: {kind: sphere, radius: 3, material: liver, deform: [{twist: {rate: 1}, bend: {radius: 90}}]}", "holds one deformer", "", 5, 62),
    "first part": ("organ: {kind: blend, material: liver, parts: [{kind: sphere, radius: 3, op: subtract}]}", "nothing before it", "", 5, 79),
    "boolean": ("organ: {kind: sphere, radius: true, material: liver}", "needs a number", "", 5, 33),
    "infinite": ("organ: {kind: sphere, radius: .inf, material: liver}", "finite number", "", 5, 33),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_mistakes_are_located(case, tmp_path):
    body, message, hint, line, column = WRONG[case]
    (text,) = mistakes(tmp_path, f"structures:\n  {body}\n")
    assert message in text
    assert hint in text
    assert f"scene.yaml:{line}:{column}" in text


def test_all_mistakes_at_once(tmp_path):
    body = """\
    structures:
      a: {kind: sphere, radius: -1, material: liver}
      b: {kind: box, size: [1, 2], material: liver}
      c: {kind: blend, material: liver, parts: [{kind: sphere, radius: 3, label: 4}]}
    acquire:
      - {modality: cd}
    """
    texts = mistakes(tmp_path, body)
    assert [text.splitlines()[1].split(":")[-2] for text in texts] == ["5", "6", "7", "9"]
    assert "unknown field 'label'" in texts[2]
    assert "'cd' is no modality" in texts[3]


def test_a_kinds_own_fields_are_listed_first(tmp_path):
    (text,) = mistakes(tmp_path, "structures:\n  a: {kind: blob, radius: 3, material: liver, colour: red}\n")
    assert "fields here: kind, radius, roughness, seed, at, rotate" in text


def test_a_misspelt_required_field_is_one_mistake(tmp_path):
    (text,) = mistakes(tmp_path, "structures:\n  a: {kind: sphere, radus: 3, material: liver}\n")
    assert "unknown field 'radus'" in text
    assert "did you mean 'radius'?" in text


@pytest.mark.parametrize(
    ("body", "line", "message"),
    [
        ("structures: {a: [\n", 5, "not valid YAML"),
        ("structures: {a: 1\n", 4, "what opens here is never closed"),
        ("structures: {a: 1\nacquire: []\n", 5, "help: in what opens at line 4, column 13"),
        ("structures:\n  a:\n    b: 1\n   c: 1\n", 7, "help: indent it as far as what it belongs to"),
        ("structures:\n\ta: 1\n", 5, "help: indent with spaces, not with tabs"),
        ("description: a: b\n", 4, "put text with a colon in quotes"),
    ],
)
def test_broken_yaml_is_located(body, line, message, tmp_path):
    (text,) = mistakes(tmp_path, body)
    assert "not valid YAML" in text
    assert message in text
    assert f"scene.yaml:{line}:" in text


def test_what_is_not_defined_is_said_with_where_to_define_it(tmp_path):
    body = "materials:\n  a: {hu: 3}\n  b: {like: a}\nstructures:\n  x: {kind: sphere, radius: $r, material: zzz}\n"
    tissue, variable, material = sorted(mistakes(tmp_path, body), key=lambda text: text.split("'")[1])
    assert "'a' is a material of this scene" in tissue
    assert "help: define it under 'vars'" in variable
    assert (
        "help: materials: a, b; define it under 'materials', or name a tissue; `viscera explain` lists them" in material
    )


@pytest.mark.parametrize("content", ["", "just words", "- 1\n- 2\n"])
def test_what_is_no_scene_is_refused(content, tmp_path):
    with pytest.raises(UserError):
        Scene.load(write(tmp_path, content, head=""))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        Scene.load(tmp_path / "nothing.yaml")
    with pytest.raises(UserError, match="is a folder"):
        Scene.load(tmp_path)
    with pytest.raises(SceneError, match=r"included file 'gone.yaml' does not exist"):
        Scene.load(
            write(tmp_path, "include: [gone.yaml]\nstructures:\n  a: {kind: sphere, radius: 3, material: liver}\n")
        )


def test_binary_is_refused(tmp_path):
    (tmp_path / "scene.yaml").write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match="cannot be read as text"):
        Scene.load(tmp_path / "scene.yaml")


def test_circular_includes_are_refused(tmp_path):
    write(tmp_path, "include: [b.yaml]\n", "a.yaml")
    write(tmp_path, "include: [a.yaml]\n", "b.yaml")
    with pytest.raises(SceneError, match=r"in a circle[\s\S]*a.yaml -> b.yaml -> a.yaml"):
        Scene.load(tmp_path / "a.yaml")


def test_includes_add_and_own_entries_win(tmp_path):
    (tmp_path / "tissues.yaml").write_text(
        "materials:\n  mine: {like: liver, hu: 10}\n  other: {like: fat}\nvars: {size: 4}\n"
    )
    body = """\
    include: [tissues.yaml]
    materials:
      mine: {like: liver, hu: 20}
    structures:
      a: {kind: sphere, radius: $size, material: mine}
      b: {kind: sphere, radius: 2, material: other}
    """
    scene = Scene.load(write(tmp_path, body)).sample(0)
    assert scene.materials["mine"].hu == 20
    assert scene.structures["a"].radius == 4


def test_mistakes_in_an_included_file_name_that_file(tmp_path):
    (tmp_path / "tissues.yaml").write_text("materials:\n  mine: {like: livr}\n")
    body = "include: [tissues.yaml]\nstructures:\n  a: {kind: sphere, radius: 3, material: mine}\n"
    with pytest.raises(SceneError, match=r"tissues.yaml:2:16"):
        Scene.load(write(tmp_path, body))


# --- drawing -----------------------------------------------------------------------------------------------------------


def test_the_same_seed_draws_the_same_scene_and_others_do_not():
    scene = scene_of({"kind": "sphere", "radius": {"uniform": [2, 9]}})
    radius = [scene.sample(seed, index).structures["s0"].radius for seed, index in ((1, 0), (1, 0), (1, 1), (2, 0))]
    assert radius[0] == radius[1]
    assert len(set(radius)) == 3


def test_adding_a_structure_changes_no_other_draw():
    a = {"kind": "blob", "radius": {"uniform": [2, 9]}}
    b = {"kind": "sphere", "radius": {"normal": [5, 1], "clip": [1, 9]}}
    both, one = scene_of(a, b).sample(3), scene_of(a).sample(3)
    assert both.structures["s0"] == one.structures["s0"]


def test_variables_are_drawn_once_and_expressions_follow():
    body = {"kind": "ellipsoid", "radii": ["$w", {"expr": "0.5 * w + min(1, 2)"}, 4]}
    scene = scene_of(body, vars={"w": {"uniform": [4, 8]}}).sample(2)
    x, y, _ = scene.structures["s0"].radii
    assert y == pytest.approx(0.5 * x + 1)


def test_distributions_have_the_moments_they_claim():
    spread = {
        "uniform": ([2, 6], 4.0, 4 / np.sqrt(12)),
        "normal": ([5, 0.5], 5.0, 0.5),
        "lognormal": ([5, 0.2], 5 * np.exp(0.02), 5 * np.exp(0.02) * np.sqrt(np.exp(0.04) - 1)),
    }
    for kind, (parameters, mean, sd) in spread.items():
        number = {kind: parameters, "clip": [0.1, 100]}
        scene = scene_of({"kind": "sphere", "radius": number})
        drawn = [scene.sample(0, i).structures["s0"].radius for i in range(400)]
        assert np.mean(drawn) == pytest.approx(mean, abs=4 * sd / 20)
        assert np.std(drawn) == pytest.approx(sd, rel=0.2)


def test_probability_and_variants():
    scene = scene_of(
        {"kind": "sphere", "radius": 3}, {"kind": "sphere", "radius": 2, "probability": 0.3, "inside": "s0"}
    )
    present = [("s1" in scene.sample(0, i).structures) for i in range(200)]
    assert 0.2 < np.mean(present) < 0.4
    variants = {
        "choice": [
            {"kind": "sphere", "radius": 3, "material": "fat"},
            {"kind": "box", "size": [4, 4, 4], "material": "bone"},
        ]
    }
    scene = Scene.model_validate({**scene.model_dump(exclude_unset=True), "structures": {"s0": variants}})
    assert {scene.sample(0, i).structures["s0"].kind for i in range(20)} == {"sphere", "box"}


def test_children_go_with_a_parent_that_is_left_out():
    scene = scene_of({"kind": "sphere", "radius": 3}, {"kind": "sphere", "radius": 5, "probability": 0},
                     {"kind": "sphere", "radius": 2, "inside": "s1"})  # fmt: skip
    assert list(scene.sample(0).structures) == ["s0"]


def test_scattered_copies_without_a_place_are_counted():
    room = {"kind": "sphere", "radius": 10}
    few = {"kind": "sphere", "radius": 4, "scatter": {"region": "s0", "count": 9, "gap": 1}, "inside": "s0"}
    none = {"kind": "sphere", "radius": 12, "scatter": {"region": "s0", "count": 2}}
    fits = {"kind": "sphere", "radius": 1, "scatter": {"region": "s0", "count": {"integer": [3, 3]}}}
    left_out = {**none, "probability": 0}
    drawing = draw(scene_of(room, few, none, fits, left_out), 0)
    copies = [name for name in drawing.scene.structures if name.startswith("s1.")]
    assert drawing.scattered == (Scattered("s1", len(copies), 9), Scattered("s2", 0, 2), Scattered("s3", 3, 3))
    assert 1 <= len(copies) < 9
    assert drawing.unplaced == drawing.scattered[:2]
    assert str(drawing.unplaced[1]).startswith("'s2': 0 of 2 copies found a place; ask for fewer")
    assert draw(drawing.scene, 0).unplaced == ()


def test_scattered_copies_keep_margin_and_gap():
    region = {"kind": "ellipsoid", "radii": [16, 12, 14], "deform": [{"noise": {"amplitude": 1, "wavelength": 12}}]}
    scatter = {"region": "s0", "count": 6, "margin": 1.5, "gap": 2.0}
    scene = scene_of(region, {"kind": "sphere", "radius": {"uniform": [1, 2.5]}, "scatter": scatter, "inside": "s0"})
    drawn = scene.sample(4)
    spheres = [s for name, s in drawn.structures.items() if name.startswith("s1.")]
    assert len(spheres) == 6
    program, _ = compile_scene(drawn)
    centres = np.array([s.at for s in spheres])
    radii = np.array([s.radius for s in spheres])
    for i in range(6):
        direction = np.random.default_rng(i).normal(size=(500, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        assert (program.evaluate(centres[i] + direction * (radii[i] + 1.5), 0) < 0).all()
        for j in range(i):
            assert np.linalg.norm(centres[i] - centres[j]) >= radii[i] + radii[j] + 2.0 - 1e-6


def test_a_drawn_scene_is_drawn_already():
    scene = scene_of({"kind": "blob", "radius": {"uniform": [5, 9]}})
    drawn = scene.sample(3, 7)
    assert drawn.sample(99, 1) is drawn


def test_a_draw_that_cannot_be_is_explained():
    scene = scene_of({"kind": "sphere", "radius": {"expr": "1 - w"}}, vars={"w": {"uniform": [2, 3]}})
    with pytest.raises(UserError, match=r"seed 5, index 0: structures.*radius.*greater than 0.*add clip"):
        scene.sample(5)
    with pytest.raises(UserError, match="division by zero"):
        scene_of({"kind": "sphere", "radius": {"expr": "1 / w"}}, vars={"w": 0}).sample(5)
    with pytest.raises(UserError, match=r"'sqrt\(w, 2\)': "):
        scene_of({"kind": "sphere", "radius": {"expr": "sqrt(w, 2)"}}, vars={"w": 4}).sample(5)


def test_an_impossible_bend_is_explained():
    scene = scene_of({"kind": "sphere", "radius": 10, "deform": [{"bend": {"radius": 12}}]})
    with pytest.raises(
        UserError, match=r"structures.s0: bend: radius is 12 mm, but the shape reaches 10 mm.*at least 16 mm"
    ):
        compile_scene(scene)


@pytest.mark.parametrize("path", SCENES, ids=lambda p: p.stem)
def test_gallery_scenes_load_and_draw(path):
    scene = Scene.load(path)
    labels = scene.labels()
    for index in range(3):
        drawn = scene.sample(0, index)
        _, structures = compile_scene(drawn)
        assert {s.label for s in structures[1:]} <= set(labels.values())
        assert drawn == Scene.model_validate(drawn.model_dump(exclude_unset=True))
