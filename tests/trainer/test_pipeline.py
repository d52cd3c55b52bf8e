"""The whole path on toys: what it leaves, what it does not do twice, and what it refuses."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from engine.errors import UserError
from engine.io import write_image, write_labels
from tests.trainer.phantoms import ball_case, inscribed, write_scene
from trainer import pipeline, real, report
from trainer.metrics import dice
from trainer.pipeline import run

TRAIN = """
model: nano
image_size: 64
data: {scenes: [pair.yaml], modalities: [ct], workers: 0}
phases: [{steps: 2, batch: 2}]
threads: 1
"""
PIPELINE = """
generate: {scenes: [pair.yaml], count: 1, held_out: 1, size: 24, modalities: [ct, mr]}
train:
  config: train.yaml
  set: {data: {dataset: generated, workers: 0, clips_per_volume: 2}}
evaluate:
  protocols: [box, click]
  structures: [organ]
  pairs: [{image: ball.nii.gz, labels: ball_labels.nii.gz, modality: mr, names: {1: shell, 2: core}}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipeline")
    case = ball_case(size=(20, 18, 16))
    write_scene(folder)
    write_image(folder / "ball.nii.gz", case.image, case.grid)
    write_labels(folder / "ball_labels.nii.gz", case.labels, case.grid)
    (folder / "train.yaml").write_text(TRAIN)
    (folder / "pipeline.yaml").write_text(PIPELINE)
    return folder


@pytest.fixture(scope="module")
def finished(folder):
    return run(folder / "pipeline.yaml", folder / "out")


def write(folder, name, **changes):
    """The pipeline file with some of its text replaced."""
    text = PIPELINE
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new)
    (folder / name).write_text(text)
    return folder / name


def test_the_report_shows_everything(finished):
    text = finished.read_text()
    for heading in ("Training", "Held-out volumes, before and after", "Real scans", "Where it came from"):
        assert f"## {heading}" in text
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert pictures == ["training.png", "evaluate/overlays.png", "scans/overlays.png"]
    for name in pictures:
        assert Image.open(finished.parent / name).size[0] > 50
    assert "| organ | ct | box | 1 |" in text
    assert "| core | mr | click | 1 |" in text
    assert "seed of held-out volumes" in text


def test_the_same_figures_are_machine_readable(finished):
    results = json.loads((finished.parent / "results.json").read_text())
    assert results["training"]["steps"] == 2
    assert results["volumes"] == {"training": 1, "held_out": 1}
    assert set(results["seconds"]) == {"generate", "train", "evaluate", "scans"}
    rows = {(r["structure"], r["modality"], r["protocol"]): r["dice"] for r in results["held_out"]["table"]}
    assert set(rows) == {("organ", m, p) for m in ("ct", "mr") for p in ("box", "click")}
    assert set(rows["organ", "ct", "box"]) == {"untrained", "trained", "ellipse in the box"}
    assert set(rows["organ", "ct", "click"]) == {"untrained", "trained", "region growing"}
    core = ball_case(size=(20, 18, 16)).labels == 2
    ellipse = next(r["dice"]["ellipse in the box"] for r in results["scans"]["table"] if r["structure"] == "core")
    assert ellipse[1] == pytest.approx(dice(inscribed(core), core), abs=1e-3)


def test_results_are_kept_to_look_at_and_scans_are_not_copied(finished, folder):
    out = finished.parent
    held_out, scans = (sorted((out / part / "results").glob("*.json")) for part in ("evaluate", "scans"))
    assert held_out and scans
    assert json.loads(scans[0].read_text())["image"][0] == str((folder / "ball.nii.gz").resolve())
    assert not list((out / "scans").glob("*.nii.gz"))
    assert f"viscera view {out}" in finished.read_text()


def test_the_example_is_a_click_on_the_structure(finished):
    example = json.loads((finished.parent / "results.json").read_text())["scans"]["example"]
    x, y, z = example["point"]
    assert ball_case(size=(20, 18, 16)).labels[z, y, x] == 1
    assert f"--point {x},{y},{z}" in finished.read_text()


