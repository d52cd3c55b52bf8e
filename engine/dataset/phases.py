"""A sample's cycle of motion: N phases in equal steps from 0, the sample itself, as NIfTI files beside the layout's.

    phases/NAME_0000.nii.gz      images (x, y, z, t), a file for each modality in the order of the channels
    phases/NAME_labels.nii.gz    labels (x, y, z, t), the dataset's
    displacement/NAME.nii.gz     u (x, y, z, t, 3), float32, mm along LPS+ axes; intent vector (1007)

`image_t(p) = image_0(p + u_t(p))`, p and u in mm, but for what is the scanner's: noise, coil shading, shadows and the
point-spread function of sound. ITK and what builds on it (SimpleITK, ANTs) takes the components of
intent 1007 as they are, along LPS+ (those of 1006 it would turn from RAS+), so a phase of the file is the
DisplacementFieldTransform that resamples phase 0 to phase t. Tools that think in RAS+ must turn the signs of x and y.
The layout's own images and labels hold phase 0 alone: phases of one patient are no independent cases, and would leak
between folds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.dataset.nnunet import DTYPES, ENDING
from engine.dataset.request import Request
from engine.generate import Sample, moved
from engine.grid import Grid
from engine.io import as_stored, write_phases

IMAGES, FIELDS = "phases", "displacement"
#: Fits the 80 bytes of NIfTI's description.
_MEANING = "u(p), mm, LPS+: phase t at p is phase 0 at p + u(p)"


@dataclass(frozen=True)
class Cycle:
    """All phases of a sample.

    Args:
        images: by modality, `[t, z, y, x]` as stored.
        labels: uint8 `[t, z, y, x]`, in the dataset's labels.
        displacement: float32 `[t, z, y, x, 3]`, mm, LPS+.
    """

    images: dict[str, np.ndarray]
    labels: np.ndarray
    displacement: np.ndarray


def draw_cycle(sample: Sample, request: Request) -> Cycle:
    """Every phase of `sample`, which is the first."""
    grid = sample.volume.grid
    images: dict[str, list[np.ndarray]] = {modality: [] for modality in request.modalities}
    labels = []
    fields = np.zeros((request.phases, *grid.shape, 3), np.float32)
    for t in range(request.phases):
        moment = moved(sample, t / request.phases) if t else sample
        for modality, image in moment.images.items():
            dtype = DTYPES.get(image.unit, np.float32)
            images[modality].append(as_stored(image.data.cpu().numpy(), dtype))
        labels.append(request.table.relabel(moment.volume))
        if moment.volume.displacement is not None:
            fields[t] = moment.volume.displacement.cpu().numpy()
    return Cycle({modality: np.stack(each) for modality, each in images.items()}, np.stack(labels), fields)


def save(root: Path, sample: Sample, cycle: Cycle, request: Request) -> None:
    """Write the files of a cycle below `root`."""
    grid: Grid = sample.volume.grid
    for channel, modality in enumerate(request.modalities):
        write_phases(root / IMAGES / f"{sample.name}_{channel:04d}{ENDING}", cycle.images[modality], grid)
    write_phases(root / IMAGES / f"{sample.name}_labels{ENDING}", cycle.labels, grid)
    write_phases(root / FIELDS / f"{sample.name}{ENDING}", cycle.displacement, grid, _MEANING)
