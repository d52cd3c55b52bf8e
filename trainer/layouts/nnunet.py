"""nnU-Net v2's raw datasets: imagesTr/NAME_0000.nii.gz, labelsTr/NAME.nii.gz, dataset.json.

Several channels count as several images of the same labels. `file_ending` may be that of any format that can be read;
a picture (.png) is a volume of one slice. An entry of `labels` may be a list of values: a region; `ignore` is no
structure. Instead of the two folders, `dataset` may list the files: {NAME: {images: [...], label: ...}}
(https://github.com/MIC-DKFZ/nnUNet, documentation/dataset_format.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.formats.format import FORMATS
from engine.io import read_pair
from trainer.case import Case, modality_of, unwindowed
from trainer.layouts.layout import HEADER, Layout, read_header

_IMAGES, _LABELS = "imagesTr", "labelsTr"
_NOT_STRUCTURES = ("background", "ignore")
_PICTURES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Entry:
    """One channel of a case: where its image and its labels are."""

    name: str
    channel: int
    image: Path
    labels: Path


@dataclass(frozen=True)
class NnUnet(Layout):
    """A raw dataset of nnU-Net v2."""

    looks = "dataset.json with imagesTr and labelsTr (nnU-Net)"

    @staticmethod
    def holds(path: Path) -> bool:
        return any((path / name).exists() for name in (HEADER, _IMAGES, _LABELS))

    @cached_property
    def entries(self) -> list[Entry]:
        """Every image that has labels."""
        listed = self._listed() if "dataset" in self.header else self._found()
        entries = [entry for entry in listed if entry.image.is_file()]
        if not entries:
            raise UserError(
                f"{self.path}: no pair of {_IMAGES}/NAME_0000{self.ending} and {_LABELS}/NAME{self.ending} "
                f"('file_ending' in {HEADER} is {self.ending})"
            )
        return entries

    def read(self, index: int) -> Case:
        entry = self.entries[index]
        image, labels, grid = read_pair(entry.image, entry.labels)
        modality = self.channels[entry.channel]
        windowed = False
        if self.ending.lower() in _PICTURES:
            image, windowed = unwindowed(image, modality)
        name = f"{entry.name}_{modality}"
        return Case(name, modality, grid, image, labels, self.structures, windowed=windowed, file=entry.image)

    @cached_property
    def header(self) -> dict[str, Any]:
        """The contents of dataset.json."""
        file = self.path / HEADER
        content = read_header(self.path)
        if not content:
            raise UserError(
                f"{self.path}: has no {HEADER}, which names channels and labels; write one, such as "
                '{"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1}, "file_ending": ".nii.gz"}'
            )
        if "channel_names" not in content and "modality" in content:
            raise UserError(
                f"{file}: is of nnU-Net 1 or the Medical Segmentation Decathlon; convert the folder with nnU-Net 2's "
                "nnUNetv2_convert_MSD_dataset"
            )
        for key in ("channel_names", "labels"):
            if not isinstance(content.get(key), dict) or not content[key]:
                raise UserError(f"{file}: needs '{key}' as a mapping")
        return content

    @property
    def ending(self) -> str:
        """Of image and label files."""
        ending = str(self.header.get("file_ending", ".nii.gz"))
        if ending.lower() not in FORMATS:
            raise UserError(
                f"{self.path / HEADER}: file_ending '{ending}' cannot be read; convert the files to one of "
                f"{', '.join(sorted(FORMATS))}"
            )
        return ending

    @cached_property
    def channels(self) -> dict[int, str]:
        """Modality by channel number."""
        names = self.header["channel_names"]
        try:
            return {int(number): modality_of(str(name)) for number, name in names.items()}
        except ValueError:
            raise UserError(
                f"{self.path / HEADER}: channel_names: keys are the channels' numbers, such as "
                f'{{"0": "CT"}}, not {", ".join(map(repr, names))}'
            ) from None

    @cached_property
    def structures(self) -> dict[str, tuple[int, ...]]:
        """Label values by structure."""
        named = {name: v for name, v in self.header["labels"].items() if name not in _NOT_STRUCTURES}
        return {name: values for name, v in named.items() if (values := self._values(name, v)) != (0,)}

    def _values(self, name: str, given: Any) -> tuple[int, ...]:
        values = given if isinstance(given, list) else [given]
        if not values or any(not isinstance(v, int) for v in values):
            raise UserError(
                f"{self.path / HEADER}: labels: '{name}' is {given!r}; give a whole number, or a list of them for a "
                'region, such as {"background": 0, "organ": [1, 2], "tumour": 2}'
            )
        return tuple(values)

    def _found(self) -> Iterator[Entry]:
        labels = self.path / _LABELS
        for file in sorted(labels.glob(f"*{self.ending}")):
            name = file.name.removesuffix(self.ending)
            for channel in self.channels:
                yield Entry(name, channel, self.path / _IMAGES / f"{name}_{channel:04d}{self.ending}", file)

    def _listed(self) -> Iterator[Entry]:
        listed = self.header["dataset"]
        wrong = not isinstance(listed, Mapping) or any(
            not isinstance(files, Mapping) or "images" not in files or "label" not in files for files in listed.values()
        )
        if wrong:
            raise UserError(f"{self.path / HEADER}: dataset: needs NAME: {{images: [FILE, ...], label: FILE}}")
        for name, files in sorted(listed.items()):
            for channel, image in zip(self.channels, files["images"], strict=False):
                yield Entry(name, channel, self.path / image, self.path / files["label"])
