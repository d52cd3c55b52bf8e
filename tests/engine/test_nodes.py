"""One battery over every registered shape, deformer and way to combine."""

import numpy as np
import pytest

from engine.compile import compile_scene
from engine.scene import Scene
from engine.scene.load import load
from engine.voxelize import voxelize
from tests.engine.scenes import every_node, scene_of

NODES = every_node()
names = pytest.mark.parametrize("name", NODES)


def field_of(name: str):
    program, _ = compile_scene(scene_of(NODES[name]))
    return (lambda points: program.evaluate(points, 0)), program.spans[0]


@names
def test_field_is_finite_and_crosses_zero(name):
    field, _ = field_of(name)
    points = np.random.default_rng(0).uniform(-40, 40, (20_000, 3))
    values = field(np.concatenate([points, np.zeros((1, 3))]))
    assert np.isfinite(values).all()
    assert (values < 0).any()
    assert (values > 0).any()


@names
def test_lipschitz_bound_holds(name):
    field, span = field_of(name)
    rng = np.random.default_rng(1)
    a = rng.uniform(-45, 45, (40_000, 3))
    b = a + rng.normal(size=a.shape) * rng.choice([0.05, 0.5, 5.0], (len(a), 1))
    rise = np.abs(field(a) - field(b))
    run = np.linalg.norm((a - b).astype(np.float32), axis=1)
    assert (rise <= span.lipschitz * run * 1.002 + 2e-3).all(), (rise / run).max() / span.lipschitz


@names
def test_ball_holds_the_shape_and_the_field_rises_around_it(name):
    field, span = field_of(name)
    if not np.isfinite(span.ball.radius):
        pytest.skip("a shape without end")
    rng = np.random.default_rng(2)
    direction = rng.normal(size=(20_000, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    away = span.ball.radius * rng.uniform(1.0, 2.0, len(direction)) + 1e-2
    values = field(np.asarray(span.ball.centre) + direction * away[:, None])
    assert (values > 0).all()
    assert (values >= span.ball.rise * (away - span.ball.radius) * 0.999 - 2e-3).all()


@names
@pytest.mark.parametrize("spacing", [1.0, 1.7])
def test_culled_equals_dense(name, spacing):
    scene = scene_of(NODES[name], size=37, spacing=spacing)
    culled, dense = voxelize(scene), voxelize(scene, dense=True)
    for part in ("top", "under", "coverage"):
        assert (getattr(culled, part) == getattr(dense, part)).all()
    assert 0 < culled.mask("s0").sum() < culled.mask("s0").numel()


@names
def test_coverage_against_supersampling(name):
    """Mean error below 0.02 over the voxels that the surface crosses, against 8 x 8 x 8 samples."""
    scene = scene_of(NODES[name])
    volume = voxelize(scene)
    program, _ = compile_scene(scene)
    share = volume.fraction("s0").cpu().numpy()
    edge = np.argwhere((share > 0) & (share < 1))
    edge = edge[np.random.default_rng(3).permutation(len(edge))[:1500]]
    steps = (np.arange(8) + 0.5) / 8 - 0.5
    offsets = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    index = edge[:, None, ::-1] + offsets
    fine = program.evaluate(volume.grid.to_world(index).reshape(-1, 3), 0).reshape(len(edge), -1) < 0
    assert np.abs(fine.mean(axis=1) - share[tuple(edge.T)]).mean() < 0.02


@names
def test_yaml_round_trip(name, tmp_path):
    scene = scene_of(NODES[name]).sample(5)
    (tmp_path / "again.yaml").write_text(scene.dump())
    again = load(tmp_path / "again.yaml")
    assert again == Scene.model_validate(scene.model_dump(exclude_unset=True))
    assert (voxelize(again).coverage == voxelize(scene).coverage).all()
