import json

import numpy as np
import pytest
import torch
from scipy import ndimage

from engine.errors import UserError
from tests.trainer.phantoms import ball_case
from trainer.clips import Cut, Cutter, batch_of
from trainer.model import Prompting, build, predictor, prompt_with
from trainer.sizes import Spec, settings
from trainer.weights import load, save


@pytest.fixture(scope="module")
def nano():
    torch.manual_seed(0)
    return build("nano", 64)


def test_nano_is_small(nano):
    assert nano.count() < 12e6


def test_an_untrained_model_takes_the_object_to_be_there(nano):
    head = nano.network.sam_mask_decoder.pred_obj_score_head
    assert head.layers[-1].bias.item() > 2


def test_a_saved_model_comes_back_bit_for_bit(nano, tmp_path):
    folder = save(nano, tmp_path / "model")
    again = load(folder)
    assert again.spec == nano.spec
    for (name, a), (_, b) in zip(nano.network.state_dict().items(), again.network.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    save(again, folder)  # over an older one
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize("inner, deep", [(0.0, False), (1.0, True)])
def test_clicks_lie_where_people_click(nano, inner, deep):
    prompt_with(nano, Prompting(box=0.0, inner=inner))
    network = nano.network.train()
    rng = np.random.default_rng(0)
    cutter = Cutter(ball_case(), Cut(image_size=64))
    batch = batch_of([cutter.draw(rng) for _ in range(8)])
    torch.manual_seed(0)
    network.rng = rng
    shown = network.prepare_prompt_inputs({}, batch)["point_inputs_per_frame"][0]
    depths = []
    for (column, row), mask in zip(shown["point_coords"][:, 0].int().tolist(), batch.masks[0].numpy(), strict=True):
        depth = ndimage.distance_transform_edt(mask)
        depths.append(depth[row, column] / depth.max())
    assert (min(depths) > 0.6) == deep
    assert min(depths) > 0  # on the object


@pytest.mark.parametrize("exact", [0.0, 0.5, 1.0])
def test_boxes_end_with_the_object_where_they_are_exact(nano, exact):
    prompt_with(nano, Prompting(box=1.0, exact=exact))
    network = nano.network.train()
    network.rng = rng = np.random.default_rng(0)
    torch.manual_seed(0)
    cutter = Cutter(ball_case(), Cut(image_size=64))
    batch = batch_of([cutter.draw(rng) for _ in range(24)])
    shown = network.prepare_prompt_inputs({}, batch)["point_inputs_per_frame"][0]
    off = []
    for corners, mask in zip(shown["point_coords"].numpy(), batch.masks[0].numpy(), strict=True):
        rows, columns = np.nonzero(mask)
        off.append(np.abs(corners.ravel() - [columns.min(), rows.min(), columns.max(), rows.max()]).max())
    share = np.mean(np.array(off) == 0)
    assert share == exact if exact in (0, 1) else 0.2 < share < 0.8
    assert max(off) < 7  # a tenth


def test_the_predictor_has_the_models_weights(nano):
    made = predictor(nano)
    assert not made.training
    pairs = zip(nano.network.state_dict().values(), made.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_an_official_checkpoint_is_known_by_its_layout(tmp_path):
    state = build("tiny", 1024).network.state_dict()
    torch.save({"model": state}, tmp_path / "sam2.1_hiera_tiny.pt")
    model = load(tmp_path / "sam2.1_hiera_tiny.pt", image_size=128)
    assert model.spec == Spec(size="tiny", image_size=128)
    assert all(torch.equal(a, state[name]) for name, a in model.network.state_dict().items())
    with pytest.raises(UserError, match="holds a tiny model, but small was asked for"):
        load(tmp_path / "sam2.1_hiera_tiny.pt", size="small")


def test_the_official_sizes_are_the_packages_own_configurations():
    arguments = settings(Spec(size="large", image_size=256))
    assert arguments["image_encoder"]["trunk"]["embed_dim"] == 144
    assert "sketch" not in arguments


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda f: (f / "model.safetensors").unlink(), "it has no model.safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(b"rubbish" * 100), "corrupt or not a safetensors"),
        (lambda f: (f / "config.json").write_text("{"), "not a model's configuration"),
        (
            lambda f: (f / "config.json").write_text(json.dumps({"size": "tiny", "image_size": 64})),
            "not the weights of a tiny",
        ),
    ],
)
def test_a_damaged_model_is_explained(nano, tmp_path, damage, message):
    folder = save(nano, tmp_path / "model")
    damage(folder)
    with pytest.raises(UserError, match=message):
        load(folder)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"not a checkpoint", "corrupt or not a torch checkpoint"),
        ({"weights": {}}, "not a SAM 2 checkpoint"),
        ({"model": {"image_encoder.trunk.patch_embed.proj.weight": torch.zeros(7, 3, 7, 7)}}, "7 channels x 0 blocks"),
    ],
)
def test_a_foreign_file_is_explained(tmp_path, content, message):
    file = tmp_path / "model.pt"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(UserError, match=message):
        load(file)


def test_a_missing_model_is_explained(tmp_path):
    with pytest.raises(UserError, match="no such model"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize("size, image_size, message", [("huge", 128, "nano, tiny"), ("nano", 100, "multiple of 32")])
def test_an_impossible_model_is_refused(size, image_size, message):
    with pytest.raises(UserError, match=message):
        build(size, image_size)


def test_masks_learn_where_the_object_is_taken_to_be_absent_and_memories_are_told():
    torch.manual_seed(0)
    model = build("nano", 64)
    prompt_with(model, Prompting(box=1.0))
    network = model.network.train()
    with torch.no_grad():
        network.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(-50.0)
    remembered = []
    network.memory_encoder.register_forward_pre_hook(lambda _, given: remembered.append(given[1].detach()))
    clip = Cutter(ball_case(), Cut(image_size=64, frames=2)).draw(np.random.default_rng(0))
    outputs = network(batch_of([clip]))
    assert all((out["multistep_object_score_logits"][-1] < 0).all() for out in outputs)
    masks = torch.cat([out["pred_masks_high_res"] for out in outputs])
    assert masks.abs().max() < 100  # not SAM 2's constant
    masks.sum().backward()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in network.sam_mask_decoder.parameters())
    assert len(remembered) == 1 and remembered[0].std() == 0  # no trace of the mask
