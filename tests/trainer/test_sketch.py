import numpy as np
import pytest
import torch

from tests.trainer.phantoms import ball_case
from trainer.clips import Cut, Cutter, batch_of
from trainer.model import build
from trainer.prompts import Prompt
from trainer.segmenter import Segmenter
from trainer.sketch import _last_seen, box_prompt, corrected, sketch


def test_a_click_peaks_where_it_is_and_a_negative_one_dips_there():
    points = torch.tensor([[[95.5, 31.5]]])
    up = sketch(points, torch.tensor([[1]]), 128, 32)
    down = sketch(points, torch.tensor([[0]]), 128, 32)
    assert up.shape == (1, 1, 32, 32)
    row, column = divmod(int(up.flatten().argmax()), 32)
    assert abs(column - 23.5) <= 0.5 and abs(row - 7.5) <= 0.5
    assert torch.allclose(up, -down)


def test_a_box_is_positive_on_its_ellipse_and_negative_off_it():
    drawn = sketch(torch.tensor([[[31.5, 15.5], [95.5, 79.5]]]), torch.tensor([[2, 3]]), 128, 32)[0, 0]
    assert drawn[12, 16] > 2.5
    assert drawn[4, 8] < 0  # in the box's corner
    assert (drawn[:, :7] == -6).all() and (drawn[21:] == -6).all()


def test_corrections_are_drawn_on_the_mask():
    before = torch.full((1, 1, 32, 32), -9.0)
    points, labels = (
        torch.tensor([[[31.5, 31.5], [95.5, 31.5], [95.5, 95.5], [5.0, 5.0]]]),
        torch.tensor([[1, 0, 1, 2]]),
    )
    after = corrected(before, points, labels, 128)[0, 0]
    assert after[8, 8] > 0 and after[24, 24] > 0 and after[8, 24] < -12  # on, on, off
    assert after[1, 1] == pytest.approx(-6.0, abs=0.1)  # a box's corner says nothing here
    assert corrected(-before, points, labels, 128)[0, 0, 8, 24] < 0


@pytest.mark.parametrize("size, bumps", [("nano", 1), ("tiny", 0)])
def test_a_correction_reaches_the_decoder_as_a_mask(size, bumps, monkeypatch):
    drawn = []
    monkeypatch.setattr("trainer.sketch.corrected", lambda masks, *rest: drawn.append(rest) or masks)
    case = ball_case(size=(24, 20, 5))
    session = Segmenter(build(size, 64)).open(case.image, case.grid, "mr", Prompt("z", 2, box=(8.0, 6.0, 16.0, 14.0)))
    session.correct((12.0, 10.0), not session.shown[10, 12])
    assert len(drawn) == bumps


def test_padding_draws_nothing():
    assert not sketch(torch.zeros(1, 1, 2), torch.tensor([[-1]]), 128, 32).any()


def test_only_the_model_that_trains_from_scratch_sketches():
    assert build("nano", 64).network.sketch
    assert not build("tiny", 64).network.sketch


def test_the_box_around_a_mask_is_a_prompt_and_around_nothing_there_is_none():
    masks = torch.zeros(2, 32, 32, dtype=torch.bool)
    masks[0, 4:9, 10:31] = True
    prompt = box_prompt(masks, 128)
    assert prompt["point_coords"][0].tolist() == [[40, 16], [123, 35]]  # first and last pixel of the box
    assert prompt["point_labels"].tolist() == [[2, 3], [-1, -1]]


def test_a_slice_without_a_prompt_is_shown_the_mask_of_the_slice_before():
    torch.manual_seed(0)
    network = build("nano", 64).network.train()
    shown, boxes = [], []
    encoder = network.sam_prompt_encoder
    encoder.register_forward_pre_hook(lambda _, __, given: shown.append(given["masks"]), with_kwargs=True)
    encoder.register_forward_pre_hook(lambda _, __, given: boxes.append(given["points"]), with_kwargs=True)
    clip = Cutter(ball_case(), Cut(image_size=64, frames=3)).draw(np.random.default_rng(0))
    outputs = network(batch_of([clip]))
    assert len(shown) == 3
    assert shown[0].max() > 1  # the prompt's sketch
    for before, mask in zip(outputs[:2], shown[1:], strict=True):
        assert torch.equal(mask, before["pred_masks"].detach().clamp(-6, 3))
    for before, (corners, _) in zip(outputs[:2], boxes[1:], strict=True):
        assert torch.equal(corners, box_prompt(before["pred_masks"][:, 0] > 0, 64)["point_coords"])


def test_an_object_that_was_gone_is_sought_where_it_was_last_seen():
    def frame(value, *scores):
        masks = torch.full((2, 1, 4, 4), float(value))
        return {"pred_masks": masks, "object_score_logits": torch.tensor(scores)[:, None]}

    outputs = {
        "cond_frame_outputs": {0: frame(10, 5.0, 5.0)},
        "non_cond_frame_outputs": {1: frame(11, 5.0, -5.0), 2: frame(12, -5.0, -5.0)},
    }
    found = _last_seen(outputs, 3, 1)
    assert found[:, 0, 0, 0].tolist() == [11, 10]
    assert _last_seen(outputs, 0, 1) is None
    assert _last_seen({**outputs, "cond_frame_outputs": {}}, 3, 1)[:, 0, 0, 0].tolist() == [11, 12]  # never seen
