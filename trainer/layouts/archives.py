"""MedSAM2's NPZ files, one case each: `imgs` [D, H, W] or [D, H, W, 3], `gts` [D, H, W], and `spacing` in mm (x, y, z).

`imgs` holds grey values 0..255, `gts` whole numbers, an object each. A picture may lack D. A name that begins with CT_,
MR_ or US_ says what the image is. Files may lie in folders of the folder
(https://github.com/bowang-lab/MedSAM2, training/dataset/vos_raw_dataset.py, NPZRawDataset).
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from engine.errors import UserError
from engine.formats.format import unreadable
from engine.io import LUMINANCE
from trainer.case import Case, case_of_pictures, label_names, modality_in
from trainer.layouts.layout import Layout

_ENDING = ".npz"
_KEYS = ("imgs", "gts")


@dataclass(frozen=True)
class Archives(Layout):
    """A folder of NPZ files."""

    looks = "NAME.npz with imgs and gts (MedSAM2)"

    @staticmethod
    def holds(path: Path) -> bool:
        return next(path.rglob(f"*{_ENDING}"), None) is not None

    @cached_property
    def entries(self) -> list[Path]:
        """Every file."""
        return sorted(self.path.rglob(f"*{_ENDING}"))

    def read(self, index: int) -> Case:
        file = self.entries[index]
        pixels, labels, spacing = _arrays(file)
        pixels, labels = _volumes(file, pixels, labels)
        name = file.relative_to(self.path).as_posix().removesuffix(_ENDING).replace("/", "_")
        return case_of_pictures(name, modality_in(file.stem), pixels, labels, label_names(labels), spacing)


def _arrays(file: Path) -> tuple[np.ndarray, np.ndarray, tuple[float, float, float] | None]:
    """`imgs`, `gts` and `spacing` of a file; nothing else that it holds is read."""
    try:
        with np.load(file, allow_pickle=False) as archive:
            if missing := [key for key in _KEYS if key not in archive.files]:
                raise UserError(
                    f"{file}: has no {' and no '.join(missing)}; it holds {', '.join(archive.files) or 'nothing'}, and "
                    "needs imgs [D, H, W] and gts [D, H, W]"
                )
            pixels, labels = archive["imgs"], archive["gts"]
            spacing = archive["spacing"] if "spacing" in archive.files else None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise unreadable(file, error) from error
    return pixels, labels, None if spacing is None else _spacing(file, spacing)


def _spacing(file: Path, given: np.ndarray) -> tuple[float, float, float]:
    if given.shape != (3,) or given.dtype.kind not in "fiu" or not (np.isfinite(given).all() and (given > 0).all()):
        raise UserError(f"{file}: spacing is {given.tolist()}; give mm along x, y and z, each above 0, or leave it out")
    x, y, z = map(float, given)
    return x, y, z


def _volumes(file: Path, pixels: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Grey values and labels, both `[z, y, x]`."""
    for name, array in zip(_KEYS, (pixels, labels), strict=True):
        if array.dtype.kind not in "buif":
            raise UserError(f"{file}: {name} holds no numbers ({array.dtype}); store whole numbers")
    if labels.ndim == 2:
        pixels, labels = pixels[None], labels[None]
    if labels.ndim != 3 or pixels.shape not in (labels.shape, (*labels.shape, 3)):
        shapes = " and ".join(f"{name} {list(a.shape)}" for name, a in zip(_KEYS, (pixels, labels), strict=True))
        raise UserError(f"{file}: {shapes} do not go together; imgs is [D, H, W] or [D, H, W, 3], gts [D, H, W]")
    if labels.size == 0:
        raise UserError(f"{file}: holds no voxels; remove the file")
    whole = labels.astype(np.int32)
    if not (whole == labels).all():
        raise UserError(f"{file}: gts must be whole numbers, one for each object, 0 for none")
    if not np.isfinite(pixels).all():
        raise UserError(f"{file}: imgs holds values that are not finite; store grey values 0..255")
    return (pixels @ LUMINANCE if pixels.ndim == 4 else pixels), whole
