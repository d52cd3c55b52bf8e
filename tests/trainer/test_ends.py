import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.trainer.phantoms import ball_case
from trainer.ends import reach
from trainer.model import Model, build
from trainer.prompts import Prompt
from trainer.protocols import prompt_of
from trainer.segmenter import Segmenter, Session

CASE = ball_case(size=(24, 20, 30))


def _model(score: float) -> Model:
    """A model that scores every slice so."""
    torch.manual_seed(3)
    model = build("nano", 64)
    head = model.network.sam_mask_decoder.pred_obj_score_head.layers[-1]
    with torch.no_grad():
        head.weight.zero_()
        head.bias.fill_(score)
    return model


def _opened(score: float, prompt: Prompt) -> Session:
    return Segmenter(_model(score)).open(CASE.image, CASE.grid, CASE.modality, prompt)


def _asked(monkeypatch) -> list[int]:
    """The slices that the object is carried to; filled by each `propagate`."""
    asked, carry = [], Segmenter._carried

    def carried(self, state, frame, reverse):
        asked.append(frame)
        return carry(self, state, frame, reverse)

    monkeypatch.setattr(Segmenter, "_carried", carried)
    return asked


@pytest.mark.parametrize("protocol", ["box", "click", "mask"])
def test_what_is_pointed_at_is_there_whatever_the_score(protocol):
    prompt = prompt_of(CASE.mask("ball"), protocol)
    sure, gone = _opened(20.0, prompt), _opened(-20.0, prompt)
    assert gone.shown.any() and np.array_equal(sure.shown, gone.shown)
    assert np.flatnonzero(gone.propagate().any(axis=(1, 2))).tolist() == [prompt.index]
    assert len(np.flatnonzero(sure.propagate().any(axis=(1, 2)))) > 10
    pointers = [
        each._state["output_dict_per_obj"][0]["cond_frame_outputs"][prompt.index]["obj_ptr"] for each in (sure, gone)
    ]
    assert torch.allclose(*pointers)


@pytest.mark.parametrize("times", [0.5, 1.0, 2.0])
def test_it_is_carried_as_far_as_size_and_score_say(times, monkeypatch):
    prompt = prompt_of(CASE.mask("ball"), "mask")
    session = _opened(4 * math.log(2 * times), prompt)
    asked = _asked(monkeypatch)
    session.propagate()
    radius = math.sqrt(prompt.mask.sum() / math.pi)  # mm, as a pixel is 1 mm^2; slices lie 2 mm apart
    slices = math.floor(radius * 2 * times / 2 + 1e-9)
    ways = range(prompt.index + 1, 30), range(prompt.index - 1, -1, -1)
    assert asked == [frame for way in ways for frame in way[: slices + 1]]


def test_a_score_without_bounds_is_no_error():
    assert reach(10.0, 1e6) > 1e4 and reach(10.0, -1e6) == 0.0


def test_a_click_off_the_object_on_another_slice_leaves_it_to_the_score():
    prompt = prompt_of(CASE.mask("ball"), "box")
    session = _opened(-20.0, prompt)
    middle = ((prompt.box[0] + prompt.box[2]) / 2, (prompt.box[1] + prompt.box[3]) / 2)
    assert not session.correct(middle, on=False, index=prompt.index + 1).any()
    assert session.correct(middle, on=True, index=prompt.index + 1).any()


def test_told_ends_and_a_later_correction_hold_against_the_score(monkeypatch):
    told = prompt_of(CASE.mask("ball"), "mask-ends")
    session = _opened(-20.0, told)
    asked = _asked(monkeypatch)
    session.propagate()
    assert sorted([*asked, told.index]) == list(range(told.ends[0], told.ends[1] + 1))
    free = _opened(-20.0, replace(told, ends=None))
    assert np.flatnonzero(free.propagate().any(axis=(1, 2))).tolist() == [told.index]
    middle = tuple(np.argwhere(told.mask).mean(axis=0)[::-1])
    free.correct(middle, on=True, index=told.index + 5)
    asked.clear()
    free.propagate()
    assert asked == [*range(told.index + 1, told.index + 5), told.index + 6, told.index - 1]
