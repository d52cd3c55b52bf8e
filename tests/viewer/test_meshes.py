import math
from dataclasses import replace

import numpy as np
import pytest

from engine.grid import Grid
from viewer.meshes import measure, surface, surfaces
from viewer.subject import Subject

from .conftest import ball


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (1.5, 2.0, 3.0)])
def test_a_ball_keeps_its_volume_and_place(spacing):
    grid = Grid.centred((40, 36, 30), spacing)
    mesh = surface(ball(grid, (4.0, -3.0, 2.0), 20.0), grid)
    size = measure(mesh)
    assert size.closed
    assert size.volume_mm3 == pytest.approx(4 / 3 * math.pi * 20.0**3, rel=0.02)
    assert size.area_mm2 == pytest.approx(4 * math.pi * 20.0**2, rel=0.03)
    np.testing.assert_allclose(mesh.center, (4.0, -3.0, 2.0), atol=0.3)


def test_surfaces_at_the_edge_of_the_volume_are_closed():
    grid = Grid.centred((10, 10, 10), (1.0, 1.0, 1.0))
    size = measure(surface(np.ones(grid.shape), grid, blur=0.0, smooth=0))
    assert size.closed and size.volume_mm3 == pytest.approx(1000, rel=0.05)


def test_normals_point_outwards_on_mirrored_grids_too():
    for direction in ((1, 0, 0, 0, 1, 0, 0, 0, 1), (-1, 0, 0, 0, 1, 0, 0, 0, 1)):
        grid = Grid((24, 24, 24), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), direction)
        centre = grid.to_world([11.5, 11.5, 11.5])
        mesh = surface(ball(grid, tuple(centre), 8.0), grid)
        outward = ((mesh.points - centre) * mesh.point_data["Normals"]).sum(axis=1)
        assert (outward > 0).all()


def test_structures_of_one_voxel_and_of_none():
    grid = Grid.centred((6, 6, 6), (1.0, 1.0, 1.0))
    field = np.zeros(grid.shape)
    assert surface(field, grid).n_points == 0
    field[3, 3, 3] = 1.0
    assert surface(field, grid).n_points > 0


def test_every_organ_has_a_surface_with_its_children_filled_in(subject, volume):
    meshes = surfaces(subject)
    assert list(meshes) == [1, 2, 3, 4]
    for label, radius in ((2, 38.0), (4, 25.0)):
        assert measure(meshes[label]).volume_mm3 == pytest.approx(4 / 3 * math.pi * radius**3, rel=0.02)
    assert list(surfaces(subject, hidden=frozenset({1, 3}))) == [2, 4]


def test_label_maps_have_surfaces_without_a_volume(subject):
    flat = Subject.from_arrays(subject.grid, {}, subject.labels, subject.names)
    assert measure(surfaces(flat)[4]).volume_mm3 == pytest.approx(4 / 3 * math.pi * 25.0**3, rel=0.05)
    nested = replace(flat, parents=subject.parents)
    assert measure(surfaces(nested)[2]).volume_mm3 == pytest.approx(4 / 3 * math.pi * 38.0**3, rel=0.05)
