"""Weights on disk: our folders (safetensors + config.json) and official SAM 2.1 checkpoint files."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from engine.errors import UserError
from trainer.model import Model, build
from trainer.sizes import Size, Spec
from trainer.zoo import place_of

WEIGHTS, CONFIG = "model.safetensors", "config.json"
FORMAT = "viscera-sam2/1"
OFFICIAL_IMAGE_SIZE = 1024

#: (channels of the patch embedding, blocks of the trunk) of the official checkpoints.
_LAYOUTS: dict[tuple[int, int], Size] = {
    (96, 12): "tiny",
    (96, 16): "small",
    (112, 24): "base+",
    (144, 48): "large",
}
_PATCH = "image_encoder.trunk.patch_embed.proj.weight"
_BLOCK = "image_encoder.trunk.blocks."


def save(model: Model, folder: str | Path, extra: dict[str, Any] | None = None) -> Path:
    """Write `model.safetensors` and `config.json` into `folder`; the folder appears whole or not at all.

    Args:
        extra: further entries of config.json.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        write(model, partial, extra)
        replace_folder(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def write(model: Model, folder: Path, extra: dict[str, Any] | None = None) -> None:
    """Write a model's two files into an existing folder."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.network.state_dict().items()}
    save_file(state, str(folder / WEIGHTS), metadata={"format": FORMAT})
    config = {"format": FORMAT, **model.spec.model_dump(), **(extra or {})}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def replace_folder(new: Path, folder: Path) -> None:
    """Put the finished folder `new` where `folder` is."""
    os.chmod(new, 0o755)  # a temporary folder is closed to others
    if folder.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
        os.replace(folder, old / folder.name)
        os.replace(new, folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(new, folder)


def load(path: str | Path, image_size: int | None = None, size: Size | None = None) -> Model:
    """A model from a folder that `save` wrote, or from an official SAM 2.1 `.pt` file.

    Args:
        path: or the name of a published model, see `zoo`.
        image_size: pixels; the saved one (official: 1024) if left out. SAM 2's weights fit every multiple of 32.
        size: what the caller needs; another one in the file is an error.

    Raises:
        UserError: where the file is missing, corrupt, or of another size; with what was found and what was expected.
    """
    path = place_of(path)
    folder = path.parent if path.name == WEIGHTS else path
    found, state = _read_folder(folder) if folder.is_dir() else _read_official(path)
    if size is not None and found.size != size:
        raise UserError(f"{path}: holds a {found.size} model, but {size} was asked for")
    model = build(found.size, image_size or found.image_size, found.adapters)
    _fill(model, state, path)
    return model


def _read_folder(folder: Path) -> tuple[Spec, dict[str, torch.Tensor]]:
    weights, config = folder / WEIGHTS, folder / CONFIG
    for file in (weights, config):
        if not file.is_file():
            raise UserError(f"{folder}: is no model, it has no {file.name}")
    try:
        values = json.loads(config.read_text(encoding="utf-8"))
        spec = Spec(**{name: values[name] for name in Spec.model_fields if name in values})
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise UserError(f"{config}: not a model's configuration ({_first_line(error)})") from None
    try:
        with safe_open(str(weights), framework="pt") as file:
            return spec, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{weights}: corrupt or not a safetensors file ({_first_line(error)})") from None


def _read_official(path: Path) -> tuple[Spec, dict[str, torch.Tensor]]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile, OSError, ValueError) as error:
        raise UserError(f"{path}: corrupt or not a torch checkpoint ({_first_line(error)})") from None
    state = content.get("model") if isinstance(content, dict) else None
    if not isinstance(state, dict) or _PATCH not in state:
        raise UserError(f"{path}: not a SAM 2 checkpoint; expected a dictionary 'model' with '{_PATCH}'")
    blocks = {name.removeprefix(_BLOCK).split(".")[0] for name in state if name.startswith(_BLOCK)}
    layout = (state[_PATCH].shape[0], len(blocks))
    if layout not in _LAYOUTS:
        known = ", ".join(f"{name} {width} x {depth}" for (width, depth), name in _LAYOUTS.items())
        raise UserError(f"{path}: a trunk of {layout[0]} channels x {layout[1]} blocks is none of {known}")
    if "no_obj_embed_spatial" not in state:
        raise UserError(f"{path}: a SAM 2.0 checkpoint; use the SAM 2.1 one of the same size")
    return Spec(size=_LAYOUTS[layout], image_size=OFFICIAL_IMAGE_SIZE), state


def _fill(model: Model, state: dict[str, torch.Tensor], path: Path) -> None:
    expected = model.network.state_dict()
    missing = sorted(expected.keys() - state.keys())
    unknown = sorted(state.keys() - expected.keys())
    if missing or unknown:
        raise UserError(
            f"{path}: not the weights of a {model.spec.size} model: {len(missing)} missing ({_some(missing)}), "
            f"{len(unknown)} unknown ({_some(unknown)}) of {len(expected)} expected"
        )
    for name, tensor in expected.items():
        if state[name].shape != tensor.shape:
            raise UserError(
                f"{path}: '{name}' is {list(state[name].shape)}, a {model.spec.size} model needs {list(tensor.shape)}"
            )
    model.network.load_state_dict(state)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "") if names else "none"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:160] or type(error).__name__
