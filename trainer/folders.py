"""What a model can be evaluated on, found on disk: a dataset, or a folder of datasets."""

from __future__ import annotations

from pathlib import Path

from engine.errors import UserError
from trainer.cases import Folder
from trainer.layouts import LAYOUTS


def find(path: str | Path) -> list[Folder]:
    """The dataset in a folder, or the datasets in its folders, in the order of their names.

    Raises:
        UserError: where there is none.
    """
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; give a dataset, or a folder of datasets")
    if _holds(path):
        return [Folder(path)]
    found = [Folder(child) for child in sorted(path.iterdir()) if child.is_dir() and _holds(child)]
    if not found:
        known = "; ".join(layout.looks for layout in LAYOUTS)
        raise UserError(
            f"{path}: holds no dataset (make one with viscera generate): neither here nor in a folder below is one of: "
            f"{known}"
        )
    return found


def _holds(path: Path) -> bool:
    return any(layout.holds(path) for layout in LAYOUTS)
