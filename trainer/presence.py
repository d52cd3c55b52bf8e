"""When an object counts as gone: SAM 2's object score, balanced on slice videos that the model has not seen.

Most slices of the videos show their object, and the score learns how many: it says yes too often. At the end of a run
its zero is moved to where the share of missed slices equals that of slices that are filled though their object is gone
(a classifier's posterior carries its training set's prior; Saerens et al. 2002, doi 10.1162/089976602753284446).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from trainer.clips import Clip, batch_of
from trainer.model import Model

_BATCH = 4
_ROUNDS = 2  # what is taken for gone changes what the next slices are shown


def balance(model: Model, clips: Sequence[Clip], seed: int) -> float:
    """Move the score's zero; returns by how much, in logits: 0 where all slices show their object, or none does.

    Args:
        clips: of several slices, their objects on some; prompted as the model was in training.
    """
    head = model.network.sam_mask_decoder.pred_obj_score_head.layers[-1]
    moved = 0.0
    for _ in range(_ROUNDS):
        scores, there = _scored(model, clips, seed)
        if there.all() or not there.any():
            break
        zero = even(scores[there], scores[~there])
        head.bias.data -= zero
        moved += zero
    return moved


def even(shown: np.ndarray, gone: np.ndarray) -> float:
    """The score below which the share of `shown` is nearest to the share of `gone` above it."""
    edges = np.unique(np.concatenate([shown, gone]))
    between = np.concatenate([edges[:1] - 1.0, 0.5 * (edges[1:] + edges[:-1]), edges[-1:] + 1.0])
    missed = np.searchsorted(np.sort(shown), between) / len(shown)
    filled = 1.0 - np.searchsorted(np.sort(gone), between) / len(gone)
    return float(between[np.argmin(np.abs(missed - filled))])


@torch.no_grad()
def _scored(model: Model, clips: Sequence[Clip], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Object scores of all slices after the prompted one, and which of these show their object."""
    network = model.network.eval()
    network.training = True  # prompts as in training; layers below stay as they are in use
    network.rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    scores, there = [], []
    for start in range(0, len(clips), _BATCH):
        batch = batch_of(clips[start : start + _BATCH]).to(network.device)
        outputs = network(batch)
        scores += [out["multistep_object_score_logits"][-1][:, 0].cpu() for out in outputs[1:]]
        there += [masks.flatten(1).any(dim=1).cpu() for masks in batch.masks[1:]]
    return torch.cat(scores).numpy(), torch.cat(there).numpy()
