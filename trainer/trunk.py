"""The image trunk of the smallest model: residual convolutions at strides 4, 8, 16 and 32."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

_GROUPS = 8


class Residual(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))): the pre-activation block of He et al. 2016.

    Reference: doi 10.1007/978-3-319-46493-0_38.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.body = nn.Sequential(
            nn.GroupNorm(_GROUPS, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GroupNorm(_GROUPS, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


class ConvTrunk(nn.Module):
    """Feature maps of a picture at four scales, as SAM 2's image encoder takes them from its trunk.

    Args:
        channels: of the maps at strides 4, 8, 16 and 32; multiples of 8.
        blocks: residual blocks at each scale.
    """

    def __init__(self, channels: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        first = channels[0]
        self.stem = nn.Sequential(
            nn.Conv2d(3, first // 2, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(first // 2, first, 3, stride=2, padding=1),
        )
        downs: list[nn.Module] = [nn.Identity()]
        downs += [nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(channels)]
        self.downs = nn.ModuleList(downs)
        self.stages = nn.ModuleList(
            nn.Sequential(*(Residual(c) for _ in range(n))) for c, n in zip(channels, blocks, strict=True)
        )
        self.channel_list = list(channels[::-1])

    def forward(self, picture: torch.Tensor) -> list[torch.Tensor]:
        """Maps `[B, C, S/4, S/4]` to `[B, C, S/32, S/32]` of pictures `[B, 3, S, S]`."""
        x = self.stem(picture)
        maps = []
        for down, stage in zip(self.downs, self.stages, strict=True):
            x = stage(down(x))
            maps.append(x)
        return maps
