"""Results of a model: truth, prediction and prompt on the image, as the records that `viscera evaluate` writes say.

What a record holds is written in trainer/record.py; the image is read from where it lies.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import UserError
from engine.io import read_image, read_labels, same_place
from engine.picture import rgb_of
from viewer.places import KINDS, Mark
from viewer.sources import Several
from viewer.state import Position
from viewer.subject import Subject

_KIND = "result"
#: Where records lie in the folder of `viscera segment`'s files, of `viscera evaluate` and of `viscera run`.
_PLACES = ("*.json", "results/*.json", "*/results/*.json")
_SCORES = "scores.json"
_WIDER, _CLOSEST = 3.0, 4.0


def records_in(path: Path) -> list[Path]:
    """The records that a path stands for, the worst first; none where it stands for something else.

    Args:
        path: a record, its label map, or a folder with records.

    Raises:
        UserError: an evaluation whose results were not kept, or a record that is none.
    """
    if not path.is_dir():
        beside = path.with_name(path.name.removesuffix(".gz")).with_suffix(".json")
        own = beside.is_file() and _is_record(beside) and path.name in (beside.name, _read(beside).get("labels"))
        return [beside] if own else []
    files = [file for pattern in _PLACES for file in sorted(path.glob(pattern)) if _is_record(file)]
    if not files and any((path / part / _SCORES).is_file() for part in ("", "evaluate", "scans")):
        raise UserError(f"{path}: an evaluation that kept no results to view; its images must be in files of their own")
    return sorted(files, key=lambda file: _read(file).get("dice", 0.0))


def open_result(file: Path) -> Subject:
    """The subject of a record.

    Raises:
        UserError: the record is damaged, its image is gone, or the label map does not lie on it.
    """
    content = _read(file)
    try:
        return _subject(file, content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{file}: a damaged record ({error!r}); evaluate or segment again") from error


def results(files: Sequence[Path]) -> Several:
    """Records to leaf through, the worst first."""
    return Several("result", [partial(open_result, file) for file in files], "worst first")


def _subject(file: Path, content: dict[str, Any]) -> Subject:
    image = _image(file, content["image"])
    data, grid = read_image(image)
    labels, own = read_labels(file.with_name(content["labels"]))
    if not same_place(grid, own):
        raise UserError(f"{file}: {image} is not the image it was made of: its grid differs; evaluate or segment again")
    about = dict(enumerate(content["structures"].items(), start=1))
    marks = tuple(_mark(one) for one in content["marks"])
    subject = Subject.from_arrays(grid, {str(content["modality"]): data}, labels, name=str(content["title"]))
    return replace(
        subject,
        names={label: name for label, (name, _) in about.items()},
        colors={label: "#{:02x}{:02x}{:02x}".format(*rgb_of(one["color"])) for label, (_, one) in about.items()},
        members={label: frozenset(map(int, one["labels"])) for label, (_, one) in about.items()},
        hollow=frozenset(label for label, (_, one) in about.items() if one["hollow"]),
        parents={},
        holds={},
        marks=marks,
        notes=tuple(map(str, content["notes"])),
        focus=_focus(marks),
        zoom=_zoom(subject),
    )


def _image(file: Path, places: list[str]) -> Path:
    """The image's file, where it was or beside the record as it was."""
    candidates = [file.parent / place for place in places]
    found = next((place for place in candidates if place.exists()), None)
    if found is None:
        raise UserError(f"{file}: its image {candidates[0]} is gone; put it back, or evaluate or segment again")
    return found


def _mark(one: dict[str, Any]) -> Mark:
    points = tuple((float(x), float(y), float(z)) for x, y, z in one["points"])
    if one["kind"] not in KINDS or not points:
        raise ValueError(f"mark {one['kind']}")
    return Mark(one["kind"], points)


def _focus(marks: tuple[Mark, ...]) -> Position | None:
    """Where to look first: at the first click on the structure, else in the middle of what is marked."""
    if not marks:
        return None
    first = next((mark for mark in marks if mark.kind == "on"), marks[0])
    x, y, z = map(float, np.mean(first.points, axis=0))
    return x, y, z


def _zoom(subject: Subject) -> float:
    """How close to look so that what is labelled takes about a third of the picture's longer edge."""
    places = np.nonzero(np.asarray(subject.labels))
    if not len(places[0]):
        return 1.0
    voxels = np.array([int(np.ptp(along)) + 1 for along in reversed(places)])
    reach = float((voxels * subject.grid.spacing).max())
    return min(max(max(subject.grid.extent) / (_WIDER * reach), 1.0), _CLOSEST)


def _is_record(file: Path) -> bool:
    try:
        return _read(file).get("viscera") == _KIND
    except UserError:
        return False


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: not JSON ({error})") from error
    return content if isinstance(content, dict) else {}
