"""Small cases and datasets for the trainer's tests."""

import json

import numpy as np

from engine.grid import Grid
from engine.io import write_image, write_labels
from trainer.baselines import ellipsoid
from trainer.cases import Case
from trainer.scores import MODEL, Score

NAMES = {"ball": 1, "core": 2}


def ball_case(size=(40, 36, 32), spacing=(1.0, 1.0, 2.0), seed=0, name="ball_mr", empty=False) -> Case:
    """A bright ball with a brighter core off the centre of a noisy volume; `core` lies inside `ball`."""
    grid = Grid.centred(size, spacing)
    nz, ny, nx = grid.shape
    z, y, x = np.mgrid[:nz, :ny, :nx].astype(np.float32)
    far = np.sqrt((x - 0.55 * nx) ** 2 + (y - 0.5 * ny) ** 2 + (2 * (z - 0.5 * nz)) ** 2)
    labels = (far < 0.36 * nx).astype(np.uint8) + (far < 0.18 * nx)
    labels = np.zeros_like(labels) if empty else labels.astype(np.uint8)
    image = 100.0 + 400.0 * (labels > 0) + 300.0 * (labels > 1)
    image = image + np.random.default_rng(seed).normal(0, 20, image.shape)
    return Case(name, "mr", grid, image.astype(np.float32), labels, {"ball": (1, 2), "core": (2,)})


def write_dataset(folder, count=3, empty=False):
    """An nnU-Net dataset of ball cases."""
    for i in range(count):
        case = ball_case(seed=i, empty=empty)
        write_image(folder / "imagesTr" / f"ball_{i:03d}_0000.nii.gz", case.image, case.grid)
        write_labels(folder / "labelsTr" / f"ball_{i:03d}.nii.gz", case.labels, case.grid)
    header = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "ball": [1, 2], "core": 2},
        "numTraining": count,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(header))
    return folder


def write_real(folder, count=2, spacing_mm=(1.0, 1.0, 2.0), modality="MR", mask_quality="expert", **header):
    """A set of scans: ball cases in images/ and labels/."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for i in range(count):
        case = ball_case(seed=i, spacing=spacing_mm)
        write_image(folder / "images" / f"ball_{i}.nii.gz", case.image, case.grid)
        write_labels(folder / "labels" / f"ball_{i}.nii.gz", case.labels, case.grid)
    labels = {"1": "shell", "2": "core", "7": "absent"}
    content = {"modality": modality, "dim": 3, "labels": labels, "mask_quality": mask_quality, **header}
    (folder / "dataset.json").write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
    return folder


def score_of(case, value, method=MODEL, structure="liver", dataset="a", modality="ct", unit="mm", **more) -> Score:
    """A score that is `value` by every overlap."""
    figures = {f"{where}_{what}": value for where in ("slice", "volume") for what in ("dice", "iou", "nsd")}
    return Score(
        case=case,
        modality=modality,
        structure=structure,
        protocol="box",
        method=method,
        slice_hd95=10 * (1 - value),
        volume_hd95=20 * (1 - value),
        seconds=more.pop("seconds", 1.0),
        dataset=dataset,
        unit=unit,
        **figures,
        **more,
    )


SCENE = """
viscera: 1
name: pair
seed: 1
grid: {size: [32, 32, 32], spacing: [2, 2, 2]}
background: water
structures:
  body: {kind: ellipsoid, material: fat, at: [{uniform: [-4, 4]}, 0, 0], radii: [24, 20, 22]}
  organ: {kind: sphere, material: liver, at: [6, 0, 0], radius: {uniform: [8, 11]}}
"""


def write_scene(folder):
    path = folder / "pair.yaml"
    path.write_text(SCENE)
    return path


def inscribed(mask: np.ndarray) -> np.ndarray:
    """The ellipsoid in the bounding box of a mask that is not empty."""
    positions = np.nonzero(mask)
    low, high = (tuple(float(pick(p)) for p in positions) for pick in (np.min, np.max))
    return ellipsoid(mask.shape, low, high)
