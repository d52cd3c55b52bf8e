import numpy as np
import pytest

from engine.scene import Scene
from engine.voxelize import voxelize
from tests.trainer.phantoms import write_scene
from trainer.views import close_up


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return Scene.load(write_scene(tmp_path_factory.mktemp("scene"))).sample(0)


def test_a_close_up_shows_its_structure_larger_than_the_scene_does(drawn):
    whole = (voxelize(drawn).mask("organ")).float().mean()
    shares = []
    for seed in range(20):
        grid = close_up(drawn, 24, np.random.default_rng(seed))
        assert grid.size[:2] == (24, 24) and 8 <= grid.size[2] <= 24
        assert grid.spacing[0] == grid.spacing[1] <= grid.spacing[2] * 1.001
        assert np.linalg.det(np.reshape(grid.direction, (3, 3))) == pytest.approx(1.0)
        shares.append(voxelize(drawn, grid).mask("organ").float().mean())
    assert min(shares) > 0.0
    assert np.mean(shares) > 2 * whole


def test_planes_and_fields_of_view_vary_and_repeat_with_the_seed(drawn):
    grids = [close_up(drawn, 24, np.random.default_rng(seed)) for seed in range(30)]
    assert grids[3] == close_up(drawn, 24, np.random.default_rng(3))
    assert len({np.argmax(np.abs(np.reshape(g.direction, (3, 3))[:, 2])) for g in grids}) == 3
    assert max(g.extent[0] for g in grids) > 1.5 * min(g.extent[0] for g in grids)


def test_a_scene_without_a_structure_small_enough_has_none():
    grid = {"size": [16, 16, 16], "spacing": [1, 1, 1]}
    huge = {"kind": "sphere", "material": "liver", "radius": 30, "at": [0, 0, 0]}
    scene = Scene.model_validate({"viscera": 1, "name": "full", "grid": grid, "structures": {"all": huge}})
    assert close_up(scene.sample(0), 24, np.random.default_rng(0)) is None
