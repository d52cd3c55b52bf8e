"""The gap to neighbours, against distances known by formula and those between voxels."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from engine import clearance
from engine.compile import compile_scene, rotation
from engine.voxelize import voxelize
from tests.engine.scenes import scene_of

AROUND = {"kind": "box", "size": [60, 60, 60]}
ROUGH = {
    "ellipsoid": {"kind": "ellipsoid", "radii": [14, 10, 6], "rotate": [10, 40, 20]},
    "blob": {"kind": "blob", "radius": 9, "roughness": 0.6, "seed": 3},
    "noise": {
        "kind": "ellipsoid",
        "radii": [12, 9, 14],
        "deform": [{"noise": {"amplitude": 1.5, "wavelength": 12, "seed": 2}}],
    },
    "warp": {
        "kind": "ellipsoid",
        "radii": [13, 10, 9],
        "deform": [{"warp": {"amplitude": 3, "wavelength": 25, "seed": 1}}],
    },
    "blend": {
        "kind": "blend",
        "smooth": 4,
        "parts": [
            {"kind": "ellipsoid", "radii": [13, 7, 8]},
            {"kind": "sphere", "radius": 7, "at": [5, 7, 0]},
            {"kind": "box", "op": "subtract", "size": [6, 6, 30]},
        ],
    },
    "bent": {
        "kind": "tube",
        "points": [[0, 0, 0]],
        "length": 24,
        "radius": 5,
        "deform": [{"bend": {"radius": 90}}, {"twist": {"rate": 8}}],
    },
    "pair": {"kind": "blob", "radius": 6, "roughness": 0.4, "seed": 2, "at": [8, 2, 0], "mirror": {"axis": "x"}},
}


@pytest.mark.parametrize("kind", ROUGH)
@pytest.mark.parametrize("mm", [1.0, 4.0])
def test_gaps_are_as_wide_as_asked(kind, mm):
    """By a distance transform on voxels of half a millimetre."""
    volume = voxelize(scene_of(ROUGH[kind], {**AROUND, "gap": {"to": "s0", "mm": mm}}, size=96, spacing=0.5))
    away = ndimage.distance_transform_edt(~volume.mask("s0").cpu().numpy(), 0.5)
    kept = volume.mask("s1").cpu().numpy()
    width = away[kept & (ndimage.distance_transform_edt(kept, 0.5) <= 0.5)]
    assert width.min() >= mm - 0.25 * np.sqrt(3)
    # where a surface begins at the middle of a voxel, it is half a voxel too far on average
    assert mm - 0.1 < width.mean() - 0.25 < 1.15 * mm + 0.1


def test_the_distance_to_a_box_is_its_own():
    """The field of a gap is mm - n: against the formula, at points in and around the gap."""
    mm, half, turn = 3.0, np.array([9.0, 6.0, 7.0]), rotation([20, 30, 40])
    box = {"kind": "box", "size": (2 * half).tolist(), "rotate": [20, 30, 40]}
    program, _ = compile_scene(scene_of(box, {**AROUND, "gap": {"to": "s0", "mm": mm}}))
    points = np.random.default_rng(0).uniform(-18, 18, (40_000, 3))
    q = np.abs(points @ turn) - half
    truth = np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0)
    found = mm - program.evaluate(points, 1)
    level = np.abs(truth - mm) < 0.5
    error = (found - truth)[level]
    assert error.max() < 0.2
    assert error.min() > -0.5
    assert np.abs(error).mean() < 0.05
    assert (found[truth < 0.5 * mm] < mm).all()


def test_the_distance_to_an_ellipsoid_is_not_that_of_its_field():
    """Its field rises by 0.3 mm per mm along the long axis."""
    radii, mm = np.array([20.0, 12.0, 6.0]), 4.0
    program, _ = compile_scene(
        scene_of({"kind": "ellipsoid", "radii": radii.tolist()}, {**AROUND, "gap": {"to": "s0", "mm": mm}}, size=64)
    )
    rng = np.random.default_rng(1)
    u = rng.normal(size=(400_000, 3))
    surface = radii * u / np.linalg.norm(u, axis=1, keepdims=True)
    points = rng.uniform(-22, 22, (4000, 3)) * [1, 0.8, 0.5]
    points = points[((points / radii) ** 2).sum(axis=1) > 1]
    truth = cKDTree(surface).query(points)[0]
    error = (mm - program.evaluate(points, 1) - truth)[np.abs(truth - mm) < 1]
    assert len(error) > 100
    assert np.abs(error).max() < 0.15


@pytest.mark.parametrize(
    ("neighbour", "body", "volume"),
    [
        # the neighbour has no end, the body has none, neither has one
        ({"kind": "slab", "thickness": 10}, {"kind": "box", "size": [20, 20, 20], "at": [0, 0, 13]}, 20 * 20 * 8),
        ({"kind": "box", "size": [80, 80, 4]}, {"kind": "slab", "thickness": 20}, 32 * 32 * 10),
        ({"kind": "slab", "thickness": 4}, {"kind": "slab", "thickness": 20}, 32 * 32 * 10),
        # far, just out of reach, all within reach, and inside
        ({"kind": "sphere", "radius": 5, "at": [-60, 0, 0]}, {"kind": "box", "size": [6, 6, 6]}, 216),
        ({"kind": "box", "size": [6, 6, 6], "at": [-9.01, 0, 0]}, {"kind": "box", "size": [6, 6, 6]}, 216),
        ({"kind": "box", "size": [9, 9, 9]}, {"kind": "box", "size": [10, 10, 10]}, 0),
        ({"kind": "sphere", "radius": 12}, {"kind": "sphere", "radius": 4}, 0),
    ],
)
def test_ends(neighbour, body, volume):
    scene = scene_of(neighbour, {**body, "gap": {"to": "s0", "mm": 3}}, size=32)
    assert voxelize(scene).measure("s1") == pytest.approx(volume, rel=0.02, abs=1)


def test_only_what_is_near_is_sampled_and_once_for_all_phases(monkeypatch):
    boxes = []
    sampled = clearance._sampled
    monkeypatch.setattr(clearance, "_sampled", lambda *args: boxes.append(args[2]) or sampled(*args))
    rod = {"kind": "capsule", "ends": [[0, 0, -300], [0, 0, 300]], "radius": 5.125}
    beat = {"beating": {"centre": [0, 0, 0], "axis": [0, 0, 1], "cavity": [4, 8], "radii": [16, 16]}}
    scene = scene_of(
        rod, {"kind": "sphere", "radius": 8, "at": [12, 0, 0], "gap": {"to": "s0", "mm": 2}}, motion=[beat]
    )
    for phase in (0.0, 0.2, 0.4):
        compile_scene(scene.at(phase))
    (box,) = boxes
    assert (np.ptp(box, axis=0) < 20).all()
