"""A scan: every slice projected, read by detectors and reconstructed, a few at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from engine.device import device
from engine.memory import require
from engine.random import Stream
from engine.render.ct.backproject import backproject, filtered
from engine.render.ct.cone import backproject_cone, project_cone, rows_of
from engine.render.ct.detect import detect
from engine.render.ct.detectors import Detectors, detectors
from engine.render.ct.geometry import Rays
from engine.render.ct.materials import mixtures, nodes
from engine.render.ct.project import LANES, project, stack
from engine.render.ct.scanner import Scanner
from engine.volume import Volume

#: A background that attenuates less than this is not projected, 1/mm.
GAS_PER_MM = 5e-4
#: Readings of a cone beam that are worked on at a time.
CHUNK_SAMPLES = 1 << 22


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
    inside, truncated = _field(volume, rays)
    rows, columns, middle = _body(volume, mix.shares[0] @ mix.attenuation)
    shift = _drift(rays.views, scan.scanner.motion_mm, stream.child("motion"))
    shift += torch.tensor(middle, dtype=torch.float32, device=device())
    work = _Work(volume, density, scan, rays, mix.shares, mu, row, shift, (rows, columns), truncated, stream)
    out = _cone(work) if scan.scanner.geometry == "cone" else _planar(work)
    return out.masked_fill_(~inside, torch.nan), rays


@dataclass(frozen=True)
class _Work:
    """What `reconstructed` has made ready: the body's rows and columns, its shift in every view, mm, and the rest."""

    volume: Volume
    density: torch.Tensor
    scan: Scan
    rays: Rays
    shares: np.ndarray
    mu: torch.Tensor
    row: Detectors
    shift: torch.Tensor
    body: tuple[slice, slice]
    truncated: bool
    stream: Stream

    def material(self, index: int, part: slice) -> torch.Tensor:
        """Share of a material in the body's voxels of some slices, `[z, y, x]`."""
        v = self.volume
        some = replace(v, top=v.top[part], under=v.under[part], coverage=v.coverage[part])
        rows, columns = self.body
        return (some.mix(self.shares[:, index].tolist()) * self.density[part])[:, rows, columns]

    def read(self, paths: torch.Tensor, lanes: int, *photons: str | int) -> torch.Tensor:
        """Millimetres of water `[view, detector, 8]` of line integrals of each material, by the photons' own path.

        Args:
            lanes: number of the first of eight rows of detectors.
            photons: path of their randomness.
        """
        scanner, noise = self.scan.scanner, self.stream
        gain = 1.0 + scanner.rings * noise.child("rings", lanes).normal((self.rays.detectors, LANES))
        photon = noise.child("photons", *photons, *self.volume.moment)
        return detect(paths, self.mu, self.row, gain.clamp_(min=0.1), scanner.electronic_quanta, photon)


def _planar(work: _Work) -> torch.Tensor:
    """Slices of parallel or fan beams, eight at a time."""
    grid, rays = work.volume.grid, work.rays
    out = torch.empty(grid.shape, dtype=torch.float32, device=device())
    for first in range(0, grid.shape[0], LANES):
        part = slice(first, first + LANES)
        count = len(work.volume.top[part])
        paths = torch.empty((len(work.mu), rays.views, rays.detectors, LANES), dtype=torch.float32, device=device())
        for material in range(len(work.mu)):
            slices = torch.nn.functional.pad(work.material(material, part), (0, 0, 0, 0, 0, LANES - count))
            paths[material] = project(stack(slices), grid.spacing[:2], rays, work.shift)
        read = work.read(paths, first, first)
        del paths
        sharp = filtered(read, rays, work.scan.shape, work.truncated)
        out[part] = backproject(sharp, grid.size[:2], grid.spacing[:2], rays)[:count]
    return out


def _cone(work: _Work) -> torch.Tensor:
    """Slices of a cone beam on a circle around the middle one, some views at a time."""
    grid, rays = work.volume.grid, work.rays
    nz, ny, nx = grid.shape
    rows = rows_of(rays, nz)
    require(grid.shape, 8.0 * len(work.mu) + 8.0, "ct: a cone beam")
    images = [stack(work.material(m, slice(None))) for m in range(len(work.mu))]
    out = torch.zeros((ny, nx, nz), dtype=torch.float32, device=device())
    count = max(1, CHUNK_SAMPLES // (rays.detectors * rows))
    for start in range(0, rays.views, count):
        some = slice(start, min(start + count, rays.views))
        sharp = []
        for first in range(0, rows, LANES):
            paths = torch.stack([project_cone(i, grid.spacing, rays, work.shift, some, first, rows) for i in images])
            read = work.read(paths, first, first, start)
            heights = (torch.arange(first, first + LANES, device=device()) - 0.5 * (rows - 1)) * grid.spacing[2]
            sharp.append(filtered(read, rays, work.scan.shape, work.truncated, heights))
        backproject_cone(out, torch.cat(sharp, dim=2).contiguous(), grid.spacing, rays, some)
    return out.permute(2, 0, 1).contiguous()


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
