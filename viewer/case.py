"""One case of an nnU-Net dataset: all its channels, and its labels as named structures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.dataset import headers, phases
from engine.errors import UserError
from engine.grid import Grid
from engine.io import read_image, read_labels, same_place
from viewer.moments import Moments, moments_of
from viewer.subject import Subject


def cases_of(root: Path) -> list[str]:
    """The names of the cases in a dataset's folder, at least one."""
    names = sorted(file.name.rpartition("_0000.")[0] for file in (root / "imagesTr").glob("*_0000.*"))
    if not names:
        raise UserError(f"{root}: the dataset holds no image in imagesTr; generate it first")
    return names


def open_case(root: Path, name: str) -> Subject:
    """A case with its channels as images; colours and nesting where Viscera made the dataset."""
    facts = _read_json(root / "dataset.json")
    ending = facts.get("file_ending", ".nii.gz")
    images: dict[str, np.ndarray] = {}
    grid = None
    for channel, title in facts.get("channel_names", {}).items():
        file = root / "imagesTr" / f"{name}_{int(channel):04d}{ending}"
        data, own = read_image(file)
        if grid is not None and not same_place(grid, own):
            raise UserError(f"{file}: lies on another grid than the case's first image; resample it")
        grid = grid or own
        images[str(title).lower()] = data
    if grid is None:
        raise UserError(f"{root / 'dataset.json'}: names no channel under 'channel_names'")
    file = root / "labelsTr" / f"{name}{ending}"
    if not file.exists():
        return Subject.from_arrays(grid, images, name=name)
    labels, own = read_labels(file)
    if not same_place(grid, own):
        raise UserError(f"{file}: lies on another grid than the case's images; resample it")
    table = structure_table(facts.get("labels", {}))
    own_label = {title: min(own) for title, own in table.items()}
    about = facts.get("viscera", {}).get("structures", {})
    subject = Subject.from_arrays(
        grid,
        images,
        merge(labels, table),
        {label: title for title, label in own_label.items()},
        {own_label[title]: entry["color"] for title, entry in about.items() if title in own_label},
        _parents(about, own_label),
        name,
    )
    subject = replace(subject, moments=_moments(root, name, ending, list(images), grid, table))
    known = {modality: meta for modality, meta in headers.read(root, name).items() if modality in images}
    try:
        return subject.scanned(known, grid)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{root}: the header of {name} is damaged ({error!r}); generate the dataset again") from error


def _moments(
    root: Path, name: str, ending: str, modalities: list[str], grid: Grid, table: Mapping[str, list[int]]
) -> Moments | None:
    """The phases that `viscera generate --phases` wrote beside a case."""
    folder = root / phases.IMAGES
    files = {m: folder / f"{name}_{channel:04d}{ending}" for channel, m in enumerate(modalities)}
    if not all(file.is_file() for file in files.values()):
        return None
    return moments_of(grid, files, folder / f"{name}_labels{ending}", lambda labels: merge(labels, table))


def structure_table(labels: Mapping[str, int | list[int]]) -> dict[str, list[int]]:
    """The label values that show each structure, from the `labels` of a dataset.json.

    A region is a list of values; nnU-Net paints regions in their order, so a value shows the last one that lists it.
    """
    shown: dict[int, str] = {}
    for name, values in labels.items():
        shown.update(dict.fromkeys(values if isinstance(values, list) else [values], name))
    return {name: own for name in labels if (own := sorted(v for v, owner in shown.items() if owner == name and v))}


def merge(labels: np.ndarray, table: Mapping[str, list[int]]) -> np.ndarray:
    """The label map with the values of each structure made one, the smallest."""
    merged = labels.astype(np.int32)
    for values in table.values():
        if len(values) > 1:
            merged[np.isin(labels, values)] = min(values)
    return merged


def _parents(about: Mapping[str, Any], own_label: Mapping[str, int]) -> dict[int, int]:
    """Labels by the label of the first structure they are declared to lie inside."""
    inside = {title: entry["inside"][0] for title, entry in about.items() if entry["inside"]}
    pairs = [(child, above) for child, above in inside.items() if child in own_label and above in own_label]
    return {own_label[child]: own_label[above] for child, above in pairs}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path}: is not JSON ({error}); generate the dataset again") from error
