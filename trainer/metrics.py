"""How well two masks agree: overlap, and distance of their surfaces."""

from __future__ import annotations

import math
import warnings

import numpy as np
import torch

#: NSD counts a surface as found where the other one is this near, unless told otherwise (mm, or pixels).
TOLERANCE = 2.0


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|) of two boolean arrays; 1 where both are empty. Dice 1945, doi 10.2307/1932409."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2.0 * np.count_nonzero(a & b) / total if total else 1.0


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """|A and B| / |A or B| of two boolean arrays; 1 where both are empty."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def surfaces(
    a: np.ndarray, b: np.ndarray, spacing: tuple[float, ...], tolerance: float = TOLERANCE
) -> tuple[float, float]:
    """Normalised surface distance and 95th percentile of the Hausdorff distance of two boolean arrays.

    NSD is the share of both surfaces that lies within `tolerance` of the other one (Nikolov et al. 2021, doi
    10.2196/26151); HD95 the larger of the two directed 95th percentiles over voxels at the edge. Both are MONAI's.
    Where one mask is empty there is nothing to measure: NSD is 0 and HD95 the array's diagonal; both empty agree.

    Args:
        spacing: of the arrays' axes, in their order.
        tolerance: in the spacing's unit.
    """
    found = a.any(), b.any()
    if not all(found):
        diagonal = math.hypot(*(n * s for n, s in zip(a.shape, spacing, strict=True)))
        return (0.0, diagonal) if any(found) else (1.0, 0.0)
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice  # takes seconds

    first, second = (torch.from_numpy(np.ascontiguousarray(mask))[None, None] for mask in (a, b))
    steps = list(spacing)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of an argument that MONAI itself gives
        nsd = compute_surface_dice(
            first, second, [tolerance], include_background=True, spacing=steps, use_subvoxels=True
        )
        hd95 = compute_hausdorff_distance(first, second, include_background=True, percentile=95, spacing=steps)
    return float(nsd), float(hd95)


def dice_of_pictures(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Dice `[N]` of each pair of boolean pictures `[N, h, w]`; 1 where both are empty."""
    both, total = (a & b).sum((-1, -2)), a.sum((-1, -2)) + b.sum((-1, -2))
    return torch.where(total > 0, 2.0 * both / total.clamp(min=1), 1.0)
