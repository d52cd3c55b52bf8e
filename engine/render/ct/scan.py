"""A scan: every slice projected, read by detectors and reconstructed, a few at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from engine.device import device
from engine.memory import require
from engine.random import Stream
from engine.render.ct.backproject import backproject, filtered
from engine.render.ct.detect import detect
from engine.render.ct.detectors import detectors
from engine.render.ct.geometry import Rays
from engine.render.ct.materials import mixtures, nodes
from engine.render.ct.project import LANES, project, stack
from engine.render.ct.scanner import Scanner
from engine.volume import Volume

#: A background that attenuates less than this is not projected, 1/mm.
GAS_PER_MM = 5e-4


@dataclass(frozen=True)
class Scan:
    """What a scan is made with.

    Args:
        kvp: tube voltage.
        mas: tube current x rotation time; None for a scan without noise.
        shape: name of the reconstruction kernel or of the ramp's window.
        height_mm: what the detectors see along z, at the axis.
    """

    scanner: Scanner
    kvp: float
    mas: float | None
    shape: str
    height_mm: float


def reconstructed(volume: Volume, density: torch.Tensor, scan: Scan, stream: Stream) -> tuple[torch.Tensor, Rays]:
    """Attenuation over that of water, `[z, y, x]`, as the scan shows it, NaN outside its field of view; and its rays.

    Args:
        density: factors of the attenuation of every voxel, `[z, y, x]`.
    """
    grid, spectrum = volume.grid, nodes(scan.kvp)
    rays = scan.scanner.rays(grid)
    mix = mixtures([s.tissue for s in volume.structures], spectrum.energy_kev)
    samples = rays.views * rays.detectors * LANES
    require((samples,), 4.0 * (2 * len(mix.attenuation) + 6), f"ct: {rays.views} views of {rays.detectors} detectors")
    row = detectors(rays, spectrum, scan.scanner.bowtie_mm, scan.mas, scan.height_mm, scan.scanner.water_correction)
    mu = torch.from_numpy(mix.attenuation.astype(np.float32)).to(device())
    drift = _drift(rays.views, scan.scanner.motion_mm, stream.child("motion"))
    inside, truncated = _field(volume, rays)
    rows, columns, middle = _body(volume, mix.shares[0] @ mix.attenuation)
    shift = drift + torch.tensor(middle, dtype=torch.float32, device=device())
    out = torch.empty(grid.shape, dtype=torch.float32, device=device())
    for first in range(0, grid.shape[0], LANES):
        part = slice(first, first + LANES)
        some = replace(volume, top=volume.top[part], under=volume.under[part], coverage=volume.coverage[part])
        count = len(some.top)
        paths = torch.empty((len(mu), rays.views, rays.detectors, LANES), dtype=torch.float32, device=device())
        for material, shares in enumerate(mix.shares.T):
            slices = (some.mix(shares.tolist()) * density[part])[:, rows, columns]
            slices = torch.nn.functional.pad(slices, (0, 0, 0, 0, 0, LANES - count))
            paths[material] = project(stack(slices), grid.spacing[:2], rays, shift)
        gain = 1.0 + scan.scanner.rings * stream.child("rings", first).normal((rays.detectors, LANES))
        electronic = scan.scanner.electronic_quanta
        read = detect(paths, mu, row, gain.clamp_(min=0.1), electronic, stream.child("photons", first, *volume.moment))
        del paths
        sharp = filtered(read, rays, scan.shape, truncated)
        out[part] = backproject(sharp, grid.size[:2], grid.spacing[:2], rays)[:count]
    return out.masked_fill_(~inside, torch.nan), rays


def _body(volume: Volume, background: np.ndarray) -> tuple[slice, slice, tuple[float, float]]:
    """Rows and columns that hold more than a background of gas, and their middle (x, y), mm from the grid's.

    Args:
        background: attenuation of the background at each energy, 1/mm; all is kept where it is more than gas.
    """
    nx, ny, _ = volume.grid.size
    if background.max() > GAS_PER_MM:
        return slice(0, ny), slice(0, nx), (0.0, 0.0)
    held = ((volume.top != 0) | (volume.under != 0)).any(dim=0)
    parts = []
    for axis, n in ((1, ny), (0, nx)):
        where = held.any(dim=axis).nonzero()
        parts.append((int(where.min()), int(where.max()) + 1) if len(where) else (0, n))
    (top, bottom), (left, right) = parts
    middle = 0.5 * (left + right - nx) * volume.grid.spacing[0], 0.5 * (top + bottom - ny) * volume.grid.spacing[1]
    return slice(top, bottom), slice(left, right), middle


def _drift(views: int, distance: float, stream: Stream) -> torch.Tensor:
    """Where the patient is at each view `[view, 2]`, mm: he moves steadily in a direction of chance."""
    angle = stream.generator().uniform(0.0, 2.0 * np.pi)
    steps = np.linspace(-0.5, 0.5, views)[:, None] * distance
    path = steps * np.array([[np.cos(angle), np.sin(angle)]])
    return torch.from_numpy(path.astype(np.float32)).to(device())


def _field(volume: Volume, rays: Rays) -> tuple[torch.Tensor, bool]:
    """Which voxels `[y, x]` every view sees, and whether there are others."""
    nx, ny, _ = volume.grid.size
    dx, dy, _ = volume.grid.spacing
    x, y = (np.arange(nx) - 0.5 * (nx - 1)) * dx, (np.arange(ny) - 0.5 * (ny - 1)) * dy
    inside = np.hypot(x[None, :], y[:, None]) <= rays.reach_mm()
    return torch.from_numpy(inside).to(device()), not bool(inside.all())
