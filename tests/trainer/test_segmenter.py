from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.trainer.phantoms import ball_case
from trainer import aim
from trainer.model import build
from trainer.prompts import Prompt
from trainer.protocols import prompt_of
from trainer.segmenter import Segmenter, _Scan
from trainer.slices import Slicing


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build("nano", 64)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
@pytest.mark.parametrize("protocol", ["click", "box"])
def test_the_mask_is_on_the_images_grid(model, axis, protocol):
    case = ball_case(size=(24, 20, 9))
    prompt = prompt_of(case.mask("ball"), protocol, axis)
    segmenter = Segmenter(model)
    mask = segmenter.segment(case.image, case.grid, "mr", prompt)
    assert mask.shape == case.image.shape and mask.dtype == bool
    number = "xyz".index(axis)
    alone = segmenter.open(case.image, case.grid, "mr", prompt).shown
    assert np.array_equal(np.moveaxis(mask, 2 - number, 0)[prompt.index], alone)


def test_the_same_prompt_gives_the_same_mask(model):
    case = ball_case(size=(24, 20, 9))
    prompt = prompt_of(case.mask("ball"), "click")
    first, second = (Segmenter(model).segment(case.image, case.grid, "mr", prompt) for _ in range(2))
    assert np.array_equal(first, second)


def _opened(model, prompt, case):
    return Segmenter(model).open(case.image, case.grid, "mr", prompt)


def test_a_click_more_changes_the_slice_and_what_is_carried(model):
    case = ball_case(size=(24, 20, 9))
    prompt = prompt_of(case.mask("ball"), "box")
    session = _opened(model, prompt, case)
    before = session.shown.copy()
    first = session.propagate()
    left, top, _, _ = prompt.box
    after = session.correct((left + 1, top + 1), not before[int(top) + 1, int(left) + 1])
    again = session.propagate()
    assert not np.array_equal(before, after)
    assert np.array_equal(first[prompt.index], before) and np.array_equal(again[prompt.index], after)
    assert len(session.prompt.clicks) == 1 and session.prompt.box == prompt.box
    fresh = _opened(model, prompt, case)
    fresh.correct(*session.prompt.clicks[0])
    assert np.array_equal(fresh.propagate(), again)  # an earlier propagation leaves no trace


def test_the_model_sees_its_mask_and_every_click_so_far(model, monkeypatch):
    case = ball_case(size=(24, 20, 9))
    session = _opened(model, prompt_of(case.mask("ball"), "click"), case)
    predictor = session._segmenter.predictor
    seen, original = [], predictor._run_single_frame_inference

    def spy(**given):
        seen.append((given["point_inputs"]["point_labels"].tolist(), given["prev_sam_mask_logits"]))
        return original(**given)

    monkeypatch.setattr(predictor, "_run_single_frame_inference", spy)
    for on in (True, False):
        session.correct(_pixel(session.shown != on), on)
    assert [labels for labels, _ in seen] == [[[1, 1]], [[1, 1, 0]]]
    assert all(logits is not None for _, logits in seen)
    before = session.shown
    for on in (True, False):
        assert session.correct(_pixel(session.shown == on), on) is before  # as the mask has it
    assert len(seen) == 2 and len(session.prompt.clicks) == 5


def _pixel(mask):
    row, column = np.argwhere(mask)[0]
    return float(column), float(row)


def test_several_clicks_at_once_are_a_first_one_and_corrections(model):
    case = ball_case(size=(24, 20, 9))
    prompt = prompt_of(case.mask("ball"), "box")
    session = _opened(model, prompt, case)
    clicks = [(_pixel(session.shown == 0), True), (_pixel(session.shown), False)]
    for position, on in clicks:
        session.correct(position, on)
    at_once = _opened(model, replace(prompt, clicks=tuple(clicks)), case)
    assert np.array_equal(at_once.shown, session.shown)


def test_a_click_off_the_object_chooses_among_what_a_click_may_mean(model, monkeypatch):
    case = ball_case(size=(64, 60, 5))
    segmenter, slicing = Segmenter(model), Slicing(case.grid, "z", 64)
    small, large = (np.hypot(*np.ogrid[-30:30, -32:32]) < radius for radius in (6, 20))
    masks = iter([large, large, large, small] * 2)
    monkeypatch.setattr(segmenter, "_mask", lambda logits, view: next(masks)[None])
    monkeypatch.setattr(aim, "looks", lambda slicing, clicks: [slicing] * 4)
    scan = _Scan(case.image, case.grid, (0.0, 800.0))
    middle = Prompt("z", 2, clicks=(((32.0, 30.0), True),))
    assert np.array_equal(segmenter._meant(scan, slicing, middle), large)
    assert np.array_equal(segmenter._meant(scan, slicing, middle.clicked((32.0, 45.0), False)), small)


