import pytest
import torch

from trainer import weights
from trainer.adapter import Adapter
from trainer.model import adapted, build, predictor


def test_an_adapted_model_is_at_first_the_one_it_was():
    torch.manual_seed(0)
    model = build("nano", 64)
    picture = torch.rand(1, 3, 64, 64)
    before = [level.clone() for level in model.network.forward_image(picture)["backbone_fpn"]]
    model = adapted(model)
    after = model.network.forward_image(picture)["backbone_fpn"]
    assert model.spec.adapters and adapted(model) is model
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("size, blocks", [("nano", 5), ("tiny", 12)])
def test_every_block_has_one_that_learns(size, blocks):
    network = adapted(build(size, 64)).network
    found = [module for module in network.modules() if isinstance(module, Adapter)]
    assert len(found) == blocks
    for level in network.forward_image(torch.rand(1, 3, 64, 64))["backbone_fpn"]:
        level.square().mean().backward(retain_graph=True)
    assert all(adapter.norm.weight.grad.abs().sum() > 0 for adapter in found)


def test_it_is_saved_with_the_model_and_used_by_the_predictor(tmp_path):
    torch.manual_seed(0)
    model = adapted(build("nano", 64))
    for module in model.network.modules():
        if isinstance(module, Adapter):
            torch.nn.init.normal_(module.norm.weight)
    back = weights.load(weights.save(model, tmp_path / "model"))
    assert back.spec.adapters
    picture = torch.rand(1, 3, 64, 64)
    levels = [m.forward_image(picture)["backbone_fpn"][0] for m in (model.network, back.network, predictor(back))]
    plain = predictor(build("nano", 64)).forward_image(picture)["backbone_fpn"][0]
    assert torch.equal(levels[0], levels[1]) and torch.allclose(levels[0], levels[2])
    assert not torch.allclose(levels[0], plain)
