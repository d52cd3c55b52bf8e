from dataclasses import replace

import numpy as np
import torch
from scipy import ndimage

from tests.trainer.phantoms import ball_case
from trainer.clips import Cut, Cutter, batch_of, parts


def test_the_first_frame_shows_every_object():
    cutter = Cutter(ball_case(), Cut(image_size=64, frames=3, objects=2, least=30))
    rng = np.random.default_rng(0)
    clips = [cutter.draw(rng) for _ in range(20)]
    assert all(clip is not None for clip in clips)
    for clip in clips:
        assert clip.frames.shape == (3, 64, 64) and clip.frames.dtype == np.uint8
        assert clip.masks.shape[0] == 3 and 1 <= clip.masks.shape[1] <= 2
        assert (clip.masks[0].sum(axis=(1, 2)) >= 30).all()
    assert {clip.masks.shape[1] for clip in clips} == {1, 2}


def test_frames_leave_the_structure_sometimes():
    cutter = Cutter(ball_case(), Cut(image_size=64, frames=6, step=3))
    rng = np.random.default_rng(1)
    clips = [cutter.draw(rng) for _ in range(30)]
    assert any(not clip.masks[-1].any() for clip in clips)
    assert any(clip.masks[-1].any() for clip in clips)


def test_a_structure_is_brighter_than_its_surroundings_in_the_pictures():
    cutter = Cutter(ball_case(), Cut(image_size=64))
    for seed in range(10):
        clip = cutter.draw(np.random.default_rng(seed))
        inside = clip.masks[0, 0]
        assert clip.frames[0][inside].mean() > clip.frames[0][~inside].mean() + 40


def test_no_object_gives_no_clip():
    assert Cutter(ball_case(empty=True), Cut(image_size=64)).draw(np.random.default_rng(0)) is None


def test_far_parts_are_objects_of_their_own_and_crumbs_are_left_out():
    mask = np.zeros((8, 20, 20), bool)
    mask[2:6, 2:8, 2:8] = mask[2:6, 12:18, 12:18] = mask[0, 0, 0] = True
    found = parts(mask)
    assert [int(part.sum()) for part in found] == [144, 144]


def test_a_batch_points_every_object_to_its_own_clip():
    cutter = Cutter(ball_case(), Cut(image_size=64, frames=2, objects=2))
    rng = np.random.default_rng(0)
    clips = [cutter.draw(rng) for _ in range(4)]
    batch = batch_of(clips)
    total = sum(clip.masks.shape[1] for clip in clips)
    assert batch.img_batch.shape == (2, 4, 3, 64, 64)
    assert batch.masks.shape == (2, total, 64, 64) and batch.masks.dtype == torch.bool
    owners = batch.obj_to_frame_idx[1, :, 1].tolist()
    assert owners == [i for i, clip in enumerate(clips) for _ in range(clip.masks.shape[1])]
    flat = batch.flat_img_batch[batch.flat_obj_to_img_idx[1]]
    assert torch.equal(flat[0], batch.img_batch[1, owners[0]])


def test_crops_look_closely():
    def share(crops):
        cutter = Cutter(ball_case(), Cut(image_size=64, crops=crops))
        return np.mean([cutter.draw(np.random.default_rng(i)).masks[0, 0].mean() for i in range(30)])

    assert share(1.0) > 1.3 * share(0.0)


def test_masks_turn_with_their_pictures():
    cutter = Cutter(ball_case(), Cut(image_size=64, crops=0.5))
    for seed in range(20):
        clip = cutter.draw(np.random.default_rng(seed))
        inside = clip.masks[0, 0]
        assert clip.frames[0][inside].mean() > clip.frames[0][~inside].mean() + 20


def test_ultrasound_trains_on_what_it_shows():
    case = ball_case()
    shadow = np.where(np.arange(case.grid.size[0]) < 28, case.image, 0.0).astype(np.float32)  # dark to the right
    dark = replace(case, modality="us", image=255.0 * shadow / shadow.max(), structures={"core": (2,)})
    lit = replace(dark, image=255.0 * case.image / case.image.max())
    assert Cutter(lit, Cut(image_size=64)).draw(np.random.default_rng(0)) is not None
    for seed in range(20):
        clip = Cutter(dark, Cut(image_size=64)).draw(np.random.default_rng(seed))
        if clip is not None:
            around = ndimage.binary_dilation(clip.masks[0, 0], iterations=3) & ~clip.masks[0, 0]
            assert (clip.frames[0][around] > 12).mean() > 0.5
