"""Real scans with masks to try a model on: sets on disk, the MNI152 template that nilearn ships, pairs of files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import UserError
from engine.formats.format import grid_from_lps
from engine.grid import Grid
from engine.io import read_pair
from trainer.case import Case, modality_of

MNI152 = "mni152"
#: White matter is where the tissue's probability exceeds this.
_WHITE_MATTER = 0.5
_RESOLUTION_MM = 2


@dataclass(frozen=True)
class RealSet:
    """Scans in a folder: images/X beside labels/X (NIfTI, NRRD, MetaImage or PNG) and a dataset.json.

    dataset.json holds `modality` (`CT`, `MR` or `US`) and `labels` (name by label value), and may hold `mask_quality`
    (anything but `expert` is kept out of headline figures) and `dim` (2 for pictures). A spacing that is made up is
    said by `"spacing": "nominal"`, or by `spacing nominal` in its `notes`. Files are read when a case is asked for.
    """

    path: Path

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Case]:
        return (self[i] for i in range(len(self)))

    @cached_property
    def entries(self) -> list[str]:
        """Names of the images that have labels, in order."""
        names = sorted(file.name for file in (self.path / "images").iterdir() if not file.name.startswith("."))
        found = [name for name in names if (self.path / "labels" / name).is_file()]
        if not found:
            raise UserError(f"{self.path}: no file of images/ has one of the same name in labels/")
        return found

    @cached_property
    def header(self) -> dict[str, Any]:
        """The contents of dataset.json."""
        file = self.path / "dataset.json"
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{file}: cannot be read ({error})") from None
        if not isinstance(content, dict) or not isinstance(content.get("modality"), str):
            raise UserError(f"{file}: needs 'modality': CT, MR or US")
        labels = content.get("labels")
        if not isinstance(labels, dict) or not labels or not all(str(v).isdecimal() for v in labels):
            raise UserError(f"{file}: needs 'labels' as a mapping of label values to names")
        return content

    @cached_property
    def nominal(self) -> bool:
        """Whether millimetres are not known."""
        said = self.header.get("spacing") == "nominal" or "spacing nominal" in str(self.header.get("notes", ""))
        return said or self.header.get("dim") == 2

    def __getitem__(self, index: int) -> Case:
        name = self.entries[index]
        image, labels, grid = read_pair(self.path / "images" / name, self.path / "labels" / name)
        there = set(np.unique(labels).tolist())
        structures = {str(said): (int(v),) for v, said in self.header["labels"].items() if int(v) in there}
        return Case(
            name.split(".")[0],
            modality_of(self.header["modality"]),
            grid,
            image,
            labels,
            structures,
            dataset=self.path.resolve().name,
            expert=self.header.get("mask_quality") == "expert",
            nominal=self.nominal,
        )


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
    return Case(image.name.split(".")[0], modality, grid, data, mask, {name: (v,) for v, name in chosen.items()})
