"""A small labelled volume: a body with a liver that holds a lesion, a spleen, and images of them."""

import numpy as np
import pytest
import torch

from engine.grid import Grid
from engine.tissue import Tissue
from engine.volume import Structure, Volume
from viewer.subject import Subject

WATER = Tissue(
    name="water",
    density_g_cm3=1.0,
    composition={"H": 0.111898, "O": 0.888102},
    t1_ms={1.5: 3000.0, 3.0: 3000.0},
    t2_ms={1.5: 2000.0, 3.0: 2000.0},
    pd=1.0,
    chi_ppm=-9.05,
    sound_speed_m_s=1500.0,
    attenuation_db_cm=0.002,
    attenuation_power=2.0,
    backscatter_db=-100.0,
)

GRID = Grid.centred((40, 36, 32), (5.0, 5.0, 6.0))

#: name, label, colour, parent row, centre and radius in mm (LPS+); rows 1, 2, ...
ORGANS = (
    ("body", 1, "#d9c2a0", None, (0.0, 0.0, 0.0), 85.0),
    ("liver", 2, "#b33f3a", 1, (-30.0, 0.0, 10.0), 38.0),
    ("lesion", 3, "#57c46a", 2, (-30.0, -5.0, 15.0), 14.0),
    ("spleen", 4, "#8a4fa0", 1, (40.0, 10.0, 0.0), 25.0),
)


def ball(grid: Grid, centre: tuple[float, float, float], radius: float) -> np.ndarray:
    """Share of each voxel `[z, y, x]` in a ball, from 4 x 4 x 4 points in it."""
    offsets = (np.arange(4) + 0.5) / 4 - 0.5
    total = np.zeros(grid.shape)
    z, y, x = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")
    for step in np.stack(np.meshgrid(offsets, offsets, offsets), axis=-1).reshape(-1, 3):
        place = grid.to_world(np.stack([x, y, z], axis=-1) + step)
        total += ((place - np.asarray(centre)) ** 2).sum(axis=-1) <= radius**2
    return total / 64


def ball_volume(grid: Grid, organs=ORGANS) -> Volume:
    """Balls painted one over the other, with coverage where one meets what was there before."""
    top = np.zeros(grid.shape, np.uint8)
    under = np.zeros_like(top)
    coverage = np.full_like(top, 255)
    for row, (_, _, _, _, centre, radius) in enumerate(organs, start=1):
        share = np.rint(ball(grid, centre, radius) * 255)
        more, less = share >= 128, (share > 0) & (share < 128)
        under = np.where(more, top, np.where(less, row, under)).astype(np.uint8)
        top = np.where(more, row, top).astype(np.uint8)
        coverage = np.where(more, share, np.where(less, 255 - share, coverage)).astype(np.uint8)
    air = Structure("background", 0, "background", WATER)
    rows = (Structure(name, label, name, WATER, parent, color) for name, label, color, parent, _, _ in organs)
    return Volume(grid, torch.from_numpy(top), torch.from_numpy(under), torch.from_numpy(coverage), (air, *rows))


@pytest.fixture(scope="session")
def volume() -> Volume:
    return ball_volume(GRID)


@pytest.fixture(scope="session")
def subject(volume: Volume) -> Subject:
    images = {
        "ct": volume.mix([-1000.0, 20.0, 60.0, 30.0, 50.0]).numpy(),
        "mr": volume.mix([0.0, 300.0, 500.0, 800.0, 650.0]).numpy(),
    }
    return Subject.from_volume(volume, images, "balls_0000")
