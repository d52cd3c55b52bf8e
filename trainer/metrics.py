"""Overlap of two masks."""

from __future__ import annotations

import numpy as np
import torch


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|) of two boolean arrays; 1 where both are empty. Dice 1945, doi 10.2307/1932409."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2.0 * np.count_nonzero(a & b) / total if total else 1.0


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """|A and B| / |A or B| of two boolean arrays; 1 where both are empty."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def dice_of_pictures(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Dice `[N]` of each pair of boolean pictures `[N, h, w]`; 1 where both are empty."""
    both, total = (a & b).sum((-1, -2)), a.sum((-1, -2)) + b.sum((-1, -2))
    return torch.where(total > 0, 2.0 * both / total.clamp(min=1), 1.0)
