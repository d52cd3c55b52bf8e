"""The beam-space lattice: rays across the field of view, samples along them, and how it lies in a slice's plane."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.grid import Grid
from engine.render.us import psf
from engine.render.us.placement import Pose, crossing
from engine.render.us.probe import Probe

#: Most beams and samples of a frame: enough for any scanner's screen.
MOST_BEAMS, MOST_SAMPLES = 768, 8192


@dataclass(frozen=True)
class Lattice:
    """Beams and samples of one frame; every slice has the same.

    Sample i of a beam lies at range (i + 1/2) `step_mm`. Tissue is looked up on a coarser set of `path_samples`, spaced
    `path_mm`, because it changes no faster than voxels do, whereas speckle does.

    Args:
        start: index coordinates (y, x) of the beams' origins, `[beams, 2]`.
        slope: index coordinates per mm along the beams, `[beams, 2]`.
        entry: range at which each beam enters the grid, mm, `[beams]`; gel lies before it.
        voxel_mm: the finest in-plane spacing of the grid.
        axial_mm: -6 dB length of the pulse's echo.
        foreshortening, element: `Probe`'s, for each beam, `[beams]`.
    """

    probe: Probe
    depth_mm: float
    step_mm: float
    samples: int
    path_mm: float
    path_samples: int
    start: np.ndarray
    slope: np.ndarray
    entry: np.ndarray
    voxel_mm: float
    axial_mm: float
    foreshortening: np.ndarray
    element: np.ndarray

    @property
    def beams(self) -> int:
        """Beams in a frame."""
        return len(self.start)

    @property
    def ranges(self) -> np.ndarray:
        """Ranges of the samples, mm, `[samples]`."""
        return (np.arange(self.samples) + 0.5) * self.step_mm

    @property
    def path_ranges(self) -> np.ndarray:
        """Ranges of the samples at which tissue is looked up, mm, `[path_samples]`."""
        return (np.arange(self.path_samples) + 0.5) * self.path_mm

    @property
    def profile(self) -> tuple[float, float]:
        """Of an interface's echo, in path samples: how far it is level each way, and the sigma of its tails.

        As wide as the pulse at half height, or as 1.3 voxels where those are longer. Where the envelope is sampled more
        finely than the path, it takes two neighbouring path samples of full height for one of its own.
        """
        flat = 0.5 if self.path_mm <= self.step_mm else 1.0
        half = 0.5 * self.axial_mm / self.path_mm
        return flat, max(half - flat, 0.3) / math.sqrt(2.0 * math.log(2.0))

    def pitch(self, range_mm: np.ndarray) -> np.ndarray:
        """Distance (mm) between neighbouring beams at each range."""
        return self.probe.spread(range_mm) / (self.beams - 1)


def lay(probe: Probe, grid: Grid, pose: Pose, frequency_mhz: float, focus_mm: float, depth_mm: float) -> Lattice:
    """The lattice that resolves both the point-spread function and the grid, and no more.

    Beams are 0.6 of the beam's width at the focus apart and samples half a pulse, but neither is finer than what the
    grid could show: half a voxel across and a quarter along; detail below that averages out in scan conversion.
    """
    voxel = min(grid.spacing[:2])
    width = float(psf.lateral_width(probe, frequency_mhz, focus_mm, np.array([focus_mm]))[0])
    across = float(probe.spread(np.array([focus_mm]))[0]) / max(0.6 * width, 0.5 * voxel)
    beams = int(np.clip(math.ceil(across) + 1, 32, MOST_BEAMS))
    axial = psf.axial_width(probe, frequency_mhz)
    step = max(0.5 * axial, 0.25 * voxel, depth_mm / MOST_SAMPLES)
    path = max(step, 0.5 * voxel)
    fraction = np.linspace(0.0, 1.0, beams)
    origin, direction = probe.rays(fraction)
    origin, direction = np.array(pose.face) + pose.to_plane(origin), pose.to_plane(direction)
    entry, _ = crossing(grid, origin, direction)
    spacing, size = np.array(grid.spacing[:2]), np.array(grid.size[:2])
    return Lattice(
        probe=probe,
        depth_mm=depth_mm,
        step_mm=step,
        samples=math.ceil(depth_mm / step),
        path_mm=path,
        path_samples=math.ceil(depth_mm / path) + 1,
        start=(origin / spacing + 0.5 * (size - 1))[:, ::-1],
        slope=(direction / spacing)[:, ::-1],
        entry=entry,
        voxel_mm=voxel,
        axial_mm=axial,
        foreshortening=probe.foreshortening(fraction),
        element=probe.element(fraction),
    )


def project(lattice: Lattice, grid: Grid, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Beam coordinate and range (mm), both `[ny, nx]`, of every voxel of a slice; -1 outside the field of view."""
    nx, ny, _ = grid.size
    x = (np.arange(nx) - 0.5 * (nx - 1)) * grid.spacing[0]
    y = (np.arange(ny) - 0.5 * (ny - 1)) * grid.spacing[1]
    fraction, range_mm = lattice.probe.locate(*pose.to_probe(x[None, :], y[:, None]))
    fraction, range_mm = np.broadcast_arrays(fraction, range_mm)
    seen = (fraction >= 0) & (fraction <= 1) & (range_mm >= 0) & (range_mm <= lattice.depth_mm)
    return np.where(seen, fraction * (lattice.beams - 1), -1.0), np.where(seen, range_mm, -1.0)
