"""Volumes: sub-voxel truth, painting order, parents and children."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import UserError
from engine.grid import Grid
from engine.voxelize import voxelize
from tests.engine.scenes import every_node, scene_of

NODES = every_node()


@pytest.mark.parametrize(("radius", "tolerance"), [(3.0, 0.01), (10.0, 0.002)])
def test_spheres_keep_their_volume(radius, tolerance):
    rng = np.random.default_rng(0)
    for _ in range(8):
        centre = rng.uniform(-0.5, 0.5, 3).tolist()
        volume = voxelize(scene_of({"kind": "sphere", "radius": radius, "at": centre}, size=28))
        assert volume.measure("s0") == pytest.approx(4 / 3 * np.pi * radius**3, rel=tolerance)


def test_volume_on_an_anisotropic_oblique_grid():
    c, s = np.cos(0.5), np.sin(0.5)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    size, spacing = (48, 40, 12), (0.8, 1.0, 3.5)
    origin = -turn @ (0.5 * (np.array(size) - 1) * spacing)
    grid = Grid(size, spacing, tuple(origin), tuple(turn.ravel()))
    volume = voxelize(scene_of({"kind": "ellipsoid", "radii": [14, 11, 13]}), grid)
    assert volume.measure("s0") == pytest.approx(4 / 3 * np.pi * 14 * 11 * 13, rel=0.005)


def test_two_labels_share_a_voxel_by_coverage():
    """A plane through voxel centres: each voxel there is half one slab's, half the other's."""
    below = {"kind": "box", "size": [80, 80, 40], "at": [0, 0, -19.5]}
    above = {"kind": "box", "size": [80, 80, 40], "at": [0, 0, 20.5]}
    volume = voxelize(scene_of(below, above, size=16))
    plane = volume.coverage[8]
    assert set(map(int, torch.unique(volume.top[8]))) | set(map(int, torch.unique(volume.under[8]))) == {1, 2}
    assert (plane.int() - 128).abs().max() <= 2
    assert float(volume.mix([0.0, 10.0, 20.0])[8].mean()) == pytest.approx(15, abs=0.1)


def test_later_wins_and_children_stay_inside():
    parent = {"kind": "sphere", "radius": 12}
    child = {"kind": "sphere", "radius": 8, "at": [9, 0, 0], "inside": "s0"}
    over = {"kind": "sphere", "radius": 5, "at": [0, -10, 0]}
    volume = voxelize(scene_of(parent, child, over, size=48))
    whole = voxelize(scene_of(parent, size=48))
    inside, over_mask = volume.mask("s1"), volume.mask("s2")
    assert (volume.fraction("s1") <= whole.fraction("s0") + 0.05).all()  # both are estimates
    assert inside.any()
    assert not (inside & over_mask).any()
    assert torch.equal(volume.mask("s0"), whole.mask("s0") & ~over_mask)
    assert torch.equal(volume.mask("s0", children=False), volume.mask("s0") & ~inside)


def test_grandchildren_belong_to_the_whole():
    scene = scene_of(
        {"kind": "sphere", "radius": 14},
        {"kind": "sphere", "radius": 9, "inside": "s0"},
        {"kind": "sphere", "radius": 4, "inside": "s1"},
    )
    volume = voxelize(scene)
    assert volume.rows("s0") == [1, 2, 3]
    assert volume.measure("s0") == pytest.approx(4 / 3 * np.pi * 14**3, rel=0.005)


def test_mirrored_pair_has_two_labels_and_equal_volumes():
    body = {"kind": "ellipsoid", "radii": [5, 4, 7], "at": [9, 1, 2], "rotate": [0, 20, 0]}
    volume = voxelize(scene_of({**body, "mirror": {"axis": "x", "labels": [4, 9]}}))
    assert volume.names() == {"s0_left": 4, "s0_right": 9}
    assert torch.equal(volume.mask("s0_left"), volume.mask("s0_right").flip(2))
    x = volume.grid.to_world(np.argwhere(volume.mask("s0_left").cpu().numpy())[:, ::-1])[:, 0]
    assert x.mean() == pytest.approx(9, abs=0.3)


def test_children_of_a_mirrored_pair_follow_their_side():
    pair = {"kind": "sphere", "radius": 6, "at": [9, 0, 0], "mirror": {"axis": "x", "labels": [1, 2]}}
    core = {"kind": "sphere", "radius": 3, "at": [9, 0, 0], "inside": "s0", "mirror": {"axis": "x"}, "label": 3}
    volume = voxelize(scene_of(pair, core))
    assert volume.measure("s0_left") == pytest.approx(4 / 3 * np.pi * 6**3, rel=0.01)
    assert volume.measure("s1") == pytest.approx(2 * 4 / 3 * np.pi * 3**3, rel=0.01)


def test_repeat_makes_a_centred_row():
    row = {"kind": "sphere", "radius": 2, "repeat": {"count": 5, "step": [0, 0, 7], "centred": True}}
    mask = voxelize(scene_of(row)).mask("s0").cpu().numpy()
    z = np.argwhere(mask.any(axis=(1, 2))).ravel()
    assert (mask == mask[::-1]).all()
    assert np.count_nonzero(np.diff(z) > 1) == 4


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(sorted(NODES)), min_size=2, max_size=6), st.integers(0, 2**31), st.data())
def test_culled_equals_dense_on_random_scenes(kinds, seed, data):
    rng = np.random.default_rng(seed)
    bodies = []
    for i, kind in enumerate(kinds):
        body = {**NODES[kind], "at": rng.uniform(-15, 15, 3).tolist(), "rotate": rng.uniform(0, 360, 3).tolist()}
        if i and data.draw(st.booleans()):
            body["inside"] = f"s{rng.integers(i)}"
        bodies.append(body)
    scene = scene_of(*bodies, size=33, spacing=float(rng.uniform(0.7, 2.0)))
    culled, dense = voxelize(scene), voxelize(scene, dense=True)
    for part in ("top", "under", "coverage"):
        assert torch.equal(getattr(culled, part), getattr(dense, part))


def test_a_volume_too_large_for_memory_is_refused():
    scene = scene_of({"kind": "sphere", "radius": 3})
    with pytest.raises(UserError, match=r"needs .* GiB, .* GiB are free; use a smaller size"):
        voxelize(scene, Grid.centred((60_000, 60_000, 60_000), (1, 1, 1)))


def test_unknown_structure_is_named():
    volume = voxelize(scene_of({"kind": "sphere", "radius": 3}))
    with pytest.raises(UserError, match="'heart' is not in this volume; it has: s0"):
        volume.mask("heart")
