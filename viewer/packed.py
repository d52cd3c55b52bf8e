"""Images, labels and surfaces as compact text for a page: small files that NiiVue reads, in base64."""

from __future__ import annotations

import base64
import gzip
import math
import struct

import numpy as np
import pyvista as pv

from engine.formats import nifti
from engine.grid import Grid
from engine.picture import Window

#: One step of grey, where the modality has a unit: 1 HU, one of ultrasound's 256 greys.
_STEPS = {"ct": 1.0, "us": 1.0}
#: Elsewhere the image's default window has so many: four times as many as a screen shows.
_SHARES = 1000
_MOST_STEPS = 65534
#: Triangles that a surface keeps: this share of them, and this many where it has them.
_KEPT, _LEAST = 0.2, 500
#: The smallest edge of a voxel has at least so many steps of a surface's coordinates.
_PLACES = 64
_MZ3, _FACES_AND_POINTS = 0x5A4D, 3


def packed_image(data: np.ndarray, grid: Grid, modality: str, window: Window) -> str:
    """A NIfTI file of an image `[z, y, x]` in steps too small to be seen; voxels that are not finite take an end.

    Args:
        window: the image's default one, (low, high).
    """
    finite = data[np.isfinite(data)]
    low, high = float(finite.min()), float(finite.max())
    step = max(_STEPS.get(modality, (window[1] - window[0]) / _SHARES), (high - low) / _MOST_STEPS)
    start = step * np.floor(low / step)
    steps = np.rint((np.nan_to_num(data, nan=low, posinf=high, neginf=low) - start) / step)
    return _text(nifti.packed(steps.astype(np.min_scalar_type(int(steps.max()))), grid, step, start))


def packed_labels(labels: np.ndarray, grid: Grid) -> str:
    """A NIfTI file of labels `[z, y, x]`, 0..255."""
    return _text(nifti.packed(labels.astype(np.uint8), grid))


def packed_surface(mesh: pv.PolyData, grid: Grid) -> str:
    """An MZ3 file (github.com/neurolabusc/surf-ice) of a surface in LPS+ mm, with fewer triangles; it holds RAS+ mm."""
    share = max(_KEPT, _LEAST / mesh.n_cells)
    mesh = mesh.decimate(1 - share) if share < 1 else mesh
    faces = mesh.triangulate().regular_faces
    step = 2.0 ** math.floor(math.log2(min(grid.spacing) / _PLACES))  # a power of two compresses well
    points = np.rint(np.asarray(mesh.points, float) * (-1, -1, 1) / step) * step
    head = struct.pack("<HHIII", _MZ3, _FACES_AND_POINTS, len(faces), len(points), 0)
    return _text(gzip.compress(head + faces.astype("<i4").tobytes() + points.astype("<f4").tobytes(), mtime=0))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
