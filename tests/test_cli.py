"""The command line: what it says, what it writes, how it ends."""

import json
import re

import nibabel as nib
import numpy as np
import pytest
from jsonschema import Draft202012Validator
from PIL import Image
from ruamel.yaml import YAML

import viscera
from engine.io import read_labels, write_image
from tests.trainer.phantoms import ball_case
from tests.viewer import test_results as results
from trainer.metrics import dice
from viscera import SCENES, TEMPLATES

SCENE = """\
viscera: 1
name: small
grid: {size: [24, 20, 16], spacing: [4, 4, 4]}
structures:
  body: {kind: ellipsoid, material: muscle, radii: [40, 34, 90]}
  organ: {kind: blob, material: liver, inside: body, radius: {uniform: [12, 18]}}
"""


@pytest.fixture
def scene(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SCENE)
    return path


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command; gives its exit code, output and errors."""

    def call(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["viscera", *map(str, arguments)])
        code = 0
        try:
            viscera.main()
        except SystemExit as leave:
            code = leave.code or 0
        out = capsys.readouterr()
        assert "Traceback" not in out.err
        return code, out.out, out.err

    return call


def test_help_names_every_command(run):
    code, out, _ = run("--help")
    assert code == 0
    for name in "new validate schema explain generate view train evaluate segment run bench info".split():
        assert f"\n  {name} " in out


def test_the_gallery_is_valid(run):
    code, out, _ = run("validate", *sorted(SCENES.glob("*.yaml")), "abdomen")
    assert code == 0
    assert out.count(": valid; ") == len(list(SCENES.glob("*.yaml"))) + 1


def test_invalid_scenes_end_with_2_and_name_all(run, scene):
    wrong = scene.with_name("wrong.yaml")
    wrong.write_text(SCENE.replace("radii", "radius").replace("liver", "livr"))
    code, out, err = run("validate", scene, wrong, "nosuch")
    assert code == 2
    assert "small.yaml: valid" in out
    assert "did you mean 'radii'?" in err
    assert "the gallery has no such scene; it has: abdomen" in err


def test_copies_that_find_no_place_are_told_of_once(run, scene, tmp_path):
    crowded = scene.with_name("crowded.yaml")
    stones = "  stones: {kind: sphere, radius: 9, material: stone, scatter: {region: organ, count: 40}}\n"
    crowded.write_text(SCENE.replace("name: small", "name: crowded") + stones)
    code, out, err = run("validate", crowded)
    assert code == 0
    assert "crowded.yaml: valid" in out
    assert re.fullmatch(r"warning: \S*crowded.yaml: 'stones': \d of 40 copies found a place; .*\n", err)
    options = ("--count", 3, "--size", 16, "--modalities", "ct", "--out", tmp_path / "data")
    code, out, err = run("generate", crowded, scene, *options, "--workers", 1)
    assert code == 0
    assert re.fullmatch(r"warning: crowded: 'stones': \d+ of 120 copies found a place; .*\n", err)
    assert run("generate", crowded, scene, *options)[2] == ""  # nothing was drawn


def test_the_schema_describes_every_field(run):
    _, out, _ = run("schema")
    document = json.loads(out)
    parts = [document, *document["$defs"].values()]
    fields = [(part["title"], *field) for part in parts for field in part.get("properties", {}).items()]
    assert not [(title, name) for title, name, field in fields if not field.get("description")]
    blob = document["$defs"]["BlobStructure"]["properties"]
    assert blob["roughness"]["description"].startswith("`roughness` (0 sphere, 1 deeply lobed)")


def test_schema_accepts_the_gallery_and_refuses_mistakes(run):
    _, out, _ = run("schema")
    check = Draft202012Validator(json.loads(out))
    for path in SCENES.glob("*.yaml"):
        document = json.loads(json.dumps(YAML(typ="safe").load(path.read_text())))
        assert list(check.iter_errors(document)) == []
        document["structures"][next(iter(document["structures"]))]["colour"] = "red"
        assert list(check.iter_errors(document))


def test_a_new_scene_is_valid_and_nothing_is_overwritten(run, tmp_path):
    path = tmp_path / "my adrenal.yaml"
    code, out, _ = run("new", path)
    assert code == 0
    assert "viscera.schema.json, by which editors complete" in out
    assert f"viscera view '{path}'" in out
    assert YAML(typ="safe").load(path.read_text())["name"] == "my_adrenal"
    assert path.read_text().startswith("# yaml-language-server: $schema=viscera.schema.json\n")
    assert json.loads((tmp_path / "viscera.schema.json").read_text())["title"] == "Viscera scene"
    code, _, err = run("new", path)
    assert code == 2
    assert "exists already" in err
    assert run("new", tmp_path / "adrenal.txt")[0] == 2


@pytest.mark.parametrize("template", ["anything", "lesion", "organ", "vessels"])
def test_every_template_is_a_scene_of_its_own(run, tmp_path, template):
    assert template in {file.stem for file in TEMPLATES.glob("*.yaml")}
    path = tmp_path / "mine.yaml"
    assert run("new", path, "--template", template)[0] == 0
    code, out, err = run("validate", path)
    assert (code, err) == (0, "")  # scattered copies all find a place
    assert "valid" in out
    assert YAML(typ="safe").load(path.read_text())["name"] == "mine"


def test_words_of_the_scene_language_are_explained(run, tmp_path):
    listed = run("explain")[1]
    assert all(word in listed for word in "blob warp press uniform structures liver ct-head".split())
    code, out, _ = run("explain", "noise", "--picture", tmp_path / "noise.png")
    assert code == 0
    assert "noise: deformer" in out and "noise: pattern" in out and "`amplitude`: number of at least 0" in out
    assert Image.open(tmp_path / "noise.png").size[0] > 300  # both meanings
    code, _, err = run("explain", "elipsoid")
    assert code == 2 and "did you mean ellipsoid" in err
    assert run("explain", "liver", "--picture", tmp_path / "liver.png")[0] == 2
    assert run("explain", "--picture", tmp_path / "liver.png")[0] == 2


def test_info_is_json_where_asked(run):
    facts = json.loads(run("info", "--json")[1])
    assert facts["scenes"][:1] == ["abdomen"]
    assert facts["torch"]
    assert facts["libigl"]
    assert "taichi" in run("info")[1]


def test_generate_writes_a_dataset_that_others_read(run, scene, tmp_path):
    out = tmp_path / "data"
    code, said, err = run(
        "generate", scene, "--count", 2, "--seed", 3, "--size", 32, "--modalities", "ct,mr", "--out", out
    )
    assert (code, err) == (0, "")
    assert "2 volumes" in said
    names = sorted(p.name for p in (out / "imagesTr").iterdir())
    assert names == [f"small_000{i}_000{c}.nii.gz" for i in range(2) for c in range(2)]
    labels, ct = nib.load(out / "labelsTr/small_0000.nii.gz"), nib.load(out / "imagesTr/small_0000_0000.nii.gz")
    assert labels.shape == ct.shape == (32, 27, 21)
    assert np.array_equal(labels.affine, ct.affine)
    assert set(np.unique(labels.get_fdata())) == {0, 1, 2}


def test_generate_refuses_what_cannot_be(run, scene, tmp_path):
    out = tmp_path / "data"
    for arguments, message in (
        (["--modalities", "ct,pet"], "modality 'pet' is unknown"),
        (["--size", "3"], "3 is not in the range x>=8"),
        (["--count", "0"], "0 is not in the range x>=1"),
        (["--size", "30000"], "GiB are free"),
        (["--spacing", "-1"], "spacing"),
        (["--device", "cuda"], "cuda"),
    ):
        code, _, err = run("generate", scene, "--out", out, *arguments)
        assert code == 2, arguments
        assert message in err
        assert not out.exists() or not list(out.rglob("*.nii.gz"))


def test_view_writes_a_picture(run, scene, tmp_path, offscreen):
    picture = tmp_path / "small.png"
    assert run("view", scene, "--screenshot", picture, "--modality", "ct")[0] == 0
    assert picture.stat().st_size > 20_000
    code, _, err = run("view", tmp_path / "nothing.nii.gz", "--screenshot", picture)
    assert code == 2
    assert "nothing.nii.gz" in err


def test_view_opens_results_and_says_what_is_wrong_with_them(run, tmp_path, offscreen):
    file, picture = results.write(tmp_path), tmp_path / "shot.png"
    assert run("view", tmp_path / "out", "--screenshot", picture)[0] == 0 and picture.is_file()
    (tmp_path / "scan.nii.gz").unlink()
    code, _, err = run("view", tmp_path / "out", "--screenshot", picture)
    assert code == 2 and "is gone" in err and str(file) in err and len(err.splitlines()) == 1


def test_view_writes_a_page(run, scene, tmp_path):
    page = tmp_path / "small.html"
    assert run("view", scene, "--html", page, "--modality", "ct")[0] == 0
    assert page.stat().st_size > 500_000
    code, _, err = run("view", scene, "--html", page, "--screenshot", tmp_path / "small.png")
    assert code == 2 and "exclude each other" in err
    code, _, err = run("view", scene, "--html", tmp_path / "small.txt")
    assert code == 2 and "name the file .html" in err


def test_gallery_draws_one_sheet(run, scene, tmp_path, offscreen):
    sheet = tmp_path / "sheet.png"
    assert run("gallery", scene, "--out", sheet, "--size", "20")[0] == 0
    with Image.open(sheet) as picture:
        assert picture.width > 5 * 320


def test_protocols_are_listed_without_a_model(run):
    code, out, _ = run("evaluate", "--protocols")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()][:3] == ["box", "click", "clicks-1p2n"]


def test_a_scan_is_segmented_without_naming_a_model(run, tmp_path):
    case = ball_case(size=(48, 44, 24))
    scan, mask = tmp_path / "scan.nii.gz", tmp_path / "mask.nii.gz"
    write_image(scan, case.image, case.grid)
    code, _, err = run("segment", scan, "--point", "26,22,12", "--out", mask)
    assert code == 0, err
    assert dice(read_labels(mask)[0] > 0, case.mask("core")) > 0.9


def test_missing_inputs_of_the_trainer_are_named(run, tmp_path):
    for command in (
        ["train", tmp_path / "no.yaml"],
        ["run", tmp_path / "no.yaml"],
        ["evaluate", tmp_path / "no-model", tmp_path / "no-data", "--out", tmp_path / "out"],
        ["segment", tmp_path / "no-model", tmp_path / "no.nii.gz", "--point", "0,0,0", "--out", tmp_path / "m.nii.gz"],
        ["segment", tmp_path / "no-model", tmp_path / "no.nii.gz", "--point", "0,x,0", "--out", tmp_path / "m.nii.gz"],
        ["segment", "nano", tmp_path / "a.nii.gz", tmp_path / "b.nii.gz", "--out", tmp_path / "m.nii.gz"],
        ["segment", "--point", "0,0,0", "--out", tmp_path / "m.nii.gz"],
    ):
        code, _, err = run(*command)
        assert code == 2, command
        assert err.strip()
