"""Every scene of the gallery: it loads, varies, holds what it names, and shows something in every modality."""

from pathlib import Path

import pytest
import torch

from engine.generate import MODALITIES, draw
from engine.scene import Scene
from engine.scene.labels import variants

SCENES = {path.stem: path for path in sorted((Path(__file__).parents[2] / "scenes").glob("*.yaml"))}
every_scene = pytest.mark.parametrize("name", SCENES)


def test_there_are_fifteen():
    assert len(SCENES) >= 15


@every_scene
def test_a_draw_shows_something_in_every_modality(name):
    scene = Scene.load(SCENES[name])
    assert scene.name == name
    assert scene.description
    assert {protocol.modality for protocol in scene.acquire} == set(MODALITIES)
    sample = draw(scene, scene.seed, 0, grid=scene.grid.grid(40))
    for image in sample.images.values():
        assert torch.isfinite(image.data).all()
        assert float(image.data.std()) > 1.0
    assert sample.volume.mask(next(iter(sample.volume.names()))).any()


@every_scene
def test_draws_differ_and_hold_what_is_always_there(name):
    scene = Scene.load(SCENES[name])
    drawn = [draw(scene, 7, index, (), scene.grid.grid(48)) for index in range(2)]
    assert not torch.equal(drawn[0].volume.labels(), drawn[1].volume.labels())
    for sample in drawn:
        sure = [
            key
            for key, structure in sample.scene.structures.items()
            if structure.mirror is None
            and key in scene.structures
            and all(v.probability == 1.0 for v in variants(scene.structures[key]))
        ]
        there = [key for key in sure if sample.volume.measure(key) > 0]
        # on so coarse a grid a thin one may be missed, one at the edge may lie outside, and one body may cover another
        assert len(there) >= 0.8 * len(sure), set(sure).difference(there)
