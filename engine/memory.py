"""Refuses work that needs more memory than there is, before it starts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import psutil
import torch

from engine.device import device
from engine.errors import UserError


def available() -> int:
    """Bytes free on the engine's device."""
    if device().type == "cuda":
        return torch.cuda.mem_get_info()[0]
    return psutil.virtual_memory().available


def require(shape: Sequence[int], bytes_per_voxel: float, what: str) -> None:
    """Raise UserError where `shape` voxels at `bytes_per_voxel` do not fit."""
    need, free = math.prod(shape) * bytes_per_voxel, available()
    if need > free:
        size = " x ".join(str(n) for n in reversed(shape))
        raise UserError(
            f"{what}: a volume of {size} voxels needs {need / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free; "
            "use a smaller size"
        )
