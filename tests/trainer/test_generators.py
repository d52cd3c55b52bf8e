import numpy as np
import pytest
from scipy import ndimage

from trainer.clips import Cut
from trainer.generators.outline import outline
from trainer.generators.synthfm3d import synthfm3d
from trainer.generators.texture import texture
from trainer.sources import GENERATORS, GeneratedSource


@pytest.mark.parametrize("name", GENERATORS)
def test_images_repeat_with_the_seed_and_have_structures_that_are_there(name):
    for seed in range(4):
        case, same = (GENERATORS[name](np.random.default_rng(seed), "x") for _ in range(2))
        assert np.array_equal(case.image, same.image) and np.array_equal(case.labels, same.labels)
        assert np.isfinite(case.image).all() and case.image.std() > 0
        assert case.structures and all(case.mask(structure).any() for structure in case.structures)


@pytest.mark.parametrize("name", GENERATORS)
def test_clips_are_cut_from_them(name):
    clips = GeneratedSource(0, Cut(image_size=64, frames=2), 3, name).take(0)
    assert len(clips) == 3
    assert all(clip.frames.shape == (2, 64, 64) and clip.masks[0].any() for clip in clips)


def test_some_pictures_show_structures_that_touch():
    touching = 0
    for seed in range(12):
        labels = GENERATORS["synthfm"](np.random.default_rng(seed), "x").labels[0]
        ring = ndimage.binary_dilation(labels == 1) & (labels > 1)
        touching += bool(ring.any())
    assert 3 <= touching <= 10


def test_cross_sections_grow_and_then_erode():
    turns = 0
    for seed in range(10):
        case = synthfm3d(np.random.default_rng(seed), "x")
        first = next(iter(case.structures))
        areas = case.mask(first).sum(axis=(1, 2))
        turns += 0 < areas.argmax() < len(areas) - 1 and areas[areas.argmax() :].min() < areas.max()
    assert turns >= 5


def test_an_outline_is_a_distance():
    distance = outline(64, np.random.default_rng(0))
    assert distance.min() < 0 < distance.max()
    rise = np.hypot(*np.gradient(distance))
    assert np.quantile(rise, 0.95) < 1.2


def test_texture_has_the_scales_asked_for():
    fine, coarse = (texture((64, 64), np.random.default_rng(0), (scale,)) for scale in (1.0, 8.0))
    assert fine.std() == pytest.approx(1.0, abs=1e-3) and abs(coarse.mean()) < 1e-3
    assert np.abs(np.diff(coarse, axis=0)).mean() < 0.4 * np.abs(np.diff(fine, axis=0)).mean()