def test_a_second_run_does_nothing_again(finished, folder, monkeypatch):
    def never(*_, **__):
        raise AssertionError("done again")

    for step in ("generate", "train", "evaluate"):
        monkeypatch.setattr(pipeline, step, never)
    before = (finished.parent / "results.json").read_text()
    run(folder / "pipeline.yaml", folder / "out")
    assert (finished.parent / "results.json").read_text() == before


def test_other_scores_need_no_new_training(finished, folder, monkeypatch):
    def never(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(pipeline, "train", never)
    changed = write(folder, "box.yaml", protocols=("[box, click]", "[box]"))
    results = json.loads((run(changed, folder / "out").parent / "results.json").read_text())
    assert {row["protocol"] for row in results["held_out"]["table"]} == {"box"}


def test_other_data_in_the_same_folder_are_refused(finished, folder):
    changed = write(folder, "larger.yaml", size=("size: 24", "size: 28"))
    with pytest.raises(UserError, match="made with other settings"):
        run(changed, folder / "out")


def test_an_interrupted_training_goes_on(folder, tmp_path, monkeypatch):
    stopped = type("Result", (), {"finished": False, "step": 1, "model": tmp_path})
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "train", lambda config: stopped)
        with pytest.raises(KeyboardInterrupt, match="after training step 1; run the same command again"):
            run(folder / "pipeline.yaml", tmp_path / "out")
    assert not (tmp_path / "out/report.md").exists()
    called = []
    monkeypatch.setattr(pipeline, "generate", called.append)
    assert run(folder / "pipeline.yaml", tmp_path / "out").is_file()
    assert not called


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("protocols:", "protocol:", r"(?s)unknown key 'protocol'.*pipeline.yaml:7:3.*did you mean 'protocols'"),
        ("count: 1", "count: -1", r"(?s)greater than or equal to 0.*pipeline.yaml:2:33.*in generate.count"),
        ("[organ]", "[spleen]", "the scenes have no 'spleen'; they have body, organ"),
        ("count: 1", "count: 0", "needs generate.count of 1 or more"),
        ("config: train.yaml", "config: none.yaml", "none.yaml: no such file"),
        ("[pair.yaml]", "[none.yaml]", "none.yaml: no such file"),
        ("dataset: generated", "datasets: generated", "datasets"),
        ("train:\n  config: train.yaml\n", "trian:\n", "'train' is missing"),
        ("generate: {", "generate: {{", "not valid YAML"),
    ],
)
def test_mistakes_are_found_before_anything_is_made(folder, tmp_path, old, new, says):
    assert old in PIPELINE
    for file in folder.glob("*.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "pipeline.yaml").write_text(PIPELINE.replace(old, new))
    with pytest.raises(UserError, match=says):
        run(tmp_path / "pipeline.yaml", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_labels_that_are_not_there_are_named(folder):
    with pytest.raises(UserError, match=r"has no voxel of label 7; it has \[1, 2\]"):
        real.pair(folder / "ball.nii.gz", folder / "ball_labels.nii.gz", "mr", {7: "liver"})


def test_mni152_is_a_brain_in_its_place():
    case = real.mni152()
    brain, white = case.mask("brain"), case.mask("white matter")
    litres = brain.sum() * case.grid.voxel_volume / 1e6
    assert 1.6 < litres < 2.1  # ICBM 152 is larger than the mean brain
    assert (white <= brain).all()
    assert 0.25 < white.sum() / brain.sum() < 0.5
    assert case.image[white].mean() > 1.2 * case.image[brain & ~white].mean()  # T1-weighted
    centre = case.grid.to_world(np.argwhere(brain)[:, ::-1].mean(axis=0))
    assert abs(centre[0]) < 3  # the hemispheres lie either side of x = 0


def test_means_are_over_cases():
    score = {"case": "a", "structure": "s", "modality": "ct", "protocol": "box", "method": "model"}
    scores = [{**score, "slice_dice": a, "volume_dice": b} for a, b in ((0.2, 0.4), (0.6, 0.0))]
    (row,) = report.compare({"before": scores[:1], "after": scores})
    assert row["cases"] == 2
    assert row["dice"] == {"untrained": [0.2, 0.4], "trained": [0.4, 0.2]}
