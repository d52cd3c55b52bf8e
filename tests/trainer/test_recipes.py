"""Every recipe trains by its command, here for a step and at a small size."""

from pathlib import Path

import numpy as np
import pytest

from trainer.config import load
from trainer.journal import read
from trainer.loop import train
from trainer.parts import part_of

RECIPES = sorted((Path(__file__).parents[2] / "trainer/recipes").glob("*.yaml"))
SMALL = ["image_size=64", "data.workers=0", "data.clips_per_volume=1", "threads=1"]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_trains(recipe, tmp_path):
    config = load(recipe, [*SMALL, f"out={tmp_path}"])
    data = config.data
    if data.scenes:  # one of them is enough, a cheap one
        cheap = next(scene for scene in data.scenes if Path(scene).stem == "shapes")
        data = data.model_copy(update={"scenes": (cheap,), "voxels": 32})
    phases = tuple(phase.model_copy(update={"steps": 1, "batch": 1}) for phase in config.phases)
    result = train(config.model_copy(update={"data": data, "phases": phases, "balance": 4}))
    assert result.finished
    assert all(np.isfinite(line["loss"]) for line in read(tmp_path))


def test_the_recipes_are_those_of_the_page():
    assert [recipe.stem for recipe in RECIPES] == ["sam-med2d", "synthfm", "synthfm3d", "viscera"]


def test_a_recipe_starts_from_a_checkpoint_as_its_comment_says(tmp_path):
    config = load(RECIPES[1], ["start=model", "freeze=[image_encoder]", "fresh=[mask_decoder]"])
    assert (config.freeze, config.fresh) == (("image_encoder",), ("mask_decoder",))
    assert part_of("image_encoder.trunk.stem.0.weight") in config.freeze
