import json

import pytest
from ruamel.yaml import YAML

from tests.trainer.phantoms import score_of, write_dataset
from trainer import tables, weights
from trainer.baselines import ELLIPSE
from trainer.config import load
from trainer.loop import train
from trainer.publish import main
from trainer.scores import Report


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A recipe, its finished run, and an evaluation."""
    folder = tmp_path_factory.mktemp("publish")
    dataset = write_dataset(folder / "data", count=2)
    recipe = folder / "recipe.yaml"
    values = {
        "image_size": 64,
        "data": {"dataset": str(dataset), "workers": 0},
        "phases": [{"steps": 2, "batch": 1}, {"steps": 1, "batch": 1, "frames": 2}],
        "threads": 1,
        "out": str(folder / "run"),
    }
    with recipe.open("w") as file:
        YAML().dump(values, file)
    train(load(recipe))
    tables.write(Report((score_of("x", 0.8), score_of("x", 0.5, ELLIPSE))), folder / "scores")
    return folder


def test_a_published_model_is_half_as_large_and_says_where_it_is_from(trained):
    out = trained / "models" / "tiny-one"
    assert main([str(trained / name) for name in ("recipe.yaml", "run", "scores")] + [str(out)]) == 0
    whole = trained / "run" / "model"
    sizes = [(place / weights.WEIGHTS).stat().st_size for place in (out, whole)]
    assert sizes[0] < 0.51 * sizes[1]
    assert weights.load(out).spec == weights.load(whole).spec
    assert json.loads((out / weights.CONFIG).read_text())["step"] == 3
    card = (out / "README.md").read_text()
    assert card.startswith("# tiny-one\n")
    assert "2 steps of 1 still pictures; then 1 steps of 1 clips of 2 slices: 4 pictures" in card
    assert "1 x CPU, 1 thread(s)" in card
    assert "## Scores" in card and "| ct | box | ellipse in the box | 1 | 0.500 |" in card


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda folder: ["recipe.yaml", "nowhere", "scores"], "has no model yet"),
        (lambda folder: ["recipe.yaml", "run", "nowhere"], "no evaluation's scores"),
        (lambda folder: [_another(folder), "run", "scores"], "is not a run of"),
    ],
)
def test_what_cannot_be_published_is_said(trained, capsys, change, message):
    assert main([str(trained / name) for name in change(trained)] + [str(trained / "none")]) == 2
    assert message in capsys.readouterr().err
    assert not (trained / "none").exists()


def _another(folder):
    text = (folder / "recipe.yaml").read_text()
    (folder / "other.yaml").write_text(text.replace("steps: 2", "steps: 3"))
    return "other.yaml"