def test_a_click_off_the_crop_widens_it(model):
    case = ball_case(size=(64, 60, 5))
    session = _opened(model, Prompt("z", 2, box=(30.0, 30.0, 36.0, 36.0)), case)
    assert not session._slicing.holds((2.0, 3.0))
    before = session.shown
    assert session.correct((2.0, 3.0), False) is before and not session._slicing.holds((2.0, 3.0))
    session.correct((2.0, 3.0), True)
    assert session._slicing.holds((2.0, 3.0)) and session._slicing.holds((33.0, 33.0))
    assert session.propagate().shape == case.image.shape


def test_a_mask_stays_on_its_slice_and_starts_the_volume(model):
    case = ball_case(size=(24, 20, 9))
    prompt = prompt_of(case.mask("ball"), "mask")
    session = _opened(model, prompt, case)
    mask = session.propagate()
    assert np.array_equal(mask[prompt.index], prompt.mask)
    changed = session.correct((12.0, 10.0), False)
    assert changed.shape == prompt.mask.shape
    other = _opened(model, prompt_of(case.mask("core"), "mask"), case).propagate()
    assert not np.array_equal(other, mask)


def test_an_object_is_carried_to_its_ends_and_not_beyond(model):
    case = ball_case(size=(24, 20, 9))
    prompt = Prompt("z", 4, box=(4.0, 4.0, 18.0, 16.0))
    whole = _opened(model, prompt, case).propagate()
    session = _opened(model, replace(prompt, ends=(3, 6)), case)
    part = session.propagate()
    assert whole[[1, 7]].any() and not part[[0, 1, 2, 7, 8]].any()
    assert np.array_equal(part[3:7], whole[3:7])
    with pytest.raises(ValueError, match="slice 8 is outside"):
        session.correct((12.0, 10.0), False, 8)


def test_a_mask_thinner_than_a_pixel_of_the_picture_is_still_shown(model):
    case = ball_case(size=(400, 390, 3))
    line = np.zeros(case.image.shape[1:], bool)
    line[200, 40:360] = True
    mask = _opened(model, Prompt("z", 1, mask=line), case).propagate()
    assert np.array_equal(mask[1], line)


def test_another_slice_is_corrected_as_the_object_was_carried_there(model):
    case = ball_case(size=(24, 20, 9))
    prompt = prompt_of(case.mask("ball"), "box")
    session = _opened(model, prompt, case)
    first, there = session.propagate(), prompt.index + 2
    outside = not first[there, 10, 12]
    changed = session.correct((12.0, 10.0), outside, there)
    again = session.propagate()
    assert np.array_equal(again[there], changed) and not np.array_equal(changed, first[there])
    assert np.array_equal(again[prompt.index], first[prompt.index])  # the prompted slice is not touched
    assert not np.array_equal(again[there + 1], first[there + 1])  # the correction is remembered
    fresh = _opened(model, prompt, case)
    fresh.correct((12.0, 10.0), outside, there)
    assert np.array_equal(fresh.propagate(), again)


def test_a_correction_elsewhere_survives_a_wider_look(model):
    case = ball_case(size=(64, 60, 5))
    session = _opened(model, Prompt("z", 2, box=(30.0, 30.0, 36.0, 36.0)), case)
    session.correct((33.0, 33.0), False, 3)
    wide = session.correct((2.0, 3.0), True, 1)
    assert wide.shape == (60, 64) and session._slicing.holds((2.0, 3.0))
    assert set(session._state["point_inputs_per_obj"][0]) >= {1, 2, 3}


def test_a_video_whose_features_do_not_fit_gives_the_same_and_keeps_few(model, monkeypatch):
    case = ball_case(size=(24, 20, 20))
    prompt = prompt_of(case.mask("ball"), "mask-ends")
    whole = _opened(model, prompt, case).propagate()
    monkeypatch.setattr("trainer.segmenter._CACHE_BYTES", 0)
    session = _opened(model, prompt, case)
    assert np.array_equal(session.propagate(), whole)
    assert len(session._state["cached_features"]) <= 8
