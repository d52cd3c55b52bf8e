import numpy as np
import pytest
import torch

from tests.trainer.phantoms import write_dataset
from trainer import weights
from trainer.cases import open_dataset
from trainer.clips import Cut
from trainer.config import TrainConfig
from trainer.loop import train
from trainer.model import Prompting, build, prompt_with
from trainer.presence import _scored, balance, even
from trainer.sources import DiskSource

BIAS = "sam_mask_decoder.pred_obj_score_head.layers.2.bias"


def test_the_zero_is_where_as_many_are_missed_as_are_filled():
    rng = np.random.default_rng(0)
    shown, gone = rng.normal(3, 1, 4000), rng.normal(0, 2, 500)
    zero = even(shown, gone)
    assert (shown < zero).mean() == pytest.approx((gone > zero).mean(), abs=0.003)
    assert zero == pytest.approx(2.0, abs=0.1)  # a standard deviation from either
    assert 1.0 < even(np.array([2.0, 3.0]), np.array([0.0, 1.0])) < 2.0  # nothing is mistaken


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"), count=2)


def test_the_score_of_a_model_is_moved_to_its_zero_and_nothing_else_is(dataset):
    source = DiskSource(3, Cut(image_size=64, frames=5), 8, open_dataset(str(dataset)))
    clips = [clip for number in range(4) for clip in source.take(number)]
    torch.manual_seed(0)
    model = build("nano", 64)
    prompt_with(model, Prompting())
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    moved = balance(model, clips, 0)
    scores, there = _scored(model, clips, 0)
    missed, filled = (scores[there] < 0).mean(), (scores[~there] > 0).mean()
    assert there.any() and not there.all() and missed == pytest.approx(filled, abs=0.1)
    after = model.network.state_dict()
    assert [name for name in before if not torch.equal(before[name], after[name])] == [BIAS]
    assert float(before[BIAS] - after[BIAS]) == pytest.approx(moved, rel=1e-5)


def test_clips_that_all_show_their_object_leave_it(dataset):
    source = DiskSource(3, Cut(image_size=64, frames=2), 8, open_dataset(str(dataset)))
    model = build("nano", 64)
    prompt_with(model, Prompting())
    assert balance(model, [clip for clip in source.take(0) if clip.masks.any(axis=(2, 3)).all()], 0) == 0.0


@pytest.mark.parametrize("balanced", [0, 8])
def test_a_run_ends_with_it(dataset, tmp_path, balanced):
    config = TrainConfig.model_validate(
        {
            "image_size": 64,
            "data": {"dataset": str(dataset), "clips_per_volume": 4, "workers": 0},
            "phases": [{"steps": 1, "batch": 1}, {"steps": 1, "batch": 1, "frames": 4}],
            "balance": balanced,
            "threads": 1,
            "out": str(tmp_path / "run"),
        }
    )
    first = train(config)
    bias = weights.load(first.model).network.state_dict()[BIAS]
    again = train(config)  # from the last checkpoint, which keeps what was learnt
    assert torch.equal(bias, weights.load(again.model).network.state_dict()[BIAS])
    kept = weights.load(tmp_path / "run/checkpoints/step_0000002").network.state_dict()[BIAS]
    assert torch.equal(kept, bias) == (balanced == 0)
