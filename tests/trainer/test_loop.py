import json
import os
import signal

import numpy as np
import pytest
import torch

from engine.errors import UserError
from tests.trainer.phantoms import ball_case, write_dataset
from trainer import checkpoint, journal, weights
from trainer.clips import Cut, Cutter, batch_of
from trainer.compat import CORE_LOSS_KEY
from trainer.config import Loss, TrainConfig
from trainer.loop import _loss, train
from trainer.metrics import dice_of_pictures
from trainer.model import Prompting, build, prompt_with

FAST = {"image_size": 64, "warmup": 2, "seed": 1, "threads": 1, "checkpoint_every": 0, "balance": 0}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"), count=2)


def _config(dataset, out, **changes):
    data = {"dataset": str(dataset), "clips_per_volume": 4, "workers": 0}
    phases = [
        {"steps": 4, "batch": 2},
        {"steps": 2, "batch": 1, "frames": 2, "objects": 2, "prompts": {"corrections": 1}},
    ]
    return TrainConfig.model_validate({**FAST, "data": data, "phases": phases, "out": str(out), **changes})


def _state(folder):
    return weights.load(folder).network.state_dict()


def test_a_stopped_run_resumes_exactly(dataset, tmp_path, monkeypatch):
    whole = train(_config(dataset, tmp_path / "whole"))
    assert (whole.step, whole.finished) == (6, True)

    _interrupt_after(3, monkeypatch)
    stopped = train(_config(dataset, tmp_path / "parts"))
    assert (stopped.step, stopped.finished) == (3, False)
    monkeypatch.undo()
    rest = train(_config(dataset, tmp_path / "parts"))
    assert (rest.step, rest.finished) == (6, True)

    a, b = _state(whole.model), _state(rest.model)
    assert all(torch.equal(a[name], b[name]) for name in a)
    losses = [[r["loss"] for r in journal.read(tmp_path / run)] for run in ("whole", "parts")]
    assert losses[0] == losses[1] and len(losses[0]) == 6


def _interrupt_after(step, monkeypatch):
    write = journal.Journal.write

    def writing(self, number, values):
        write(self, number, values)
        if number == step:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("trainer.loop.Journal.write", writing)


def test_a_killed_run_goes_on_from_its_last_checkpoint(dataset, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    def killing(self, number, values):
        if number == 4:
            raise Killed

    monkeypatch.setattr("trainer.loop.Journal.write", killing)
    config = _config(dataset, tmp_path / "run", checkpoint_every=2, eval_every=0)
    with pytest.raises(Killed):
        train(config)
    monkeypatch.undo()
    assert checkpoint.latest(tmp_path / "run").name == "step_0000002"
    assert train(config).finished
    assert [folder.name for folder in (tmp_path / "run" / "checkpoints").iterdir()] == ["step_0000006"]


def test_what_is_kept_is_the_average(dataset, tmp_path):
    runs = {average: train(_config(dataset, tmp_path / str(average), average=average)) for average in (0.0, 0.9)}
    losses = [[r["loss"] for r in journal.read(tmp_path / str(average))] for average in runs]
    assert losses[0] == losses[1]  # averaging changes nothing that is learnt
    last, mean = (_state(run.model) for run in runs.values())
    name = "sam_mask_decoder.iou_prediction_head.layers.0.weight"
    assert not torch.equal(last[name], mean[name])
    kept = _state(checkpoint.latest(tmp_path / "0.9"))
    assert torch.equal(kept[name], mean[name])  # a checkpoint can be used as a model


def test_a_run_records_what_happened(dataset, tmp_path):
    train(_config(dataset, tmp_path / "run", eval_every=6, phases=[{"steps": 6, "batch": 2}], tensorboard=True))
    records = journal.read(tmp_path / "run")
    assert {"step", "loss", "dice", "lr", "phase", "seconds", "wait_share"} <= records[0].keys()
    assert 0 <= records[-1]["held_out_click"] <= 1 and 0 <= records[-1]["held_out_box"] <= 1
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    assert json.loads((tmp_path / "run" / "model" / "config.json").read_text())["step"] == 6


def test_another_configuration_does_not_take_over_a_run(dataset, tmp_path):
    train(_config(dataset, tmp_path / "run", phases=[{"steps": 1, "batch": 1}]))
    with pytest.raises(UserError, match="another configuration"):
        train(_config(dataset, tmp_path / "run", phases=[{"steps": 2, "batch": 1}]))


def test_training_can_start_from_a_model(dataset, tmp_path):
    torch.manual_seed(9)
    weights.save(build("nano", 64), tmp_path / "start")
    start = str(tmp_path / "start")
    config = _config(dataset, tmp_path / "run", start=start, learning_rate=1e-12, phases=[{"steps": 1}])
    trained, before = _state(train(config).model), _state(start)
    assert all(torch.allclose(trained[name], before[name], atol=1e-6) for name in before)


def test_still_pictures_do_not_teach_that_objects_are_always_there(dataset, tmp_path):
    torch.manual_seed(9)
    weights.save(build("nano", 64), tmp_path / "start")
    start = str(tmp_path / "start")

    def moved(name, phase):
        run = train(_config(dataset, tmp_path / name, start=start, phases=[phase]))
        before, after = _state(start), _state(run.model)
        return [not torch.equal(before[key], after[key]) for key in before if "pred_obj_score_head" in key]

    assert not any(moved("stills", {"steps": 2, "batch": 1}))
    assert all(moved("clips", {"steps": 2, "batch": 1, "frames": 2}))


def test_a_loss_that_is_not_finite_names_the_clips(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "trainer.loop._loss", lambda *_: lambda out, masks: {CORE_LOSS_KEY: masks.float().sum() * np.nan}
    )
    with pytest.raises(UserError, match=r"step 1: the loss is nan; clips \(seed 1\): ball_00"):
        train(_config(dataset, tmp_path / "run"))


def test_one_batch_is_learnt(tmp_path):
    torch.manual_seed(0)
    cutter = Cutter(ball_case(), Cut(image_size=64))
    rng = np.random.default_rng(0)
    batch = batch_of([cutter.draw(rng) for _ in range(4)])
    model = build("nano", 64)
    prompt_with(model, Prompting(box=0.5))
    network = model.network.train()
    loss = _loss(Loss(), frames=1)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    scores = []
    for _ in range(90):
        out = network(batch)
        optimizer.zero_grad()
        loss(out, batch.masks)[CORE_LOSS_KEY].backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        scores.append(float(dice_of_pictures(out[0]["pred_masks_high_res"][:, 0] > 0, batch.masks[0]).mean()))
    assert np.mean(scores[-5:]) > 0.8 > np.mean(scores[:5]) + 0.1
