"""Signed distances and normals, against formulas and a search over all facets."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from engine.distance import measure, normals, signed_distance
from engine.errors import UserError
from engine.facets import facets
from engine.grid import Grid
from engine.voxelize import voxelize
from tests.engine.scenes import scene_of

CENTRE = (0.31, 0.22, -0.43)
THICK = Grid.centred((44, 40, 13), (0.8, 1.0, 3.5))


def places(grid: Grid) -> np.ndarray:
    """World positions `[z, y, x, 3]` of the voxels."""
    z, y, x = np.indices(grid.shape)
    return grid.to_world(np.stack([x, y, z], axis=-1))


def to_ball(grid: Grid, radius: float, centre=CENTRE) -> np.ndarray:
    return np.linalg.norm(places(grid) - centre, axis=-1) - radius


def to_box(grid: Grid, half, centre=CENTRE) -> np.ndarray:
    q = np.abs(places(grid) - centre) - half
    return np.linalg.norm(np.maximum(q, 0), axis=-1) + np.minimum(q.max(axis=-1), 0)


@pytest.mark.parametrize(
    ("radius", "grid", "mean", "most"),
    [
        (3, Grid.centred((36,) * 3, (1, 1, 1)), 0.04, 0.15),
        (12, Grid.centred((40,) * 3, (1, 1, 1)), 0.015, 0.12),
        (14, THICK, 0.04, 0.5),
    ],
)
def test_distance_to_a_ball(radius, grid, mean, most):
    volume = voxelize(scene_of({"kind": "sphere", "radius": radius, "at": CENTRE}), grid)
    error = np.abs(signed_distance(volume, "s0").cpu().numpy() - to_ball(grid, radius)) / min(grid.spacing)
    assert error.mean() < mean
    assert error.max() < most


def test_distance_to_a_box():
    """Edges lie within one voxel, so the distance to them is known less well than to a face."""
    volume = voxelize(scene_of({"kind": "box", "size": [18, 13, 16], "at": CENTRE}))
    truth = to_box(volume.grid, (9, 6.5, 8))
    error = np.abs(signed_distance(volume, "s0").cpu().numpy() - truth)
    assert error[truth < 2].mean() < 0.05
    assert error.mean() < 0.13
    assert error.max() < 0.65


def test_a_plane_at_any_slant_is_exact():
    slab = {"kind": "slab", "thickness": 9, "rotate": [25, 35, 0], "at": CENTRE}
    volume = voxelize(scene_of(slab, size=28))
    x, y = np.radians(25), np.radians(35)
    normal = np.array([np.sin(y) * np.cos(x), -np.sin(x), np.cos(y) * np.cos(x)])
    truth = np.abs((places(volume.grid) - CENTRE) @ normal) - 4.5
    inner = (slice(8, -8),) * 3  # whose nearest point of the plane lies within the grid
    error = np.abs(signed_distance(volume, "s0").cpu().numpy() - truth)[inner]
    assert error.max() < 0.1
    assert error.mean() < 0.02


def test_every_voxel_finds_its_nearest_facet():
    """Sweeps against a search over all facets, for a shape with cavities and several pieces."""
    tree = {"kind": "torus", "radius": 9, "thickness": 3, "rotate": [30, 20, 0]}
    row = {"kind": "sphere", "radius": 4, "at": [-9, 6, 9], "repeat": {"count": 3, "step": [10, -7, -9]}}
    volume = voxelize(
        scene_of({**tree, "group": "all"}, {**row, "group": "all"}), Grid.centred((36, 40, 20), (1, 1, 2))
    )
    surface = facets(volume.fraction("all").cpu().numpy(), volume.grid.spacing)
    z, y, x = np.indices(volume.grid.shape)
    points = (np.stack([x, y, z], axis=-1) * volume.grid.spacing).reshape(-1, 3)
    index = cKDTree(surface.centre).query(points)[1]
    away = points - surface.centre[index]
    across = np.abs((away * surface.normal[index]).sum(1))
    along = np.sqrt(np.maximum((away**2).sum(1) - across**2, 0))
    expected = np.hypot(across, np.maximum(along - surface.radius[index], 0)).reshape(volume.grid.shape)
    found = signed_distance(volume, "all").abs().cpu().numpy()
    assert (np.abs(found - expected) > 0.1).mean() < 0.01
    assert np.abs(found - expected).max() < 0.5


def test_slices_side_by_side_and_one_thread_agree_bit_for_bit():
    volume = voxelize(scene_of({"kind": "torus", "radius": 9, "thickness": 3, "rotate": [30, 20, 0]}, size=30))
    surface = facets(volume.fraction("s0").cpu().numpy(), volume.grid.spacing)
    one, other = (torch.empty(volume.grid.shape, device=volume.top.device) for _ in range(2))
    measure(surface, volume.grid, one, sliced=False)
    measure(surface, volume.grid, other, sliced=True)
    assert torch.equal(one, other)


def test_children_clips_and_what_is_painted_over():
    parent = {"kind": "sphere", "radius": 12}
    child = {"kind": "sphere", "radius": 5, "at": [9, 0, 0], "inside": "s0"}
    over = {"kind": "slab", "thickness": 20, "at": [0, 0, 12]}
    volume = voxelize(scene_of(parent, child, over))
    z, y, x = np.moveaxis(places(volume.grid)[..., ::-1], -1, 0)
    ball, inner, free = np.sqrt(x**2 + y**2 + z**2) - 12, np.sqrt((x - 9) ** 2 + y**2 + z**2) - 5, 2 - z
    with_child = signed_distance(volume, "s0").cpu().numpy()
    without = signed_distance(volume, "s0", children=False).cpu().numpy()
    assert ((with_child < 0) == volume.mask("s0").cpu().numpy()).mean() > 0.9999
    # deep inside: the nearest of the surfaces that bound it
    deep = (ball < -2) & (z < 0)
    np.testing.assert_allclose(with_child[deep], np.maximum(ball, -free)[deep], atol=0.15)
    clear = deep & (inner > 1)
    np.testing.assert_allclose(without[clear], np.maximum(np.maximum(ball, -free), -inner)[clear], atol=0.15)


def test_the_edge_of_the_grid_is_no_surface():
    volume = voxelize(scene_of({"kind": "slab", "thickness": 10}, {"kind": "sphere", "radius": 2, "at": [90, 0, 0]}))
    z = places(volume.grid)[..., 2]
    np.testing.assert_allclose(signed_distance(volume, "s0").cpu().numpy(), np.abs(z) - 5, atol=1e-4)
    assert (signed_distance(volume, "s1") == torch.inf).all()
    assert (normals(volume, "s1") == 0).all()
    full = voxelize(scene_of({"kind": "box", "size": [90, 90, 90]}, size=9))
    assert (signed_distance(full, "s0") == -torch.inf).all()
    with pytest.raises(UserError, match="not in this volume"):
        signed_distance(volume, "heart")


def test_normals_point_out_on_patient_axes():
    c, s = np.cos(0.5), np.sin(0.5)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    size, spacing = (36, 34, 24), (1.0, 1.0, 1.5)
    grid = Grid(size, spacing, tuple(-turn @ (0.5 * (np.array(size) - 1) * spacing)), tuple(turn.ravel()))
    volume = voxelize(scene_of({"kind": "sphere", "radius": 11, "at": CENTRE}), grid)
    found = normals(volume, "s0").cpu().numpy()
    expected = places(grid) - CENTRE
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
    near = np.abs(to_ball(grid, 11)) < 2
    degrees = np.degrees(np.arccos(np.clip((found * expected).sum(-1)[near], -1, 1)))
    assert degrees.mean() < 1
    assert degrees.max() < 6
    np.testing.assert_allclose(np.linalg.norm(found[near], axis=-1), 1, atol=1e-5)
