"""PNG and JPEG pictures, through Pillow: volumes one slice thick, of unknown scale (1 mm a pixel)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from engine.formats.format import Format, Raw, register, unreadable
from engine.grid import Grid


def read(path: Path, labels: bool) -> Raw:
    """Pixels as `[1, y, x]`, colour as `[1, y, x, 3]`; of a palette the indices where they are labels."""
    try:
        with Image.open(path) as picture:
            array = np.asarray(_plain(picture, labels))
    except (OSError, ValueError, SyntaxError) as error:
        raise unreadable(path, error) from error
    array = array.astype(np.uint8) if array.dtype == bool else array
    height, width = array.shape[:2]
    return array[None], Grid((width, height, 1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))


def _plain(picture: Image.Image, labels: bool) -> Image.Image:
    """The picture without palette or transparency."""
    if picture.mode in ("P", "PA"):
        return picture.convert("P") if labels else picture.convert("RGB")
    if picture.mode in ("LA", "La"):
        return picture.convert("L")
    return picture.convert("RGB") if picture.mode in ("RGBA", "RGBa", "CMYK", "YCbCr") else picture


def write(path: Path, array: np.ndarray, grid: Grid) -> None:
    """Write a volume one slice thick, whole numbers of 8 bits; more are clipped."""
    if array.shape[0] != 1:
        raise ValueError(f"it has {array.shape[0]} slices and a PNG holds one; write .nii.gz")
    Image.fromarray(np.clip(np.rint(array[0]), 0, 255).astype(np.uint8)).save(path, format="PNG")


register(Format("PNG", (".png",), read, write))
register(Format("JPEG", (".jpg", ".jpeg"), read))
