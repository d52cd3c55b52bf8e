"""What SimpleITK reads: calls that keep quiet, and the formats NRRD and MetaImage."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import SimpleITK as sitk

from engine.formats.format import Format, Raw, grid_from_lps, register, unreadable
from engine.grid import Grid

T = TypeVar("T")
_lock = threading.Lock()


def read(path: Path, labels: bool) -> Raw:
    """Voxels as stored and their grid."""
    return unpack(path, run(path, lambda: sitk.ReadImage(str(path))))


def run(path: Path, task: Callable[[], T]) -> T:
    """The task's result; what ITK says while it fails becomes the error, and nothing else is printed."""
    try:
        with _lock, _silence():
            return task()
    except RuntimeError as error:
        raise unreadable(path, _reason(error)) from error


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Send the process's standard error nowhere: ITK's readers write to it from C++, past Python and its settings."""
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def _reason(error: RuntimeError) -> str:
    text = str(error)
    if "Unable to determine ImageIO reader" in text:
        return "it is not a file of the kind its name says"
    if "does not exist" in text:
        return "a file that it needs is missing"
    if "MetaImageIO" in text and "File cannot be read" in text:
        return "it is cut short or damaged"
    return text.split("ERROR:")[-1]


def unpack(path: Path, image: sitk.Image) -> Raw:
    """Array and grid of an ITK image of two or three dimensions (or four, the last of length 1)."""
    dimensions, size = image.GetDimension(), image.GetSize()
    if dimensions > 3 and size[3:] != (1,) * (dimensions - 3):
        shown = " x ".join(str(n) for n in size)
        raise unreadable(path, f"it has {dimensions} dimensions ({shown})", "take one volume out of it first")
    array = sitk.GetArrayFromImage(image)
    channels = image.GetNumberOfComponentsPerPixel()
    x, y, z = (*size, 1)[:3]
    array = array.reshape((z, y, x) if channels == 1 else (z, y, x, channels))
    return array, _grid(path, image, (x, y, z))


def _grid(path: Path, image: sitk.Image, size: tuple[int, int, int]) -> Grid:
    n, kept = image.GetDimension(), min(image.GetDimension(), 3)
    affine = np.eye(4)
    direction = np.reshape(image.GetDirection(), (n, n))[:kept, :kept]
    affine[:kept, :kept] = direction * np.asarray(image.GetSpacing()[:kept])
    affine[:kept, 3] = image.GetOrigin()[:kept]
    return grid_from_lps(path, size, affine)


def pack(array: np.ndarray, grid: Grid) -> sitk.Image:
    """The ITK image of an array `[z, y, x]` on `grid`."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    return image


def write(path: Path, array: np.ndarray, grid: Grid) -> None:
    """Write `array` `[z, y, x]`, compressed; read back and compared, because ITK does not report a full disk."""
    image = pack(array, grid)
    run(path, lambda: sitk.WriteImage(image, str(path), useCompression=True))
    if not np.array_equal(read(path, False)[0], array):
        raise OSError("what was written does not read back")


register(Format("NRRD", (".nrrd",), read, write))
register(Format("MetaImage", (".mha",), read, write))
register(Format("split MetaImage or NRRD", (".mhd", ".nhdr"), read))
