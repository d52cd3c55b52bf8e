"""Figures of structures, against formulas and against SimpleITK."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from engine.grid import Grid
from engine.measure import COLUMNS, measure_organs
from engine.volume import Volume
from engine.voxelize import voxelize
from tests.engine.scenes import scene_of

C, S = np.cos(0.4), np.sin(0.4)
TURNED = (C, -S, 0.0, S, C, 0.0, 0.0, 0.0, 1.0)
THICK = Grid((44, 40, 14), (0.8, 1.0, 3.5), (-17.2, -19.5, -22.75))


def organ_of(body: dict, grid: Grid | None = None, size: int = 40) -> dict:
    return measure_organs(voxelize(scene_of(body, size=size), grid))[0]


def ellipsoid_area(a: float, b: float, c: float, n: int = 600) -> float:
    """Area of an ellipsoid by the midpoint rule over its angles."""
    t, p = np.meshgrid((np.arange(n) + 0.5) * np.pi / n, (np.arange(n) + 0.5) * 2 * np.pi / n)
    square = (b * c * np.sin(t) * np.cos(p)) ** 2 + (a * c * np.sin(t) * np.sin(p)) ** 2 + (a * b * np.cos(t)) ** 2
    return float((np.sin(t) * np.sqrt(square)).sum() * 2 * np.pi**2 / n**2)


@pytest.mark.parametrize(("radius", "volume", "area"), [(3.0, 0.01, 0.01), (6.0, 0.005, 0.01), (14.0, 0.002, 0.01)])
def test_ball(radius, volume, area):
    centre = (0.31, -0.22, 0.43)
    organ = organ_of({"kind": "sphere", "radius": radius, "at": centre})
    assert organ["volume_mm3"] == pytest.approx(4 / 3 * np.pi * radius**3, rel=volume)
    assert organ["surface_mm2"] == pytest.approx(4 * np.pi * radius**2, rel=area)
    for a, c in zip("xyz", centre, strict=True):
        assert organ[f"centroid_{a}_mm"] == pytest.approx(c, abs=0.01)
        assert organ[f"low_{a}_mm"] == pytest.approx(c - radius, abs=1)
        assert organ[f"high_{a}_mm"] == pytest.approx(c + radius, abs=1)
    assert [organ[f"axis_{i}_mm"] for i in (1, 2, 3)] == pytest.approx([2 * radius] * 3, rel=0.02)


@pytest.mark.parametrize("grid", [None, THICK, Grid(THICK.size, THICK.spacing, (-8.0, -24.5, -22.75), TURNED)])
def test_ellipsoid_on_any_grid(grid):
    body = {"kind": "ellipsoid", "radii": [14, 9, 11], "rotate": [20, 30, 40]}
    organ = organ_of(body, grid)
    assert organ["volume_mm3"] == pytest.approx(4 / 3 * np.pi * 14 * 9 * 11, rel=0.005)
    assert organ["surface_mm2"] == pytest.approx(ellipsoid_area(14, 9, 11), rel=0.04)
    assert [organ[f"centroid_{a}_mm"] for a in "xyz"] == pytest.approx([0, 0, 0], abs=0.03)
    assert [organ[f"axis_{i}_mm"] for i in (1, 2, 3)] == pytest.approx([28, 22, 18], rel=0.01)
    x, y, z = (np.radians(a) for a in (20, 30, 40))
    turn = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    turn = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]) @ turn
    turn = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]]) @ turn
    assert [organ[f"direction_{a}"] for a in "xyz"] @ turn[:, 0] == pytest.approx(1, abs=0.002)


@pytest.mark.parametrize("rotate", [[0, 0, 0], [10, 20, 30], [45, 0, 0]])
def test_box(rotate):
    organ = organ_of({"kind": "box", "size": [20, 14, 17], "at": [0.3, 0.2, -0.4], "rotate": rotate})
    assert organ["volume_mm3"] == pytest.approx(20 * 14 * 17, rel=0.01)
    assert organ["surface_mm2"] == pytest.approx(2 * (20 * 14 + 20 * 17 + 14 * 17), rel=0.04)
    edges = np.sqrt(5 / 3) * np.array([20, 17, 14])
    assert [organ[f"axis_{i}_mm"] for i in (1, 2, 3)] == pytest.approx(edges, rel=0.01)


def test_a_box_along_the_voxels_is_exact():
    organ = organ_of({"kind": "box", "size": [10, 8, 6]})
    assert organ["volume_mm3"] == 480
    assert organ["surface_mm2"] == pytest.approx(2 * (80 + 60 + 48))
    assert [organ[f"first_{a}_voxel"] for a in "xyz"] == [15, 16, 17]
    assert [organ[f"last_{a}_voxel"] for a in "xyz"] == [24, 23, 22]
    assert [organ[f"low_{a}_mm"] for a in "xyz"] == [-5, -4, -3]
    assert [organ[f"high_{a}_mm"] for a in "xyz"] == [5, 4, 3]
    assert (organ["parts"], organ["at_border"]) == (1, False)


def labelled(seed: int) -> Volume:
    """Whole voxels only, so that a label map knows as much as the volume: three nested bodies and scattered balls."""
    bodies = (
        {"kind": "ellipsoid", "radii": [17, 12, 15], "at": [2, 1, 0]},
        {"kind": "blob", "radius": 7, "seed": seed, "inside": "s0", "rotate": [10, 50, 0]},
        {"kind": "sphere", "radius": 2.5, "inside": "s0", "repeat": {"count": 3, "step": [9, 0, 0]}, "at": [-9, 0, 6]},
    )
    spacing, size = (0.9, 1.1, 2.0), (40, 36, 20)
    turn = np.reshape(TURNED, (3, 3))
    origin = -turn @ (0.5 * (np.array(size) - 1) * spacing)
    volume = voxelize(scene_of(*bodies), Grid(size, spacing, tuple(origin), TURNED))
    return Volume(volume.grid, volume.top, volume.top, torch.full_like(volume.coverage, 255), volume.structures)


def test_agrees_with_simpleitk():
    volume = labelled(3)
    for organ in measure_organs(volume):
        mask = volume.mask(organ["structure"], organ["children"]).cpu().numpy()
        image = sitk.GetImageFromArray(mask.astype(np.uint8))
        image.SetSpacing(volume.grid.spacing)
        image.SetOrigin(volume.grid.origin)
        image.SetDirection(volume.grid.direction)
        shape = sitk.LabelShapeStatisticsImageFilter()
        shape.Execute(image)
        assert organ["voxels"] == shape.GetNumberOfPixels(1)
        assert organ["volume_mm3"] == pytest.approx(shape.GetPhysicalSize(1))
        assert [organ[f"centroid_{a}_mm"] for a in "xyz"] == pytest.approx(shape.GetCentroid(1), abs=1e-6)
        box = [organ[f"first_{a}_voxel"] for a in "xyz"]
        box += [organ[f"last_{a}_voxel"] - organ[f"first_{a}_voxel"] + 1 for a in "xyz"]
        assert box == list(shape.GetBoundingBox(1))
        squares = sum(organ[f"axis_{i}_mm"] ** 2 / 20 for i in (1, 2, 3))
        blur = sum(s**2 / 12 for s in volume.grid.spacing)
        assert squares == pytest.approx(sum(shape.GetPrincipalMoments(1)) - blur)
        labels = sitk.ConnectedComponent(image, True)
        assert organ["parts"] == len(np.unique(sitk.GetArrayViewFromImage(labels))) - 1


def test_with_and_without_children():
    parent = {"kind": "sphere", "radius": 12, "label": 7}
    child = {"kind": "sphere", "radius": 5, "at": [4, 0, 0], "inside": "s0", "material": "water"}
    whole, shell, both, alone = measure_organs(voxelize(scene_of(parent, child)))
    assert [o["structure"] for o in (whole, shell, both, alone)] == ["s0", "s0", "s1", "s1"]
    assert [o["children"] for o in (whole, shell, both, alone)] == [True, False, True, False]
    assert whole["volume_mm3"] == pytest.approx(shell["volume_mm3"] + both["volume_mm3"])
    assert shell["surface_mm2"] == pytest.approx(4 * np.pi * (12**2 + 5**2), rel=0.01)
    assert {k: v for k, v in both.items() if k != "children"} == {k: v for k, v in alone.items() if k != "children"}
    assert (whole["label"], whole["tissue"], whole["parent"]) == (7, "liver", "")
    assert (both["tissue"], both["parent"]) == ("water", "s0")


def test_what_leaves_the_grid_and_what_is_not_there():
    out = {"kind": "sphere", "radius": 6, "at": [20, 0, 0]}
    beyond = {"kind": "sphere", "radius": 6, "at": [200, 0, 0]}
    cut, _, gone, _ = measure_organs(voxelize(scene_of(out, beyond)))
    assert cut["at_border"]
    assert cut["surface_mm2"] == pytest.approx(2 * np.pi * 6**2, rel=0.02)  # where the grid cuts it is no surface
    assert list(gone) == list(COLUMNS)
    assert (gone["voxels"], gone["volume_mm3"], gone["surface_mm2"], gone["parts"]) == (0, 0, 0, 0)
    assert gone["centroid_x_mm"] is gone["first_x_voxel"] is gone["axis_1_mm"] is None


def test_pieces_that_touch_at_a_corner_are_one():
    row = {"kind": "box", "size": [4, 4, 4], "repeat": {"count": 2, "step": [4, 4, 4]}}
    far = {"kind": "box", "size": [4, 4, 4], "at": [0, 0, -9], "repeat": {"count": 3, "step": [6, 0, 0]}}
    assert [o["parts"] for o in measure_organs(voxelize(scene_of(row, far)))] == [1, 1, 3, 3]
