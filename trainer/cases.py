"""An image with the structures in it: what clips are cut from and what a model is evaluated on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import UserError
from engine.generate import Sample
from engine.grid import Grid
from engine.io import read_pair

MODALITIES = ("ct", "mr", "us")


@dataclass(frozen=True)
class Case:
    """One image and its labels.

    Args:
        name: what it is called in tables.
        modality: `ct`, `mr` or `us`.
        grid: of the image.
        image: float32 `[z, y, x]`.
        labels: integers `[z, y, x]`.
        structures: the labels whose union is a structure, by name.
        dataset: where it comes from, for tables.
        expert: whether the labels are the truth, or an expert's word for it; a model's predictions are neither.
        nominal: whether the grid's spacing is made up, so that distances in mm mean nothing.
    """

    name: str
    modality: str
    grid: Grid
    image: np.ndarray
    labels: np.ndarray
    structures: Mapping[str, tuple[int, ...]]
    dataset: str = ""
    expert: bool = True
    nominal: bool = False

    @property
    def flat(self) -> bool:
        """Whether it is a single slice."""
        return self.grid.size[2] == 1

    @property
    def unit(self) -> str:
        """What distances are measured in: `mm`, or `px` (columns of a slice) where millimetres are not known."""
        return "px" if self.nominal or self.flat else "mm"

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Of z, y and x, in `unit`."""
        x, y, z = self.grid.spacing
        pixel = x if self.unit == "px" else 1.0
        return z / pixel, y / pixel, x / pixel

    def mask(self, structure: str) -> np.ndarray:
        """Boolean `[z, y, x]`."""
        members = self.structures[structure]
        return self.labels == members[0] if len(members) == 1 else np.isin(self.labels, members)


def cases_of(sample: Sample) -> list[Case]:
    """One case for each of the sample's images; a structure is its own voxels and its children's."""
    volume = sample.volume
    # rows, not labels: one label may stand for parts of several structures (the medulla of either kidney)
    labels = volume.top.cpu().numpy()
    structures = {name: tuple(volume.rows(name)) for name in volume.names()}
    return [
        Case(f"{sample.name}_{key}", image.modality, image.grid, image.data.cpu().numpy(), labels, structures)
        for key, image in sample.images.items()
    ]


@dataclass(frozen=True)
class Folder:
    """A dataset on disk in nnU-Net's layout: imagesTr/NAME_0000.nii.gz, labelsTr/NAME.nii.gz, dataset.json.

    Several channels count as several images of the same labels. An entry of `labels` in dataset.json may be a list of
    values: a region. Files are read when a case is asked for.
    """

    path: Path

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Case]:
        return (self[i] for i in range(len(self)))

    @cached_property
    def entries(self) -> list[tuple[str, int]]:
        """(name, channel) of every image that has labels, in the order of their names."""
        names = sorted(file.name.removesuffix(self.ending) for file in (self.path / "labelsTr").glob(f"*{self.ending}"))
        found = [(name, channel) for name in names for channel in self.channels if self._image(name, channel).is_file()]
        if not found:
            raise UserError(f"{self.path}: no pair of imagesTr/NAME_0000{self.ending} and labelsTr/NAME{self.ending}")
        return found

    @cached_property
    def header(self) -> dict[str, Any]:
        """The contents of dataset.json."""
        file = self.path / "dataset.json"
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(
                f"{self.path}: is no dataset, it has no dataset.json; make one with viscera generate"
            ) from None
        except (OSError, ValueError) as error:
            raise UserError(f"{file}: not JSON ({error})") from None
        for key in ("channel_names", "labels"):
            if not isinstance(content.get(key), dict) or not content[key]:
                raise UserError(f"{file}: needs '{key}' as a mapping")
        return content

    @property
    def ending(self) -> str:
        """Of image and label files."""
        return self.header.get("file_ending", ".nii.gz")

    @cached_property
    def channels(self) -> dict[int, str]:
        """Modality by channel number."""
        return {int(number): modality_of(name) for number, name in self.header["channel_names"].items()}

    @cached_property
    def structures(self) -> dict[str, tuple[int, ...]]:
        """Label values by structure, background left out."""
        groups = {name: tuple(v) if isinstance(v, list) else (v,) for name, v in self.header["labels"].items()}
        return {name: values for name, values in groups.items() if values != (0,)}

    def __getitem__(self, index: int) -> Case:
        name, channel = self.entries[index]
        image, labels, grid = read_pair(self._image(name, channel), self.path / "labelsTr" / f"{name}{self.ending}")
        modality = self.channels[channel]
        return Case(f"{name}_{modality}", modality, grid, image, labels, self.structures, self.path.resolve().name)

    def _image(self, name: str, channel: int) -> Path:
        return self.path / "imagesTr" / f"{name}_{channel:04d}{self.ending}"


def modality_of(name: str) -> str:
    """`ct`, `mr` or `us` of a channel's name as datasets write it (`CT`, `MRI`, `T1`, `ultrasound`)."""
    word = name.lower()
    if word.startswith(("ct", "nonorm_ct")):
        return "ct"
    return "us" if word.startswith(("us", "ultra")) else "mr"
