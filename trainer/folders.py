"""What a model can be evaluated on, found on disk: generated datasets, real sets, and folders of these."""

from __future__ import annotations

from pathlib import Path

from engine.errors import UserError
from trainer.cases import Folder
from trainer.layouts import LAYOUTS
from trainer.real import RealSet

Dataset = Folder | RealSet


def find(path: str | Path) -> list[Dataset]:
    """The dataset in a folder, or the datasets in its folders, in the order of their names.

    Raises:
        UserError: where there is none.
    """
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; give a dataset, or a folder of datasets")
    if one := _open(path):
        return [one]
    found = [_open(child) for child in sorted(path.iterdir()) if child.is_dir()]
    datasets = [one for one in found if one is not None]
    if not datasets:
        known = "; ".join(layout.looks for layout in LAYOUTS)
        raise UserError(
            f"{path}: holds no dataset (make one with viscera generate): neither here nor in a folder below is one of: "
            f"{known}; dataset.json with images and labels (real scans)"
        )
    return datasets


def _open(path: Path) -> Dataset | None:
    if (path / "dataset.json").is_file() and (path / "images").is_dir():
        return RealSet(path)
    return Folder(path) if any(layout.holds(path) for layout in LAYOUTS) else None
