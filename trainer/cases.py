"""Where cases come from: samples drawn in memory, and datasets on disk in any layout of `trainer.layouts`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from engine.errors import UserError
from engine.generate import Sample
from trainer.case import MODALITIES, Case
from trainer.layouts import LAYOUTS, Layout

__all__ = ["MODALITIES", "Case", "Folder", "cases_of", "open_dataset"]


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


def open_dataset(path: str | Path) -> Folder:
    """The dataset in a folder, its layout recognised and its files listed.

    Raises:
        UserError: the folder is missing, empty, of no known layout, or lacks images or masks.
    """
    folder = Folder(Path(path))
    len(folder)
    return folder


@dataclass(frozen=True)
class Folder:
    """A dataset on disk. Its layout is recognised at the first use; files are read when a case is asked for."""

    path: Path

    def __len__(self) -> int:
        return len(self.layout.entries)

    def __iter__(self) -> Iterator[Case]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> Case:
        return replace(self.layout.read(index), dataset=self.path.resolve().name)

    @cached_property
    def layout(self) -> Layout:
        """How the folder holds its cases: the first layout that recognises it."""
        if not self.path.is_dir():
            what = "is a file; name the dataset's folder" if self.path.exists() else "no such folder"
            raise UserError(f"{self.path}: {what}")
        if not any(self.path.iterdir()):
            raise UserError(f"{self.path}: the folder is empty; make a dataset with viscera generate")
        found = next((layout for layout in LAYOUTS if layout.holds(self.path)), None)
        if found is None:
            known = "; ".join(layout.looks for layout in LAYOUTS)
            raise UserError(f"{self.path}: has no dataset that can be read; there is none of: {known}")
        return found(self.path)
