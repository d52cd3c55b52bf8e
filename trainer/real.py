"""Real scans with masks to try a model on: the MNI152 template that nilearn ships, pairs of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import UserError
from engine.formats.format import grid_from_lps
from engine.grid import Grid
from engine.io import read_pair
from trainer.case import Case

MNI152 = "mni152"
#: White matter is where the tissue's probability exceeds this.
_WHITE_MATTER = 0.5
_RESOLUTION_MM = 2


def mni152() -> Case:
    """The ICBM 152 (2009a) T1-weighted average brain at 2 mm, with the masks of brain and of white matter.

    Fonov et al. 2011, doi 10.1016/j.neuroimage.2010.07.033; the files come with nilearn, nothing is downloaded.
    """
    try:
        from nilearn import datasets
    except ImportError:
        raise UserError("mni152 comes with nilearn, which is not installed: pip install nilearn") from None
    template = datasets.load_mni152_template(resolution=_RESOLUTION_MM)
    brain = _array(datasets.load_mni152_brain_mask(resolution=_RESOLUTION_MM)) > 0
    white = _array(datasets.load_mni152_wm_template(resolution=_RESOLUTION_MM)) > _WHITE_MATTER
    labels = brain.astype(np.uint8) + (brain & white)
    image = _array(template).astype(np.float32)
    structures = {"brain": (1, 2), "white matter": (2,)}
    return Case(MNI152, "mr", _grid(template), image, labels, structures, dataset=MNI152)


def _array(image: Any) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(image.dataobj).transpose(2, 1, 0))


def _grid(image: Any) -> Grid:
    x, y, z = image.shape
    return grid_from_lps(Path(MNI152), (x, y, z), np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine)


def pair(image: Path, labels: Path, modality: str, names: dict[int, str]) -> Case:
    """An image file and its label map; `names` of the labels to score, all that there are if empty."""
    data, mask, grid = read_pair(image, labels)
    present = [int(v) for v in np.unique(mask) if v]
    chosen = names or {label: f"label {label}" for label in present}
    if missing := sorted(chosen.keys() - set(present)):
        raise UserError(f"{labels}: has no voxel of label {', '.join(map(str, missing))}; it has {present or 'none'}")
    structures = {name: (v,) for v, name in chosen.items()}
    return Case(image.name.split(".")[0], modality, grid, data, mask, structures, file=image)
