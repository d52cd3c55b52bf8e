import torch
from torch import nn

from trainer.average import Average


def _layer(value):
    layer = nn.Linear(2, 1)
    _set(layer, value)
    return layer


def _set(layer, value):
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(value)


def test_the_average_is_that_of_the_steps():
    layer = _layer(0.0)
    average = Average(layer, 0.9)
    expected = 0.0
    for step in range(1, 200):
        value = float(step % 7)
        _set(layer, value)
        average.update()
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
        torch.testing.assert_close(average.values["bias"], torch.tensor([expected]), rtol=1e-5, atol=1e-6)


def test_the_start_is_soon_forgotten():
    layer = _layer(1000.0)
    average = Average(layer, 0.999)
    _set(layer, 1.0)
    for _ in range(100):
        average.update()
    assert abs(float(average.values["bias"]) - 1.0) < 1e-3  # 0.999 ** 100 alone would leave 905


def test_the_weights_come_back():
    layer = _layer(0.0)
    average = Average(layer, 0.5)
    _set(layer, 4.0)
    average.update()
    with average.applied():
        inside = layer.bias.item()
        assert 0 < inside < 4
        assert layer.weight.eq(inside).all()
    assert layer.weight.eq(4.0).all() and layer.bias.item() == 4.0
    assert float(average.values["bias"]) == inside


def test_a_later_step_does_not_change_what_was_applied():
    layer = _layer(0.0)
    average = Average(layer, 0.5)
    with average.applied():
        pass
    _set(layer, 2.0)
    assert float(average.values["bias"]) == 0.0
