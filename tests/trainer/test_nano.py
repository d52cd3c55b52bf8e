"""The model that comes with Viscera, on volumes that it has never seen."""

import numpy as np
import pytest
import torch

from engine.generate import draw
from engine.scene import Scene
from trainer import weights, zoo
from trainer.evaluate import fresh
from trainer.metrics import dice
from trainer.protocols import prompt_of
from trainer.publish import CARD
from trainer.segmenter import Segmenter

FOLDER = zoo.place_of(zoo.DEFAULT)


@pytest.fixture(scope="module")
def nano():
    return weights.load(FOLDER)


def test_it_is_small_and_says_where_it_comes_from(nano):
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 16e6
    assert nano.count() < 12e6
    card = (FOLDER / CARD).read_text(encoding="utf-8")
    facts = (
        "`viscera train ",
        "| seed |",
        "| time and device |",
        "never seen a",
        "drawn anew from the scenes",
        "## Scores",
    )
    assert all(fact in card for fact in facts)


def test_a_box_finds_far_more_than_without_training(nano):
    modalities = ("ct", "mr", "us")
    scene = Scene.load("scenes/kidney.yaml")
    sample = draw(scene, 987_654, 0, modalities, scene.grid.grid(64))
    torch.manual_seed(0)
    segmenters = Segmenter(nano), Segmenter(fresh(nano))
    truths = [sample.volume.mask(name).cpu().numpy() for name in list(sample.volume.names())[:8]]
    for modality in modalities:
        image, scores = sample.images[modality].data.cpu().numpy(), []
        for truth in truths:
            if np.count_nonzero(truth) > 200:
                prompt = prompt_of(truth, "box")
                shown = (each.open(image, sample.volume.grid, modality, prompt).shown for each in segmenters)
                scores.append([dice(mask, truth[prompt.index]) for mask in shown])
        ours, untrained = np.mean(scores, axis=0)
        assert len(scores) >= 4 and ours > 0.65 and ours > untrained + 0.25, (modality, ours, untrained)
