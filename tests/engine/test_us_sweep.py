"""Ultrasound: mechanical 3-D sweeps put structures where they are, and frames where they were taken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.errors import UserError
from engine.grid import Grid
from engine.random import Stream
from engine.render.us import US
from engine.render.us.acoustics import Medium
from engine.render.us.placement import Pose
from engine.render.us.sweep import Fan
from tests.engine.phantoms import build, sphere

STREAM = Stream.of(7, "us")
GRID = Grid.centred((56, 60, 56), (1.0, 1.0, 1.0))


@pytest.mark.parametrize("probe", ["curved", "phased"])
def test_points_appear_where_they_are(probe: str) -> None:
    us = US(probe=probe, frequency_mhz=5, press_mm=0, sweep_deg=60, noise_db=None)
    for at in ((3.5, 2.5, 9.5), (-4.5, 8.5, -12.5)):
        image = us.render(build(sphere("stone", at, 1.5), background="water", grid=GRID), STREAM).data.cpu().numpy()
        image[:, :6] = 0  # the transducer's own ringing
        iz, iy, ix = np.nonzero(image >= 0.95 * image.max())
        assert GRID.to_world(np.array([ix.mean(), iy.mean(), iz.mean()])) == pytest.approx(at, abs=2.0)


def test_the_field_of_view_is_a_fan_along_z() -> None:
    us = US(probe="curved", press_mm=0, sweep_deg=40, pivot_mm=10, gain_db=30, dynamic_range_db=120)
    image = us.render(build(background="liver", grid=GRID), STREAM)
    seen = image.data[:, :, 28].cpu().numpy() > 0
    z, v = np.meshgrid(np.arange(56) - 27.5, np.arange(60) + 0.5, indexing="ij")
    # distance (mm) from the fan's sides, and from the frames' lower edge
    inside = np.minimum(np.hypot(z, v + 10) * np.sin(np.radians(20) - np.abs(np.arctan2(z, v + 10))), 60 - v)
    assert seen[(inside > 1) & (np.hypot(z, v + 10) < 67)].all()
    assert not seen[inside < -0.5].any()
    assert image.meta["view"]["tilts_deg"] == [-20.0, 20.0]
    assert image.meta["view"]["frames"] > 20


def test_assembling_undoes_looking() -> None:
    """What varies slowly comes back as it was, wherever frames lie."""
    fan = Fan.of(GRID, Pose((0.0, -30.0), (0.0, 1.0)), 60.0, 10.0, 60.0)
    volume = build(background="liver", grid=GRID)
    medium = Medium.of(volume, 3.0, STREAM)
    z, y, x = (np.arange(n) / 20.0 for n in GRID.shape)
    smooth = np.sin(z)[:, None, None] + np.cos(y)[None, :, None] + np.sin(0.7 * x)[None, None, :]
    field = medium.scatter.new_tensor(smooth)
    back = fan.assemble(fan.look(replace(medium, scatter=field)).scatter).cpu().numpy()
    middle = np.s_[18:38, 20:50, 5:-5]
    assert back[middle] == pytest.approx(smooth[middle], abs=0.02)


def test_a_tilting_sweep_of_a_later_phase_is_refused() -> None:
    volume = replace(build(background="liver", grid=GRID), phase=0.5)
    with pytest.raises(UserError, match="phase 0 only"):
        US(sweep_deg=40).render(volume, STREAM)
