"""The running average of a network's weights: what a run keeps, for single steps at a high learning rate swing.

The exponential average of Polyak and Juditsky's idea (doi 10.1137/0330046), its memory shorter at first so that the
random weights of the start are soon forgotten.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


class Average:
    """avg += (1 - d) (weights - avg) after each step, with d = min(decay, (1 + n) / (10 + n)) after n steps.

    Args:
        network: whose parameters are averaged.
        decay: in [0, 1); 0.999 remembers about a thousand steps.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network, self.decay, self.steps = network, decay, 0
        self.values = {name: p.detach().clone() for name, p in network.named_parameters()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the network's weights after a step."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(list(self.values.values()), list(self.network.parameters()), 1.0 - decay)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The network with the averaged weights instead of its own."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self.network.named_parameters():
            parameter.data, self.values[name] = self.values[name], parameter.data
