"""Pictures after SynthFM's published description (Sengupta et al. 2025, arXiv 2504.08177).

Half of them are shape-aware: one structure of any form, contrast and sharpness. The others are boundary-aware:
several structures that touch, of grey values that may hardly differ. The paper's code is not public; ranges are ours.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from engine.grid import Grid
from trainer.case import Case
from trainer.generators.outline import outline
from trainer.generators.texture import texture

_SIZE = 128
_MOST = 6  # structures that touch


def synthfm(rng: np.random.Generator, name: str) -> Case:
    """A picture and its structures: a volume of one slice."""
    labels = _one(rng) if rng.random() < 0.5 else _neighbours(rng)
    count = int(labels.max())
    # boundaries are from crisp to washed out
    blur = float(rng.choice([0.0, rng.uniform(0.5, 2.0), rng.uniform(2.0, 4.0)], p=[0.3, 0.5, 0.2]))
    image = np.zeros(labels.shape, np.float32)
    for row in range(count + 1):
        share = (labels == row).astype(np.float32)
        share = ndimage.gaussian_filter(share, blur) if blur else share
        image += share * (rng.uniform(0.0, 1.0) + rng.uniform(0.0, 0.15) * texture(labels.shape, rng))
    image += rng.uniform(0.0, 0.12) * rng.standard_normal(image.shape, np.float32)
    structures = {f"structure {row}": (row,) for row in range(1, count + 1)}
    grid = Grid.centred((_SIZE, _SIZE, 1), (1.0, 1.0, 1.0))
    return Case(name, "mr", grid, image[None], labels[None], structures)


def _one(rng: np.random.Generator) -> np.ndarray:
    return (outline(_SIZE, rng) < 0.0).astype(np.uint8)


def _neighbours(rng: np.random.Generator) -> np.ndarray:
    """Structures side by side: a larger one cut into cells about random points, whose borders are warped."""
    whole = outline(_SIZE, rng, (0.2, 0.42)) < 0.0
    count = int(rng.integers(2, _MOST + 1))
    inside = np.argwhere(whole)
    centres = inside[rng.integers(len(inside), size=count)].astype(np.float32)
    bend = 10.0 * np.stack([texture(whole.shape, rng, (8.0, 16.0)) for _ in range(2)], axis=-1)
    points = np.indices(whole.shape).transpose(1, 2, 0) + bend
    near = np.argmin(((points[:, :, None] - centres) ** 2).sum(-1), axis=-1)
    return np.where(whole, near + 1, 0).astype(np.uint8)
