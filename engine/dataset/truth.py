"""What a dataset may hold of the truth beside its labels, in a folder for each volume: truth/NAME/.

| kind | files | values |
|---|---|---|
| `coverage` | coverage.nii.gz, under.nii.gz | share of its label in a voxel, 1/255; label of what fills the rest |
| `organs` | organs.csv | a row for each structure with and without its children, see engine/measure.py |
| `distance` | distance_STRUCTURE.nii.gz | mm to the surface in steps of 0.01, negative inside, +-327.67 at most |
| `noiseless` | noiseless_MODALITY.nii.gz | the image without the receiver's noise (speckle stays), in float32 |
| `normals` | normals_STRUCTURE.nii.gz | unit vector out of it (x, y, z on LPS+ axes), zero 2 voxels off its surface |

Distances and normals are those of a structure with what lies inside it, and are written for every structure that has a
surface in the volume. The step of distances is in the header (scl_slope), so that readers give mm. Normals are one
vector a voxel (NIfTI's fifth axis), float32, because ITK cannot read scaled vectors.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from engine.atomic import write_text
from engine.distance import directions, signed_distance
from engine.formats import nifti
from engine.generate import Sample, noiseless
from engine.io import write_image, write_labels
from engine.measure import COLUMNS, measure_organs
from engine.volume import Volume

if TYPE_CHECKING:
    from engine.dataset.request import Request

FOLDER = "truth"
#: mm that one step of stored distances stands for.
_STEP_MM = 0.01
#: Normals are rounded to 1 / this, so that files compress.
_PARTS = 4096
#: Voxels from the surface within which normals are kept.
_BAND = 2.0


def _coverage(folder: Path, sample: Sample, request: Request) -> None:
    volume = sample.volume
    write_labels(folder / "coverage.nii.gz", volume.coverage.cpu().numpy(), volume.grid)
    write_labels(folder / "under.nii.gz", request.table.relabel(volume, volume.under), volume.grid)


def _organs(folder: Path, sample: Sample, request: Request) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["case", *organ_columns()], lineterminator="\n")
    writer.writeheader()
    for organ in measure_organs(sample.volume):
        members = request.table.members if organ["children"] else request.table.own
        labels = " ".join(map(str, members(organ["structure"])))
        figures = {k: _figure(v) for k, v in organ.items() if k != "label"}
        writer.writerow({"case": sample.name, "labels": labels, **figures})
    write_text(folder / "organs.csv", text.getvalue())


def organ_columns() -> dict[str, str]:
    """Columns of organs.csv but the first, which is the volume's name, and what they mean."""
    labels = {"labels": "that make it up in the label map, separated by spaces"}
    return {
        k: v for name, meaning in COLUMNS.items() for k, v in (labels if name == "label" else {name: meaning}).items()
    }


def _figure(value: object) -> object:
    return f"{value:.7g}" if isinstance(value, float) else value


def _distance(folder: Path, sample: Sample, request: Request) -> None:
    for name, distance in _surfaces(sample.volume):
        steps = torch.clamp(torch.round(distance / _STEP_MM), -32767, 32767).to(torch.int16)
        _write(folder / f"distance_{name}.nii.gz", steps, sample.volume, _STEP_MM)


def _normals(folder: Path, sample: Sample, request: Request) -> None:
    volume = sample.volume
    for name, distance in _surfaces(volume):
        near = distance.abs() <= _BAND * max(volume.grid.spacing)
        vectors = torch.where(near[..., None], directions(distance, volume.grid), 0.0)
        _write(folder / f"normals_{name}.nii.gz", torch.round(vectors * _PARTS) / _PARTS, volume)


def _noiseless(folder: Path, sample: Sample, request: Request) -> None:
    for modality, image in noiseless(sample).items():
        write_image(folder / f"noiseless_{modality}.nii.gz", image.data.cpu().numpy(), image.grid)


def _surfaces(volume: Volume) -> Iterator[tuple[str, torch.Tensor]]:
    """Every structure that has a surface, and the signed distance to it."""
    for name in volume.names():
        distance = signed_distance(volume, name)
        if bool(torch.isfinite(distance).any()):
            yield name, distance


def _write(path: Path, values: torch.Tensor, volume: Volume, step: float = 1.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nifti.write(path, values.cpu().numpy(), volume.grid, step)


Writer = Callable[[Path, Sample, "Request"], None]

#: Kinds of truth that `--truth` may name.
TRUTHS: dict[str, Writer] = {
    "coverage": _coverage,
    "organs": _organs,
    "distance": _distance,
    "normals": _normals,
    "noiseless": _noiseless,
}


def save(root: Path, sample: Sample, request: Request) -> None:
    """Write what the request asks for below `root`."""
    for kind in request.truth:
        TRUTHS[kind](root / FOLDER / sample.name, sample, request)


def misnamed(names: list[str]) -> list[str]:
    """Structures that cannot be parts of file names."""
    return [name for name in names if not all(c.isalnum() or c in "_-. " for c in name)]
