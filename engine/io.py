"""Images and label maps in files: NIfTI, NRRD, MetaImage, PNG, DICOM. Arrays `[z, y, x]`, grids LPS+ in mm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.atomic import replacing
from engine.errors import UserError
from engine.formats import dicom, nifti
from engine.formats.format import FORMATS, Format, Raw, discover, ending_of, unreadable
from engine.grid import Grid

discover()

#: Luminance of red, green and blue (ITU-R BT.601).
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
_NO_LABELS, _AN_IMAGE = "labels must be whole numbers, one a voxel", "is this an image?"
#: Grids count as one where no corner differs by more than this share of a voxel.
_SAME = 0.05


def read_image(path: str | Path) -> tuple[np.ndarray, Grid]:
    """The image in a file or in a folder with one DICOM series.

    Returns:
        Float32 `[z, y, x]` (HU for CT; colour becomes luminance; voxels that are not finite take the smallest finite
        value) and its grid. A picture is a volume one slice thick.

    Raises:
        UserError: the file is missing, damaged, of another kind, of four dimensions or without one finite voxel.
    """
    path = Path(path)
    array, grid = _read(path, labels=False)
    image = array[..., :3] @ LUMINANCE if array.ndim == 4 and array.shape[-1] >= 3 else array
    if image.ndim == 4:
        raise unreadable(path, f"each voxel holds {array.shape[-1]} values", "export one of them as an image")
    return _finite(path, image), grid


def _finite(path: Path, image: np.ndarray) -> np.ndarray:
    """The image as float32, every value finite."""
    if np.iscomplexobj(image):
        raise unreadable(path, "its values are complex numbers", "export the magnitude")
    image = np.ascontiguousarray(image, dtype=np.float32)
    finite = np.isfinite(image)
    if not finite.any():
        raise unreadable(path, "it holds no finite value")
    return image if finite.all() else np.where(finite, image, image[finite].min())


def read_labels(path: str | Path) -> tuple[np.ndarray, Grid]:
    """The label map in a file: whole numbers from 0, `[z, y, x]` (uint8 where they fit, else int32), and its grid."""
    path = Path(path)
    array, grid = _read(path, labels=True)
    if array.ndim == 4 and (array == array[..., :1]).all():
        array = array[..., 0]
    if array.ndim != 3:
        raise unreadable(path, _NO_LABELS, _AN_IMAGE)
    return _whole(path, array), grid


def _whole(path: Path, array: np.ndarray) -> np.ndarray:
    """Labels as integers of the smallest kind that holds them."""
    if not (np.isrealobj(array) and np.isfinite(array).all() and (array == np.rint(array)).all()):
        raise unreadable(path, _NO_LABELS, _AN_IMAGE)
    if array.min() < 0:
        raise unreadable(path, f"it holds the label {array.min():.0f}", "labels count from 0, the background")
    return np.ascontiguousarray(array, dtype=np.uint8 if array.max() <= 255 else np.int32)


def count_phases(path: str | Path) -> int:
    """How many volumes a NIfTI file has on its fourth axis; 1 for all else, files that cannot be read included."""
    path = Path(path)
    return nifti.count_phases(path) if path.is_file() and _is_nifti(path) else 1


def read_phases(path: str | Path, labels: bool = False) -> tuple[np.ndarray, Grid]:
    """Every volume of a NIfTI file of three or four dimensions, `[t, z, y, x]`, and their grid.

    Args:
        labels: they are label maps, read as by `read_labels`; else images, read as by `read_image`.

    Raises:
        UserError: as those do, and where the file is no NIfTI file.
    """
    path = Path(path)
    if path.is_file() and not _is_nifti(path):
        raise UserError(f"{path}: phases are read from NIfTI files alone (.nii, .nii.gz)")
    array, grid = _guarded(path, lambda: nifti.read_phases(path))
    return (_whole if labels else _finite)(path, array), grid


def _is_nifti(path: Path) -> bool:
    return ending_of(path) in nifti.FORMAT.endings


def read_pair(image: str | Path, labels: str | Path) -> tuple[np.ndarray, np.ndarray, Grid]:
    """An image and its label map, which must lie on one grid: (float32, integers, grid)."""
    data, grid = read_image(image)
    mask, other = read_labels(labels)
    if not same_place(grid, other):
        shown = [" x ".join(str(n) for n in g.size) for g in (other, grid)]
        raise UserError(
            f"{labels}: does not lie on the grid of {image} ({shown[0]} and {shown[1]} voxels, or another place); "
            "resample the labels to the image"
        )
    return data, mask, grid


def same_place(a: Grid, b: Grid) -> bool:
    """Whether two grids have the same voxels, up to rounding in files."""
    if a.size != b.size:
        return False
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in a.size])).reshape(3, -1).T
    return float(np.abs(a.to_world(corners) - b.to_world(corners)).max()) <= _SAME * min(a.spacing)


def write_image(path: str | Path, array: np.ndarray, grid: Grid, dtype: type | np.dtype = np.float32) -> Path:
    """Write an image `[z, y, x]`, whole or not at all; for integer `dtype`s values are rounded and clipped to fit."""
    return _write(Path(path), _as(np.asarray(array), np.dtype(dtype)), grid)


def write_labels(path: str | Path, array: np.ndarray, grid: Grid) -> Path:
    """Write a label map (or mask) `[z, y, x]` of values 0..255 as uint8, whole or not at all."""
    array = np.asarray(array)
    if array.size and (array.min() < 0 or array.max() > 255):
        raise ValueError(f"labels go from 0 to 255, got {array.min()} to {array.max()}")
    return _write(Path(path), array.astype(np.uint8), grid)


def write_phases(path: str | Path, array: np.ndarray, grid: Grid, description: str = "") -> Path:
    """Write phases `[t, z, y, x]`, or vectors `[t, z, y, x, 3]` in mm on LPS+ axes, as one NIfTI file, whole or not."""
    path = Path(path)
    if array.shape[1:4] != grid.shape:
        raise ValueError(f"phases {array.shape[1:4]} and grid {grid.shape} differ in shape")
    with replacing(path) as partial:
        nifti.write_phases(partial, array, grid, description)
    return path


def as_stored(array: np.ndarray, dtype: type | np.dtype) -> np.ndarray:
    """`array` as a file of `dtype` holds it: for integers, values are rounded and clipped to fit."""
    return _as(array, np.dtype(dtype))


def _read(path: Path, labels: bool) -> Raw:
    if path.is_dir():
        return _guarded(path, lambda: dicom.read_folder(path, labels))
    return _guarded(path, lambda: _format(path).read(path, labels))


def _guarded(path: Path, reads: Callable[[], Raw]) -> Raw:
    """What is read of a path; a UserError where it is not there, may not be opened or is too large."""
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    try:
        return reads()
    except PermissionError as error:
        raise UserError(f"{path}: cannot be opened; permission denied") from error
    except MemoryError as error:
        raise UserError(f"{path}: does not fit into memory; crop it or resample it coarser") from error


def _format(path: Path) -> Format:
    ending = ending_of(path)
    if ending is not None:
        return FORMATS[ending]
    if dicom.is_dicom(path):
        return FORMATS[".dcm"]
    raise UserError(f"{path}: not a kind of file that can be read; use {_listed(FORMATS)} or a DICOM folder")


def _listed(endings: dict[str, Format] | list[str]) -> str:
    return ", ".join(sorted(endings))


def _as(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind not in "iu":
        return array.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(array), limits.min, limits.max).astype(dtype)


def _write(path: Path, array: np.ndarray, grid: Grid) -> Path:
    if array.shape != grid.shape:
        raise ValueError(f"array {array.shape} and grid {grid.shape} differ in shape")
    ending = ending_of(path)
    write = FORMATS[ending].write if ending else None
    if write is None:
        writable = [e for e, f in FORMATS.items() if f.write]
        raise UserError(f"{path}: cannot write this kind of file; name it {_listed(writable)}")
    try:
        with replacing(path) as partial:
            write(partial, array, grid)
    except ValueError as error:
        raise UserError(f"{path}: cannot be written; {error}") from error
    return path
