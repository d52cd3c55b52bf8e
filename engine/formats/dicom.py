"""DICOM: single files and folders that hold one series.

pydicom reads the headers and puts the slices in order along their normal; SimpleITK decodes the pixels (it knows the
compressed transfer syntaxes) and applies each slice's rescale slope and intercept.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.errors import InvalidDicomError

from engine.errors import UserError
from engine.formats import itk
from engine.formats.format import Format, Raw, grid_from_lps, register, unreadable

_TAGS = (
    "SeriesInstanceUID SeriesDescription SeriesNumber Rows Columns NumberOfFrames PixelSpacing "
    "ImageOrientationPatient ImagePositionPatient".split()
)
#: Steps between slices may differ by this share before a slice counts as missing.
_UNEVEN = 0.2


@dataclass(frozen=True)
class Slice:
    """The header of one file: what places it."""

    path: Path
    header: pydicom.Dataset

    @property
    def series(self) -> str:
        return str(self.header.get("SeriesInstanceUID", ""))

    @property
    def position(self) -> np.ndarray:
        """Centre of the first pixel, mm, LPS+."""
        return np.asarray(self.header.ImagePositionPatient, float)

    @property
    def orientation(self) -> np.ndarray:
        """Directions (2, 3) in which columns and rows are counted."""
        return np.asarray(self.header.ImageOrientationPatient, float).reshape(2, 3)


def is_dicom(path: Path) -> bool:
    """Whether a file says that it is DICOM, whatever its name."""
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


def read(path: Path, labels: bool) -> Raw:
    """The volume of a single file."""
    return itk.unpack(path, itk.run(path, lambda: sitk.ReadImage(str(path))))


def read_folder(folder: Path, labels: bool) -> Raw:
    """The volume of the one series in `folder`."""
    slices = [s for file in sorted(folder.iterdir()) if file.is_file() and (s := _header(file))]
    if not slices:
        raise UserError(f"{folder}: no DICOM image in this folder; name a file, or the folder that holds the series")
    _check_one_series(folder, slices)
    if len(slices) == 1:
        return read(slices[0].path, labels)
    ordered, step = _in_order(folder, slices)
    return _decode(folder, ordered), grid_from_lps(folder, _size(ordered), _affine(ordered[0], step))


def _header(path: Path) -> Slice | None:
    """The file's header, or None where it is no DICOM image."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
    except (InvalidDicomError, EOFError):
        return None
    except Exception as error:  # pydicom raises many kinds for damaged headers
        raise unreadable(path, error) from error
    return Slice(path, header) if "Rows" in header else None


def _check_one_series(folder: Path, slices: list[Slice]) -> None:
    ordered = sorted(slices, key=lambda s: s.series)
    groups = {uid: list(members) for uid, members in groupby(ordered, key=lambda s: s.series)}
    if len(groups) > 1:
        listed = "; ".join(
            f"{members[0].header.get('SeriesDescription') or 'series ' + uid} ({len(members)} files)"
            for uid, members in list(groups.items())[:6]
        )
        raise UserError(f"{folder}: holds {len(groups)} series: {listed}; put the one you want into its own folder")


def _in_order(folder: Path, slices: list[Slice]) -> tuple[list[Slice], np.ndarray]:
    """The slices from first to last along their normal, and the mean step (3,) in mm from one to the next."""
    advice = "export the series again, without localisers"
    for s in slices:
        if any(tag not in s.header for tag in ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing")):
            raise unreadable(s.path, "it does not say where in the patient it lies", advice)
    shapes = {(s.header.Rows, s.header.Columns) for s in slices}
    across, down = slices[0].orientation
    tilted = max(float(np.abs(s.orientation - slices[0].orientation).max()) for s in slices)
    if len(shapes) > 1 or tilted > 1e-3:
        raise unreadable(folder, "its slices differ in size or orientation", advice)
    normal = np.cross(across, down)
    ordered = sorted(slices, key=lambda s: float(s.position @ normal))
    steps = np.diff([float(s.position @ normal) for s in ordered])
    if steps.min() <= 1e-3:
        raise unreadable(folder, "several slices lie at one place (phases or echoes?)", "keep one phase in the folder")
    if steps.max() > (1 + _UNEVEN) * np.median(steps):
        gap = f"the step between slices goes from {steps.min():.2f} to {steps.max():.2f} mm"
        raise unreadable(folder, f"a slice is missing: {gap}", advice)
    return ordered, (ordered[-1].position - ordered[0].position) / (len(ordered) - 1)


def _size(slices: list[Slice]) -> tuple[int, int, int]:
    header = slices[0].header
    return int(header.Columns), int(header.Rows), len(slices)


def _affine(first: Slice, step: np.ndarray) -> np.ndarray:
    """Index-to-world matrix; the third axis follows the slices even where the gantry was tilted."""
    row_mm, column_mm = (float(v) for v in first.header.PixelSpacing)
    across, down = first.orientation
    affine = np.eye(4)
    affine[:3, :3] = np.stack([across * column_mm, down * row_mm, step], axis=1)
    affine[:3, 3] = first.position
    return affine


def _decode(folder: Path, slices: list[Slice]) -> np.ndarray:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(s.path) for s in slices])
    reader.SetOutputPixelType(sitk.sitkFloat32)  # slices may have rescale slopes of their own
    return sitk.GetArrayFromImage(itk.run(folder, reader.Execute))


register(Format("DICOM", (".dcm", ".ima"), read))
