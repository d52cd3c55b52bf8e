"""SAM-Med2D's adapter in every block of the image encoder (Cheng et al. 2023, arXiv 2308.16184).

On a block's tokens x, beside its MLP:

    x + MLP(norm x) + Adapter(norm x),
    Adapter(y) = LayerNorm(c + relu(up(relu(down(c))))),  c = y * sigmoid(W2 relu(W1 mean(y)))

with `down` a 3 x 3 convolution of stride 2 and `up` a transposed 4 x 4 one, each followed by ReLU. The released code
starts with the LayerNorm's scale at 1, which throws a trained encoder off; it starts at 0 here, so that an adapted
model is at first the one it was.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from trainer.compat import MultiScaleBlock
from trainer.trunk import Residual

_SQUEEZE = 4


class Adapter(nn.Module):
    """What is added beside a block's MLP.

    Args:
        channels: of the tokens.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // _SQUEEZE)
        self.channel = nn.Sequential(
            nn.Linear(channels, inner, bias=False), nn.ReLU(), nn.Linear(inner, channels, bias=False), nn.Sigmoid()
        )
        self.down = nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False)
        self.up = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, bias=False)
        self.norm = nn.LayerNorm(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens `[B, H, W, C]` to what is added to them."""
        height, width = tokens.shape[1:3]
        scaled = tokens * self.channel(tokens.mean(dim=(1, 2)))[:, None, None]
        maps = scaled.permute(0, 3, 1, 2)
        spatial = F.relu(self.up(F.relu(self.down(maps))))[..., :height, :width]  # an odd edge comes back even
        return self.norm(scaled + spatial.permute(0, 2, 3, 1))


def adapt(network: nn.Module) -> None:
    """Give every block of the image encoder an adapter."""
    for block in list(network.image_encoder.trunk.modules()):  # type: ignore[union-attr, operator]
        if isinstance(block, MultiScaleBlock):
            block.adapter = Adapter(block.dim_out)
            block.mlp.register_forward_hook(_beside(block.adapter))
        elif isinstance(block, Residual):
            block.adapter = Adapter(block.channels)
            block.body.register_forward_hook(_beside(_Maps(block.body[0], block.adapter)))


class _Maps(nn.Module):
    """An adapter beside a part that holds its own norm and takes maps `[B, C, H, W]`."""

    def __init__(self, norm: nn.Module, adapter: Adapter) -> None:
        super().__init__()
        self.norm, self.adapter = norm, adapter

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.adapter(self.norm(maps).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _beside(adapter: nn.Module) -> Callable[..., torch.Tensor]:
    """A hook that adds what an adapter makes of a part's input to its output."""

    def add(_part: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
        return output + adapter(*inputs)

    return add
