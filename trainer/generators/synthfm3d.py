"""Volumes after SynthFM-3D's published description (Chakrabarty et al. 2026, arXiv 2601.12297).

The cross-section of each structure is born on a slice, grows slice by slice and, from some slice on, erodes; a disc
of radius r grows or erodes a set by exactly r of its distance, so that

    M_k(z) = {x: d_k(x) < r_k(z)},  r_k(z) = g_k (z - b_k) up to slice e_k, then less by s_k a slice,

with d_k the signed distance to the first cross-section. The image is sum_k a_k T_k (G_sigma * M_k) + B + noise:
a grey value and a multi-scale Gaussian texture for each structure, borders blurred. The paper's code is not public;
ranges are ours.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from engine.grid import Grid
from trainer.case import Case
from trainer.generators.outline import outline
from trainer.generators.texture import texture

_SIZE, _SLICES = 96, 32
_MOST = 6  # structures


def synthfm3d(rng: np.random.Generator, name: str) -> Case:
    """A volume and its structures."""
    shape = (_SLICES, _SIZE, _SIZE)
    labels = np.zeros(shape, np.uint8)
    count = int(rng.integers(1, _MOST + 1))
    for row in range(1, count + 1):
        labels[_evolving(rng)] = row
    blur = rng.uniform(0.3, 2.0)
    background = rng.uniform(0.0, 0.6)
    image = background * (1.0 + rng.uniform(0.0, 0.3) * texture(shape, rng))
    for row in range(1, count + 1):
        share = ndimage.gaussian_filter((labels == row).astype(np.float32), (0.0, blur, blur))
        value = rng.uniform(0.1, 1.0) * (1.0 + rng.uniform(0.0, 0.3) * texture(shape, rng))
        image = image * (1.0 - share) + value * share
    image += rng.uniform(0.0, 0.1) * rng.standard_normal(shape, np.float32)
    present = [row for row in range(1, count + 1) if (labels == row).any()]
    grid = Grid.centred((_SIZE, _SIZE, _SLICES), (1.0, 1.0, 1.0))
    return Case(name, "mr", grid, image.astype(np.float32), labels, {f"structure {row}": (row,) for row in present})


def _evolving(rng: np.random.Generator) -> np.ndarray:
    """A structure `[z, y, x]` by its growing and then eroding cross-section."""
    distance = outline(_SIZE, rng, (0.04, 0.2))
    born = int(rng.integers(0, _SLICES // 2))
    turns = int(rng.integers(born + 1, _SLICES))
    grows, shrinks = rng.uniform(0.0, 1.5), rng.uniform(0.2, 2.5)
    z = np.arange(_SLICES)
    radius = grows * (np.minimum(z, turns) - born) - shrinks * np.maximum(z - turns, 0)
    return (distance[None] < radius[:, None, None]) & (z >= born)[:, None, None]
