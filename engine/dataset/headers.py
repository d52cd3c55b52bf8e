"""How each image of a volume was made: headers/NAME.json, by modality every parameter of its scanner, resolved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.atomic import write_text
from engine.errors import UserError
from engine.generate import Sample

FOLDER = "headers"


def save(root: Path, sample: Sample) -> None:
    """Write a sample's header (see `engine.volume.Image.meta`) into a dataset's folder."""
    (root / FOLDER).mkdir(exist_ok=True)
    content = {modality: image.meta for modality, image in sample.images.items()}
    write_text(root / FOLDER / f"{sample.name}.json", json.dumps(content, indent=1) + "\n")


def read(root: Path, name: str) -> dict[str, dict[str, Any]]:
    """The parameters of a volume's images by modality; nothing where the dataset has none.

    Raises:
        UserError: the file is damaged.
    """
    file = root / FOLDER / f"{name}.json"
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {str(modality): dict(meta) for modality, meta in content.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UserError(f"{file}: a damaged header ({error}); generate the dataset again, or remove it") from error
