"""NIfTI-1 and NIfTI-2, through nibabel.

ITK's reader fills what is missing of a truncated file with zeros and says nothing; here the checksum of compressed
files and the length of all are verified. Files are written without a time stamp, so equal volumes are equal bytes.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel import imageglobals
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from engine.formats.format import Format, Raw, grid_from_lps, register, unreadable
from engine.grid import Grid

#: Twice as fast as the default level, files 3 % larger.
_LEVEL = 4
#: What gzip and nibabel raise for files that are not what they should be.
_DAMAGED = (OSError, EOFError, zlib.error, ImageFileError, HeaderDataError, WrapStructError, ValueError, OverflowError)
_FLIP_XY = np.diag([-1.0, -1.0, 1.0, 1.0])


def read(path: Path, labels: bool) -> Raw:
    """Voxels as stored (scaled where the header says so) and the grid of the sform, else of the qform."""
    array, grid = _read(path, phases=False)
    return np.moveaxis(array, (0, 1, 2), (2, 1, 0)), grid


def read_phases(path: Path) -> Raw:
    """Every volume of a file of three or four dimensions, `[t, z, y, x]`, and the grid of each."""
    array, grid = _read(path, phases=True)
    return array.transpose(3, 2, 1, 0), grid


def count_phases(path: Path) -> int:
    """How many volumes a file has on its fourth axis; 1 where it has none, or is no NIfTI file that can be read."""
    try:
        with imageglobals.LoggingOutputSuppressor():
            shape: tuple[int, ...] = getattr(nib.load(path), "shape", ())
    except (*_DAMAGED, TypeError):
        return 1
    return shape[3] if len(shape) == 4 else 1


def _read(path: Path, phases: bool) -> Raw:
    """Voxels `[x, y, z]`, `[x, y, z, channel]` or, of phases, `[x, y, z, t]`, and their grid."""
    try:
        data = _inflated(path.read_bytes())
        with imageglobals.LoggingOutputSuppressor():
            image = _parse(data)
            array = _voxels(path, image, len(data), phases)
    except _DAMAGED as error:
        raise unreadable(path, error) from error
    x, y, z = array.shape[:3]
    return array, grid_from_lps(path, (x, y, z), _FLIP_XY @ np.asarray(image.affine, float))


def _inflated(data: bytes) -> bytes:
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def _parse(data: bytes) -> nib.Nifti1Image:
    """The image in `data`; the header's first word tells NIfTI-1 (348) from NIfTI-2 (540)."""
    first = data[:4]
    two = 540 in (int.from_bytes(first, "little"), int.from_bytes(first, "big"))
    return (nib.Nifti2Image if two else nib.Nifti1Image).from_bytes(data)


def _voxels(path: Path, image: nib.Nifti1Image, length: int, phases: bool) -> np.ndarray:
    """The array `[x, y, z]` or `[x, y, z, channel]`, of phases `[x, y, z, t]`; further axes must have length 1."""
    shape, dtype = image.shape, image.get_data_dtype()
    needed = int(image.header.get_data_offset()) + math.prod(shape) * dtype.itemsize
    if length < needed:
        raise ValueError(f"it is cut short: {length} bytes, {needed} expected")
    if math.prod(shape[3 + phases :]) > 1 or (phases and dtype.names):
        size = " x ".join(str(n) for n in shape)
        raise unreadable(path, f"it has {len(shape)} dimensions ({size})", "take one volume out of it first")
    array = np.asanyarray(image.dataobj)
    if dtype.names:  # RGB
        array = np.stack([array[name] for name in dtype.names[:3]], axis=-1)
        return array.reshape(*(*shape, 1, 1)[:3], 3)
    return array.reshape((*shape, 1, 1, 1)[: 3 + phases])


def write(path: Path, array: np.ndarray, grid: Grid, step: float = 1.0) -> None:
    """Write `array` `[z, y, x]`, or vectors `[z, y, x, component]`; compressed where the name ends in .gz.

    Where `step` is not 1, the values are whole numbers of steps, and readers multiply them by it.
    """
    image = _image(np.moveaxis(array, (0, 1, 2), (2, 1, 0)) if array.ndim == 3 else _vectors(array[None]), grid)
    if step != 1.0:
        image.header.set_slope_inter(step, 0.0)
    _store(path, image)


def packed(array: np.ndarray, grid: Grid, step: float = 1.0, start: float = 0.0) -> bytes:
    """A compressed file of `array` `[z, y, x]`, as small as can be; readers take `start` plus so many steps."""
    image = _image(array.transpose(2, 1, 0), grid)
    image.header.set_slope_inter(step, start)
    return gzip.compress(image.to_bytes(), mtime=0)


def write_phases(path: Path, array: np.ndarray, grid: Grid, description: str = "") -> None:
    """Write `array` `[t, z, y, x]` or, of vectors, `[t, z, y, x, 3]`.

    Phases lie on the file's fourth axis, 1 / n of a cycle apart.
    """
    image = _image(array.transpose(3, 2, 1, 0) if array.ndim == 4 else _vectors(array), grid)
    image.header["pixdim"][4] = 1.0 / len(array)
    image.header["descrip"] = description.encode()
    _store(path, image)


def _vectors(array: np.ndarray) -> np.ndarray:
    """Voxels `[x, y, z, t, component]` of vectors `[t, z, y, x, component]`."""
    return array.transpose(3, 2, 1, 0, 4)


def _image(voxels: np.ndarray, grid: Grid) -> nib.Nifti1Image:
    """An image of `voxels` `[x, y, z]`, with `[..., t]` and `[..., component]` after them where there are any.

    A vector's components stay as they are: ITK and ANTs take those of intent NIFTI_INTENT_VECTOR to be along LPS+ axes.
    """
    image = nib.Nifti1Image(voxels, grid.affine_ras, dtype=voxels.dtype)
    if voxels.ndim == 5:
        image.header.set_intent("vector")
    image.set_qform(grid.affine_ras, code=1)
    image.set_sform(grid.affine_ras, code=1)
    image.header.set_xyzt_units("mm")
    return image


def _store(path: Path, image: nib.Nifti1Image) -> None:
    data = image.to_bytes()
    path.write_bytes(gzip.compress(data, _LEVEL, mtime=0) if path.name.lower().endswith(".gz") else data)


FORMAT = register(Format("NIfTI", (".nii.gz", ".nii"), read, write))
