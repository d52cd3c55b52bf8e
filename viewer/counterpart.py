"""Sets of real scans and the scene and protocol of ours that come nearest to each, on a grid of the same voxels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import UserError
from engine.generate import draw
from engine.grid import IDENTITY, Grid, Vector
from engine.io import read_image
from engine.picture import Axis, slice_of, slice_spacing, upright, windows
from engine.render.protocols import PROTOCOLS
from engine.scene import Scene

SCENES = Path(__file__).parents[1] / "scenes"


@dataclass(frozen=True)
class Slices:
    """A stack of slices that are measured together.

    Args:
        name: of the scan or the draw.
        values: float32 `[n, h, w]`: HU, share of the brightest value (MR), grey 0..255 (ultrasound).
        pixel: (row, column) spacing, mm.
    """

    name: str
    values: np.ndarray
    pixel: tuple[float, float]


@dataclass(frozen=True)
class Counterpart:
    """A set of real scans and a scene of ours.

    Args:
        title: as pictures and tables call it.
        files: pattern of the scans below the folder of real data.
        modality, scene, protocol: ours; `protocol` holds the fields of the modality's protocol.
        size, spacing, centre, direction: of our grid: voxels, and mm as the real scans have them.
        tissue: values that are measured as tissue.
        shown: values from black to white.
        patch: pixels along the edge of a patch.
        plane: of the slices; span, rows: first and last slice and row of a scan that are measured, as shares of all.
        cut: columns and rows around the middle of our grid that are measured, where a scan's file is a part of it.
        stride: of the pixels in a scan whose file repeats them.
        pixel_mm: where a scan's file does not say.
        draws: of our scene.
    """

    title: str
    files: str
    modality: str
    scene: str
    protocol: Mapping[str, Any]
    size: tuple[int, int, int]
    spacing: Vector
    tissue: tuple[float, float]
    shown: tuple[float, float]
    centre: Vector = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = IDENTITY
    patch: int = 8
    plane: Axis = "axial"
    span: tuple[float, float] = (0.0, 1.0)
    rows: tuple[float, float] = (0.0, 1.0)
    cut: tuple[int, int] | None = None
    stride: int = 1
    pixel_mm: float | None = None
    draws: int = 3

    def ours(self) -> list[Slices]:
        """Our images, one for each draw."""
        scene = Scene.load(SCENES / f"{self.scene}.yaml")
        protocol = PROTOCOLS[self.modality].model_validate(self.protocol)
        scene = scene.model_copy(update={"acquire": [protocol]})
        middle = np.asarray(self.direction).reshape(3, 3) @ (0.5 * (np.array(self.size) - 1) * self.spacing)
        x, y, z = (float(c - m) for c, m in zip(self.centre, middle, strict=True))
        grid = Grid(self.size, self.spacing, (x, y, z), self.direction)
        found = []
        for index in range(self.draws):
            sample = draw(scene, scene.seed, index, (self.modality,), grid)
            data = sample.images[self.modality].data.cpu().numpy()
            if self.cut is not None:
                left, top = ((n - kept) // 2 for n, kept in zip(self.size, self.cut, strict=False))
                data = data[:, top : top + self.cut[1], left : left + self.cut[0]]
            found.append(self._slices(sample.name, data, self.spacing))
        return found

    def real(self, folder: Path) -> list[Slices]:
        """The real scans below `folder`; a UserError where there are none."""
        paths = sorted(folder.glob(self.files))
        if not paths:
            raise UserError(f"{folder}: holds no {self.files}; name the folder that the sets of real scans lie in")
        found = []
        for path in paths:
            data, grid = upright(*read_image(path))
            spacing = grid.spacing if self.pixel_mm is None else (self.pixel_mm, self.pixel_mm, 1.0)
            data = data[:, :: self.stride, :: self.stride]
            x, y, z = spacing
            found.append(self._slices(path.name.split(".")[0], data, (x * self.stride, y * self.stride, z), real=True))
        return found

    def _slices(self, name: str, data: np.ndarray, spacing: Vector, real: bool = False) -> Slices:
        """The slices of a volume `[z, y, x]` that are measured."""
        count = data.shape[("axial", "coronal", "sagittal").index(self.plane)]
        first, last = (round(share * count) for share in (self.span if real else (0.0, 1.0)))
        stack = np.stack([slice_of(data, self.plane, k) for k in range(first, max(last, first + 1))])
        top, bottom = (round(share * stack.shape[1]) for share in self.rows)
        if self.modality == "mr":
            stack = stack / windows(stack, "mr")["auto"][1]
        return Slices(name, stack[:, top:bottom], slice_spacing(spacing, self.plane))


#: Soft tissue in HU, blurred; and shares of an MR image's brightest value and grey levels that are no background.
_SOFT = (-30.0, 140.0)
_SIGNAL = (0.15, 1.2)
_GREY = (25.0, 220.0)
_ABDOMEN = (-160.0, 240.0)

#: The short axis of the scene's heart: left and back, down, towards the base.
_SHORT_AXIS = (0.82, 0.0, -0.572, 0.372, 0.759, 0.534, 0.434, -0.651, 0.6225)

COUNTERPARTS = (
    Counterpart(
        title="CT head and neck",
        files="openkbp_hn_ct3d/images/*.nii.gz",
        modality="ct",
        scene="neck",
        protocol={"modality": "ct", "kvp": 120, "kernel": "standard", "slice_mm": 3, "noise_hu": 10},
        size=(40, 40, 24),
        spacing=(4.6, 4.6, 3.0),
        tissue=_SOFT,
        shown=_ABDOMEN,
        patch=6,
        span=(0.3, 0.5),
    ),
    Counterpart(
        title="CT abdomen",
        files="msd_spleen_ct3d/images/*.nii.gz",
        modality="ct",
        scene="abdomen",
        protocol={"protocol": "ct-abdomen-portal-venous", "slice_mm": 7.5},
        size=(128, 96, 10),
        spacing=(3.17, 3.17, 7.5),
        tissue=_SOFT,
        shown=_ABDOMEN,
        span=(0.3, 0.7),
        stride=4,
    ),
    Counterpart(
        title="CT abdomen, 3 mm",
        files="totalseg_example_ct3d/images/example_ct_sm.nii.gz",
        modality="ct",
        scene="abdomen",
        protocol={"protocol": "ct-abdomen-portal-venous"},
        size=(128, 96, 12),
        spacing=(3.0, 3.0, 3.0),
        tissue=_SOFT,
        shown=_ABDOMEN,
    ),
    Counterpart(
        title="CT thigh (PET/CT)",
        files="ibsi_sts_ct3d/images/*.nii.gz",
        modality="ct",
        scene="leg",
        protocol={"protocol": "ct-abdomen-low-dose"},
        size=(180, 180, 12),
        spacing=(0.98, 0.98, 3.27),
        tissue=_SOFT,
        shown=_ABDOMEN,
        centre=(0.0, 0.0, -18.0),
    ),
    Counterpart(
        title="MR hippocampus, T1",
        files="msd_hippocampus_mr3d/images/*.nii.gz",
        modality="mr",
        scene="hippocampus",
        protocol={"protocol": "mr-mprage-3t"},
        size=(40, 50, 36),
        spacing=(1.0, 1.0, 1.0),
        tissue=_SIGNAL,
        shown=(0.0, 1.0),
        plane="sagittal",
        span=(0.2, 0.8),
        patch=6,
    ),
    Counterpart(  # water excited: fat and marrow dark
        title="MR neck, T1",
        files="sct_spinalcord_mr3d/images/t1.nii.gz",
        modality="mr",
        scene="neck",
        protocol={"protocol": "mr-mprage-3t", "fat_saturation": 0.9},
        size=(128, 176, 50),
        cut=(42, 76),
        spacing=(1.0, 1.0, 1.0),
        tissue=_SIGNAL,
        shown=(0.0, 1.0),
        centre=(0.0, 24.0, 10.0),
        patch=6,
    ),
    Counterpart(
        title="MR neck, T2",
        files="sct_spinalcord_mr3d/images/t2.nii.gz",
        modality="mr",
        scene="neck",
        protocol={"protocol": "mr-t2-fse-3t", "fat_saturation": 0.9},
        size=(128, 176, 50),
        cut=(52, 60),
        spacing=(1.0, 1.0, 1.0),
        tissue=(0.04, 1.2),
        shown=(0.0, 1.0),
        centre=(0.0, 24.0, 10.0),
        patch=6,
    ),
    Counterpart(
        title="MR neck, T2*",
        files="sct_spinalcord_mr3d/images/t2s_gm.nii.gz",
        modality="mr",
        scene="neck",
        protocol={"protocol": "mr-t2star-1.5t", "field_t": 3.0},
        size=(280, 280, 6),
        spacing=(0.5, 0.5, 7.5),
        tissue=_SIGNAL,
        shown=(0.0, 1.0),
        centre=(0.0, 0.0, 20.0),
    ),
    Counterpart(
        title="MR cine, short axis",
        files="sunnybrook_mr3d/images/*.nii.gz",
        modality="mr",
        scene="heart",
        protocol={"protocol": "mr-bssfp-1.5t"},
        size=(256, 256, 7),
        spacing=(1.4, 1.4, 8.0),
        tissue=(0.08, 1.2),
        shown=(0.0, 0.9),
        centre=(36.0, -28.0, -16.0),
        direction=_SHORT_AXIS,
        span=(0.3, 0.7),
    ),
    Counterpart(
        title="MR thigh, T1",
        files="ibsi_sts_mr3d/images/*.nii.gz",
        modality="mr",
        scene="leg",
        protocol={"protocol": "mr-t1-se-1.5t"},
        size=(180, 180, 12),
        spacing=(0.98, 0.98, 3.27),
        tissue=_SIGNAL,
        shown=(0.0, 1.0),
        centre=(0.0, 0.0, -18.0),
    ),
    Counterpart(
        title="US breast",
        files="busbra_us2d/images/*.png",
        modality="us",
        scene="breast",
        protocol={"protocol": "us-breast-l12", "depth_mm": 34, "offset_mm": -6},
        size=(380, 340, 3),
        spacing=(0.1, 0.1, 1.0),
        tissue=_GREY,
        shown=(0.0, 255.0),
        centre=(-12.0, -24.0, 8.0),
        patch=24,
        rows=(0.08, 0.62),
        pixel_mm=0.1,  # between the depth marks that some pictures show
    ),
)
