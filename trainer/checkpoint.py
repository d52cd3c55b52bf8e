"""Checkpoints that a run resumes from exactly: model, optimiser and step; randomness depends on the step alone.

A checkpoint is a model's folder too. Where weights are averaged, the model holds the averages and the optimiser's file
the weights themselves.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from engine.errors import UserError
from trainer import weights
from trainer.average import Average
from trainer.model import Model

_OPTIMIZER = "optimizer.safetensors"
_WEIGHT = "weight"
_FOLDER = "checkpoints"
_PREFIX = "step_"


def save(run: Path, step: int, model: Model, optimizer: torch.optim.Optimizer, average: Average | None = None) -> Path:
    """Write the checkpoint after `step` steps, whole or not at all, and drop the ones before it."""
    home = run / _FOLDER
    home.mkdir(parents=True, exist_ok=True)
    target = home / f"{_PREFIX}{step:07d}"
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=home))
    state = dict(_flatten(model, optimizer, average is not None))
    with average.applied() if average else contextlib.nullcontext():
        weights.write(model, partial, {"step": step})
    save_file(state, str(partial / _OPTIMIZER))
    weights.replace_folder(partial, target)
    for folder in home.iterdir():
        if folder != target:
            shutil.rmtree(folder, ignore_errors=True)
    return target


def latest(run: Path) -> Path | None:
    """The newest checkpoint of a run, or None."""
    found = sorted((run / _FOLDER).glob(f"{_PREFIX}*"))
    return found[-1] if found else None


def restore(folder: Path, model: Model, optimizer: torch.optim.Optimizer, average: Average | None = None) -> int:
    """Put a checkpoint's state into the model, the optimiser and the average; the number of steps done."""
    saved = weights.load(folder, size=model.spec.size)
    model.network.load_state_dict(saved.network.state_dict())
    try:
        state = load_file(str(folder / _OPTIMIZER))
        step = int(json.loads((folder / weights.CONFIG).read_text(encoding="utf-8"))["step"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise UserError(f"{folder}: damaged checkpoint ({error}); delete it to start from the one before") from None
    for name, parameter in model.network.named_parameters():
        entries = {key: state[f"{key}/{name}"] for key in ("step", "exp_avg", "exp_avg_sq") if f"{key}/{name}" in state}
        if entries:
            optimizer.state[parameter] = {k: v if k == "step" else _like(parameter, v) for k, v in entries.items()}
    if average is not None:
        average.steps = step
        for name, parameter in model.network.named_parameters():
            average.values[name] = parameter.detach().clone()
            parameter.data = _like(parameter, state[f"{_WEIGHT}/{name}"])
    return step


def _like(parameter: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """The value on the parameter's device, in its order in memory: fused optimisers count on it."""
    return torch.empty_like(parameter, requires_grad=False).copy_(value)


def _flatten(model: Model, optimizer: torch.optim.Optimizer, averaged: bool) -> Iterator[tuple[str, torch.Tensor]]:
    for name, parameter in model.network.named_parameters():
        if averaged:
            yield f"{_WEIGHT}/{name}", parameter.detach().cpu().clone(memory_format=torch.contiguous_format)
        entries: dict[str, Any] = optimizer.state.get(parameter, {})
        for key, value in entries.items():
            yield f"{key}/{name}", value.detach().cpu().contiguous()
