"""Sets of real scans: images/X beside labels/X (NIfTI, NRRD, MetaImage or PNG) and a dataset.json.

dataset.json holds `modality` (`CT`, `MR` or `US`) and `labels` (name by label value), and may hold `mask_quality`
(anything but `expert` is kept out of headline figures) and `dim` (2 for pictures). A spacing that is made up is said by
`"spacing": "nominal"`, or by `spacing nominal` in its `notes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import UserError
from engine.io import read_pair
from trainer.case import Case, modality_of
from trainer.layouts.layout import HEADER, Layout, read_header

_IMAGES, _LABELS = "images", "labels"


@dataclass(frozen=True)
class Scans(Layout):
    """A set of scans."""

    looks = "dataset.json with images and labels (real scans)"

    @staticmethod
    def holds(path: Path) -> bool:
        return (path / HEADER).is_file() and (path / _IMAGES).is_dir()

    @cached_property
    def entries(self) -> list[str]:
        """Names of the images that have labels."""
        names = sorted(file.name for file in (self.path / _IMAGES).iterdir() if not file.name.startswith("."))
        found = [name for name in names if (self.path / _LABELS / name).is_file()]
        if not found:
            raise UserError(f"{self.path}: no file of {_IMAGES}/ has one of the same name in {_LABELS}/")
        return found

    def read(self, index: int) -> Case:
        name = self.entries[index]
        image, labels, grid = read_pair(self.path / _IMAGES / name, self.path / _LABELS / name)
        there = set(np.unique(labels).tolist())
        return Case(
            name.split(".")[0],
            modality_of(self.header["modality"]),
            grid,
            image,
            labels,
            {str(said): (int(v),) for v, said in self.header["labels"].items() if int(v) in there},
            expert=self.header.get("mask_quality") == "expert",
            nominal=self.nominal,
            file=self.path / _IMAGES / name,
        )

    @cached_property
    def header(self) -> dict[str, Any]:
        """The contents of dataset.json."""
        file = self.path / HEADER
        content = read_header(self.path)
        if not isinstance(content.get("modality"), str):
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
