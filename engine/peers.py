"""What a user would pick instead of ours: packages timed beside us, in the same run, where they are installed."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from engine.device import device
from engine.render.ct.geometry import Rays
from engine.render.ct.project import LANES, project, stack

#: How the packages that are compared with are installed.
INSTALL = "not installed; pip install -c constraints.txt '.[oracles]'"
#: Scatterers of a frame that PyMUST simulates: speckle over the whole of it would take some hundred times as many.
SCATTERERS = 2000


def installed(package: str) -> bool:
    """Whether a package can be imported."""
    return importlib.util.find_spec(package) is not None


def discs(n: int) -> np.ndarray:
    """Slices `[8, y, x]` of a body with organs, float32."""
    rng = np.random.default_rng(0)
    x = np.arange(n) - 0.5 * (n - 1)
    slices = np.zeros((LANES, n, n), np.float32)
    for one in slices:
        one += np.hypot(x[None] / 0.42, x[:, None] / 0.32) < n
        for _ in range(12):
            (cx, cy), (a, b) = rng.uniform(-0.25 * n, 0.25 * n, 2), rng.uniform(0.02 * n, 0.12 * n, 2)
            one += rng.uniform(-0.5, 0.5) * (np.hypot((x[None] - cx) / a, (x[:, None] - cy) / b) < 1)
    return slices


#: Beams that are projected: 256^2 voxels of 1 mm, a detector for each.
BEAMS = {"360 parallel views": Rays(360, 368, 1.0, None), "720 fan views": Rays(720, 460, 1.0, 570.0)}


def our_projections(slices: np.ndarray, rays: Rays) -> torch.Tensor:
    """Line integrals `[view, detector, 8]` by the projector of fidelity `projection`."""
    image = torch.from_numpy(slices).to(device())
    return project(stack(image), (1.0, 1.0), rays, torch.zeros(rays.views, 2, device=device()))


def astras_projections(slices: np.ndarray, rays: Rays) -> Callable[[], np.ndarray]:
    """The same by astra-toolbox on the CPU, slice by slice: what makes `[8, view, detector]`.

    Its parallel projector is Joseph's, as ours, its fan takes exact intersections with voxels. Its rows run downwards.
    """
    import astra

    detector: tuple[Any, ...] = (rays.pitch_mm, rays.detectors, rays.angles())
    if rays.source_mm is None:
        kind, beam = "linear", astra.create_proj_geom("parallel", *detector)
    else:
        kind, beam = "line_fanflat", astra.create_proj_geom("fanflat", *detector, rays.source_mm, 0.0)
    projector = astra.create_projector(kind, beam, astra.create_vol_geom(*slices.shape[1:]))

    def run() -> np.ndarray:
        found = []
        for one in slices:
            number, paths = astra.create_sino(np.ascontiguousarray(one[::-1]), projector)
            astra.data2d.delete(number)
            found.append(paths)
        return np.stack(found)

    return run


def pymusts_echoes() -> Callable[[], Any]:
    """The echoes of one B-mode frame by PyMUST: a curved array of 3.6 MHz, one plane wave, 18 cm, no beamforming."""
    import pymust

    rng = np.random.default_rng(0)
    x, z = rng.uniform(-0.06, 0.06, SCATTERERS), rng.uniform(0.01, 0.18, SCATTERERS)
    param = pymust.getparam("C5-2v")
    param.fs = 4 * param.fc
    options = pymust.utils.Options()
    options.ParPool = False
    return functools.partial(pymust.simus, x, z, np.ones(SCATTERERS), np.zeros((1, param.Nelements)), param, options)


def projections(beam: str) -> tuple[Callable[[], torch.Tensor], Callable[[], np.ndarray]]:
    """Ours and astra-toolbox's projections of the same slices for one of `BEAMS`."""
    slices = discs(256)
    return functools.partial(our_projections, slices, BEAMS[beam]), astras_projections(slices, BEAMS[beam])
