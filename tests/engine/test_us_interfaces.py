"""Ultrasound: what flat interfaces send back and let through, whatever voxels, pulse, probe and sides."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engine.device import device
from engine.grid import Grid
from engine.random import Stream
from engine.render.us import speckle
from engine.render.us.acoustics import Medium, impedance, reflection
from engine.render.us.blur import Filters
from engine.render.us.lattice import Lattice, lay
from engine.render.us.path import MIRROR_DB, Echoes, propagate, trace
from engine.render.us.placement import Pose
from engine.render.us.probes.linear import Linear
from engine.render.us.probes.phased import Phased
from engine.tissue import Tissue, tissue
from tests.engine.phantoms import Part, box, build

STREAM = Stream.of(7, "us")


def lossless(name: str, **changes: float) -> Tissue:
    """A tissue of the table that neither attenuates nor varies."""
    return tissue(name).model_copy(update={"texture": 0.0, "attenuation_db_cm": 0.0, **changes})


def everywhere(what: Tissue) -> Part:
    return Part(what, lambda x, y, z: -1e6 + 0 * (x + y + z))


def behind(front: Tissue, back: Tissue, depth_mm: float, spacing: float, turn_deg: float = 0.0):
    """Two tissues that meet `depth_mm` before a probe of 5 MHz, which looks along y turned by `turn_deg`: echoes."""
    n = round(40 / spacing)
    grid = Grid.centred((n, n, 9), (spacing, spacing, 1.0))
    turn = math.radians(turn_deg)
    axis = (-math.sin(turn), math.cos(turn))
    face = (-18.0 * axis[0], -18.0 * axis[1])
    plane = Part(back, lambda x, y, z: depth_mm - ((x - face[0]) * axis[0] + (y - face[1]) * axis[1]) + 0 * z)
    probe = Linear(width_mm=10)
    lattice = lay(probe, grid, Pose(face, axis), 5.0, 20.0, 30.0)
    medium = Medium.of(build(everywhere(front), plane, grid=grid), 5.0, STREAM)
    filters = Filters(lattice, 5.0, 20.0, 1.0)
    planes = np.arange(4 - filters.halo, 5 + filters.halo)
    return trace(medium, lattice, planes, grid.spacing, 0.0), lattice, filters


def heard(echoes: Echoes, lattice: Lattice, filters: Filters) -> tuple[float, float]:
    """Peak of the middle beam's envelope over a mirror's, without scatterers, and its range (mm)."""
    quiet = Echoes(echoes.scatter * 0.0, echoes.specular)
    beam = speckle.envelope(quiet, filters, lattice, 0, 0.0, STREAM)[0, lattice.beams // 2].cpu().numpy()
    top = np.nonzero(beam > 0.98 * beam.max())[0]
    return float(beam.max()) * 10 ** (-MIRROR_DB / 20), float(lattice.ranges[top].mean())


@pytest.mark.parametrize("spacing", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("pair", [("adipose", "muscle"), ("muscle", "cortical_bone"), ("liver", "adipose")])
def test_interfaces_reflect_r_and_transmit_the_rest(pair: tuple[str, str], spacing: float) -> None:
    front, back = (lossless(name) for name in pair)
    r = reflection(impedance(front), impedance(back))
    for shift in (0.0, 0.13, 0.31, 0.47):
        depth = 15.0 + shift * spacing
        echoes, lattice, filters = behind(front, back, depth, spacing)
        amplitude, range_mm = heard(echoes, lattice, filters)
        assert amplitude == pytest.approx(abs(r), rel=0.01)
        assert range_mm == pytest.approx(depth, abs=0.5 * lattice.step_mm + 0.02)  # time of flight, half a sample
        two_way = float(echoes.scatter[filters.halo, lattice.beams // 2, -1]) / 10 ** (back.backscatter_db / 20)
        assert two_way == pytest.approx(1 - r**2, rel=0.01)


@pytest.mark.parametrize("turn", [7.0, 20.0, 45.0])
def test_interfaces_reflect_r_however_voxels_lie(turn: float) -> None:
    front, back = lossless("adipose"), lossless("muscle")
    r = reflection(impedance(front), impedance(back))
    found = [heard(*behind(front, back, 15.0 + shift, 0.5, turn))[0] for shift in (0.0, 0.2, 0.4)]
    assert found == pytest.approx([abs(r)] * 3, rel=0.01)


def test_the_skin_reflects_what_gel_leaves() -> None:
    """The grid begins where gel ends, within a sample."""
    grid = Grid.centred((40, 40, 9), (0.5, 0.5, 1.0))
    skin = lossless("muscle")
    lattice = lay(Linear(width_mm=10), grid, Pose((0.0, -15.0), (0.0, 1.0)), 5.0, 12.0, 20.0)
    medium = Medium.of(build(everywhere(skin), grid=grid), 5.0, STREAM)
    filters = Filters(lattice, 5.0, 12.0, 1.0)
    echoes = trace(medium, lattice, np.arange(9 + 2 * filters.halo), grid.spacing, 0.0)
    amplitude, range_mm = heard(echoes, lattice, filters)
    assert amplitude == pytest.approx(abs(reflection(1.5, impedance(skin))), rel=0.01)
    assert range_mm == pytest.approx(5.0, abs=lattice.path_mm)


def test_a_film_of_gas_reflects_and_one_echo_is_one() -> None:
    water, gas = lossless("water"), lossless("gas")
    grid = Grid.centred((40, 80, 9), (0.5, 0.5, 1.0))
    lattice = lay(Linear(width_mm=10), grid, Pose((0.0, -18.0), (0.0, 1.0)), 5.0, 20.0, 36.0)
    filters = Filters(lattice, 5.0, 20.0, 1.0)
    film = build(everywhere(water), box(gas, (0, 0, 0), (1e3, 0.3, 1e3)), grid=grid)
    medium = Medium.of(film, 5.0, STREAM)
    echoes = trace(medium, lattice, np.arange(9 + 2 * filters.halo), grid.spacing, 0.0)
    amplitude, range_mm = heard(echoes, lattice, filters)
    assert amplitude > 0.5
    assert range_mm == pytest.approx(18.0, abs=0.6)


def test_steered_beams_meet_a_ring_of_their_own_radius_with_r() -> None:
    """All beams of a phased probe meet a cylinder around its apex at right angles; elements favour the middle."""
    grid = Grid.centred((100, 60, 9), (0.5, 0.5, 1.0))
    front, back = lossless("adipose"), lossless("muscle")
    ring = Part(back, lambda x, y, z: 20.0 - np.hypot(x, y + 14.0) + 0 * z)
    probe = Phased(angle_deg=80)
    lattice = lay(probe, grid, Pose((0.0, -14.0), (0.0, 1.0)), 3.0, 20.0, 26.0)
    filters = Filters(lattice, 3.0, 20.0, 1.0)
    medium = Medium.of(build(everywhere(front), ring, grid=grid), 3.0, STREAM)
    echoes = trace(medium, lattice, np.arange(9 + 2 * filters.halo), grid.spacing, 0.0)
    quiet = Echoes(echoes.scatter * 0.0, echoes.specular)
    beams = speckle.envelope(quiet, filters, lattice, 0, 0.0, STREAM)[0].cpu().numpy()
    found = beams[:, lattice.ranges > 10].max(1) * 10 ** (-MIRROR_DB / 20) / lattice.element**2
    r = abs(reflection(impedance(front), impedance(back)))
    inner = slice(len(found) // 8, -len(found) // 8)
    assert found[inner] == pytest.approx(np.full_like(found[inner], r), rel=0.02)


def test_both_orders_of_work_give_the_same_bits() -> None:
    grid = Grid.centred((60, 60, 4), (0.5, 0.5, 1.0))
    lattice = lay(Phased(), grid, Pose((0.0, -15.0), (0.0, 1.0)), 3.0, 12.0, 28.0)
    shape = (4, lattice.beams, lattice.path_samples)
    drawn = torch.rand((4, *shape), generator=torch.Generator().manual_seed(1)).to(device())
    drawn[2] *= 0.1
    found = []
    for by_planes in (True, False):
        maps = [part.clone() for part in drawn]
        propagate(lattice, 0.3, *maps, by_planes=by_planes)
        found.append(maps)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert float(found[0][0][..., -1].mean()) < float(found[0][0][..., 5].mean())
