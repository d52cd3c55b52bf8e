"""What a model can be evaluated on, found on disk: generated datasets, real sets, and folders of these."""

from __future__ import annotations

from pathlib import Path

from engine.errors import UserError
from trainer.cases import Folder
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
        raise UserError(
            f"{path}: holds no dataset: neither here nor in a folder below is a dataset.json beside imagesTr/ "
            "and labelsTr/ (make one with viscera generate) or beside images/ and labels/"
        )
    return datasets


def _open(path: Path) -> Dataset | None:
    if not (path / "dataset.json").is_file():
        return None
    if (path / "imagesTr").is_dir():
        return Folder(path)
    return RealSet(path) if (path / "images").is_dir() else None
