"""Samples: pure functions of (scene, seed, index), the same anatomy in every modality."""

import pytest
import torch

from engine.errors import UserError
from engine.generate import draw, protocol_of
from engine.scene import Scene
from tests.engine.scenes import scene_of

BODY = {"kind": "ellipsoid", "radii": [26, 20, 80], "material": "muscle"}
ORGAN = {"kind": "blob", "radius": {"uniform": [7, 11]}, "material": "liver", "inside": "s0"}
ACQUIRE = [
    {"modality": "ct", "noise_hu": {"uniform": [5, 15]}},
    {"modality": "mr", "sequence": "t1w"},
    {"modality": "mr", "sequence": "t2w"},
]


@pytest.fixture(scope="module")
def scene() -> Scene:
    return scene_of(BODY, ORGAN, size=32, spacing=2.0, acquire=ACQUIRE)


def same(a, b) -> bool:
    return torch.equal(a.volume.top, b.volume.top) and all(
        torch.equal(a.images[m].data, b.images[m].data) for m in a.images
    )


def test_a_sample_is_a_pure_function(scene):
    first = draw(scene, 3, 1)
    assert set(first.images) == {"ct", "mr", "us"}
    assert first.name == "test_0001"
    assert same(first, draw(scene, 3, 1))
    other = draw(scene, 3, 2)
    assert not torch.equal(first.volume.coverage, other.volume.coverage)
    assert not torch.equal(first.images["ct"].data, other.images["ct"].data)


def test_the_drawn_scene_gives_the_sample_again(scene, tmp_path):
    sample = draw(scene, 3, 1)
    (tmp_path / "drawn.yaml").write_text(sample.scene.dump())
    again = draw(Scene.load(tmp_path / "drawn.yaml"), seed=77, index=5)
    assert same(sample, again)


def test_a_modality_does_not_depend_on_which_others_are_made(scene):
    alone = draw(scene, 3, 1, ["us"])
    assert torch.equal(alone.images["us"].data, draw(scene, 3, 1).images["us"].data)


def test_images_share_the_volume_s_grid(scene):
    sample = draw(scene, 0, 0, grid=scene.grid.grid(longest=24))
    for image in sample.images.values():
        assert image.grid == sample.volume.grid
        assert tuple(image.data.shape) == sample.volume.grid.shape
        assert torch.isfinite(image.data).all()


def test_of_several_protocols_each_draw_takes_one(scene):
    drawn = [protocol_of(scene.sample(0, i), "mr").sequence for i in range(20)]
    assert set(drawn) == {"t1w", "t2w"}


def test_the_organ_is_brighter_than_air_in_ct(scene):
    sample = draw(scene, 0, 0, ["ct"])
    ct, organ = sample.images["ct"].data, sample.volume.mask("s1")
    assert 30 < float(ct[organ].mean()) < 80
    assert float(ct[~sample.volume.mask("s0")].mean()) < -850


def test_unknown_modalities_are_refused(scene):
    with pytest.raises(UserError, match="modality 'pet' is unknown; use ct, mr, us"):
        draw(scene, 0, 0, ["pet"])
