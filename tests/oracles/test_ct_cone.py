"""Cone beams against RTK: Feldkamp's reconstruction of the same exact projections, and projections of the same ball."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch

from engine.device import device
from engine.grid import Grid
from engine.render.ct.backproject import filtered
from engine.render.ct.cone import backproject_cone, project_cone
from engine.render.ct.geometry import Rays
from engine.render.ct.project import stack
from tests.engine.phantoms import build, sphere
from tests.oracles import package

HOW = "it takes 1.6 GB and is not in the extra; pip install itk-rtk"
itk = package("itk", HOW)
if not hasattr(itk, "RTK"):
    pytest.skip(f"RTK is not installed: {HOW}", allow_module_level=True)
rtk = itk.RTK

#: Detectors at the axis, half of what they measure at RTK's place for them.
RAYS, ROWS, SOURCE_MM = Rays(120, 128, 1.5, 600.0), 88, 600.0
N, VOXEL_MM, RADIUS_MM = 64, 2.5, 60.0


def image_of(size: tuple[int, int, int], spacing: tuple[float, float, float]) -> Any:
    source = rtk.ConstantImageSource[itk.Image[itk.F, 3]].New()
    source.SetSize(size)
    source.SetSpacing(spacing)
    source.SetOrigin([-0.5 * (n - 1) * s for n, s in zip(size, spacing, strict=True)])
    source.SetConstant(0.0)
    source.Update()
    return source.GetOutput()


def orbit() -> Any:
    geometry = rtk.ThreeDCircularProjectionGeometry.New()
    for view in range(RAYS.views):
        geometry.AddProjection(SOURCE_MM, 2 * SOURCE_MM, view * 360.0 / RAYS.views)
    return geometry


def detectors() -> Any:
    return image_of((RAYS.detectors, ROWS, RAYS.views), (2 * RAYS.pitch_mm, 2 * VOXEL_MM, 1.0))


@functools.cache
def exact() -> Any:
    """Chords of a ball."""
    kind = itk.Image[itk.F, 3]
    ball = rtk.RayEllipsoidIntersectionImageFilter[kind, kind].New()
    ball.SetInput(detectors())
    ball.SetGeometry(orbit())
    ball.SetDensity(1.0)
    ball.SetAxis([RADIUS_MM] * 3)
    ball.SetCenter([0.0] * 3)
    ball.Update()
    return ball.GetOutput()


def radius() -> np.ndarray:
    axis = (np.arange(N) - 0.5 * (N - 1)) * VOXEL_MM
    return np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None] ** 2)


def test_line_integrals_of_a_ball() -> None:
    theirs = itk.array_from_image(exact())[0]  # [row, detector]; the ball looks the same from everywhere
    grid = Grid.centred((N, N, N), (VOXEL_MM,) * 3)
    ball = build(sphere("water", (0, 0, 0), RADIUS_MM), grid=grid, background="gas").mix([0.0, 1.0])
    still = torch.zeros(RAYS.views, 2, device=device())
    ours = [
        project_cone(stack(ball), grid.spacing, RAYS, still, slice(0, 1), first, ROWS)[0].cpu().numpy()
        for first in range(0, ROWS, 8)
    ]
    ours = np.concatenate(ours, axis=1).T
    deep = theirs > 50
    assert ours[deep].mean() == pytest.approx(theirs[deep].mean(), rel=0.002)
    assert np.sqrt(((ours - theirs)[deep] ** 2).mean()) < 0.006 * 2 * RADIUS_MM


def test_feldkamp_of_the_same_projections() -> None:
    kind = itk.Image[itk.F, 3]
    feldkamp = rtk.FDKConeBeamReconstructionFilter[kind].New()
    feldkamp.SetInput(0, image_of((N, N, N), (VOXEL_MM,) * 3))
    feldkamp.SetInput(1, exact())
    feldkamp.SetGeometry(orbit())
    feldkamp.GetRampFilter().SetTruncationCorrection(0.0)
    feldkamp.GetRampFilter().SetHannCutFrequency(0.0)
    feldkamp.Update()
    theirs = itk.array_from_image(feldkamp.GetOutput()).transpose(1, 0, 2)  # their axis of rotation is y
    paths = torch.from_numpy(itk.array_from_image(exact()).transpose(0, 2, 1).copy()).to(device())
    heights = (torch.arange(ROWS, device=device()) - 0.5 * (ROWS - 1)) * VOXEL_MM
    out = torch.zeros((N, N, N), device=device())
    sharp = filtered(paths, RAYS, "ram-lak", False, heights).contiguous()
    backproject_cone(out, sharp, (VOXEL_MM,) * 3, RAYS, slice(0, RAYS.views))
    ours = out.permute(2, 0, 1).cpu().numpy()
    inside = radius() < 45
    assert ours[inside].mean() == pytest.approx(theirs[inside].mean(), rel=0.002)
    middle = inside & (np.arange(N) // 2 == N // 4)[:, None, None]
    assert ours[middle].mean() == pytest.approx(theirs[middle].mean(), rel=0.002)
    assert ours[middle].mean() == pytest.approx(1.0, abs=0.005)
    assert np.sqrt(((ours - theirs)[inside] ** 2).mean()) < 0.01
