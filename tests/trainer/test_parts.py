import pytest
import torch

from tests.trainer.phantoms import write_dataset
from trainer import weights
from trainer.config import TrainConfig
from trainer.loop import train
from trainer.model import adapted, build
from trainer.parts import PARTS, freeze, part_of, renew


def test_every_part_has_parameters():
    assert {part_of(name) for name, _ in build("nano", 64).network.named_parameters()} == set(PARTS)


def test_frozen_parts_do_not_learn_but_their_adapters_do():
    model = adapted(build("nano", 64))
    freeze(model, ["image_encoder", "memory"])
    learning = {name for name, p in model.network.named_parameters() if p.requires_grad}
    assert {part_of(name) for name in learning if ".adapter." not in name} == {"prompt_encoder", "mask_decoder"}
    assert any(".adapter." in name for name in learning)


def test_renewed_parts_change_and_others_stay():
    torch.manual_seed(0)
    model = build("nano", 64)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    renew(model, ["mask_decoder"])
    changed = {part_of(n) for n, v in model.network.state_dict().items() if not torch.equal(v, before[n])}
    assert changed == {"mask_decoder"}


def test_training_leaves_a_frozen_part_alone(tmp_path):
    torch.manual_seed(0)
    weights.save(build("nano", 64), tmp_path / "start")
    data = {"dataset": str(write_dataset(tmp_path / "data", count=1)), "clips_per_volume": 2, "workers": 0}
    result = train(
        TrainConfig.model_validate(
            {
                "image_size": 64,
                "start": str(tmp_path / "start"),
                "freeze": ["image_encoder"],
                "data": data,
                "phases": [{"steps": 2, "batch": 2}],
                "out": str(tmp_path / "run"),
            }
        )
    )
    old, new = (weights.load(folder).network.state_dict() for folder in (tmp_path / "start", result.model))
    changed = {part_of(name) for name in old if not torch.equal(old[name], new[name])}
    assert "image_encoder" not in changed and "mask_decoder" in changed


@pytest.mark.parametrize(
    "values, message",
    [
        ({"start": "model", "freeze": list(PARTS)}, "leaves nothing that learns"),
        ({"freeze": ["image_encoder"]}, "a model from scratch knows nothing"),
    ],
)
def test_freezing_what_cannot_be_frozen_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig.model_validate({"data": {"dataset": "x"}, "phases": [{"steps": 1}], **values})
