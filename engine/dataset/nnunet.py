"""nnU-Net v2's layout: imagesTr/NAME_0000.nii.gz (a channel for each modality), labelsTr/NAME.nii.gz, dataset.json.

A structure that holds others is a region (a list of labels), so that an organ is itself and what lies in it, as
nnU-Net's region-based training reads it (https://github.com/MIC-DKFZ/nnUNet, documentation/region_based_training.md).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.dataset.layout import Layout, register
from engine.generate import Sample
from engine.io import write_image, write_labels

if TYPE_CHECKING:
    from engine.dataset.request import Request

ENDING = ".nii.gz"
#: How values of a unit are stored. Scanners store whole numbers too; an MR signal of 1000 is rounded to 0.1 %.
DTYPES: dict[str, type] = {"HU": np.int16, "a.u.": np.int16, "grey": np.uint8}


def save(root: Path, sample: Sample, request: Request) -> None:
    """Images and labels."""
    volume = sample.volume
    for channel, modality in enumerate(request.modalities):
        image = sample.images[modality]
        path = root / "imagesTr" / f"{sample.name}_{channel:04d}{ENDING}"
        write_image(path, image.data.cpu().numpy(), image.grid, DTYPES.get(image.unit, np.float32))
    write_labels(root / "labelsTr" / f"{sample.name}{ENDING}", request.table.relabel(volume), volume.grid)


def header(request: Request) -> dict[str, Any]:
    """nnU-Net's own entries."""
    names, members = request.table.top_down(), request.table.members
    # nnU-Net paints regions in the order of the entries: the outer ones first
    labels = {name: members(name) if len(members(name)) > 1 else members(name)[0] for name in names}
    nested = any(isinstance(value, list) for value in labels.values())
    return {
        "channel_names": {str(i): modality.upper() for i, modality in enumerate(request.modalities)},
        "labels": {"background": 0, **labels},
        **({"regions_class_order": [members(name)[0] for name in names]} if nested else {}),
        "file_ending": ENDING,
    }


register("nnunet", Layout(save, header, ("imagesTr", "labelsTr")))
