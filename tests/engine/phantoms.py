"""Small test volumes: boxes and spheres of given tissues, with coverage at their surfaces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from engine.device import device
from engine.grid import Grid
from engine.random import Stream
from engine.render.protocol import Protocol
from engine.tissue import Tissue, tissue
from engine.volume import PALETTE, Structure, Volume

Vector = tuple[float, float, float]
Distance = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Part:
    """A tissue (or its name) where `distance(x, y, z)` in mm is negative; `name` defaults to the tissue's."""

    tissue: str | Tissue
    distance: Distance
    name: str | None = None


def sphere(what: str | Tissue, centre: Vector, radius: float, name: str | None = None) -> Part:
    """A ball; centre and radius in mm."""
    a, b, c = centre
    return Part(what, lambda x, y, z: np.sqrt((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) - radius, name)


def cylinder(what: str | Tissue, centre: tuple[float, float], radius: float, name: str | None = None) -> Part:
    """An endless cylinder along z; centre (x, y) and radius in mm."""
    a, b = centre
    return Part(what, lambda x, y, z: np.hypot(x - a, y - b) - radius + 0 * z, name)


def box(what: str | Tissue, centre: Vector, half: Vector, name: str | None = None) -> Part:
    """A box; centre and half edges in mm."""

    def distance(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        sides = (np.abs(p - c) - h for p, c, h in zip((x, y, z), centre, half, strict=True))
        a, b, c = sides
        return np.maximum(np.maximum(a, b), c)

    return Part(what, distance, name)


def build(*parts: Part, n: int = 48, spacing: float = 1.5, background: str = "air", grid: Grid | None = None) -> Volume:
    """The volume of `parts` on a centred cube of `n` voxels (or on `grid`); later parts win."""
    grid = grid or Grid.centred((n, n, n), (spacing,) * 3)
    axes = [o + s * np.arange(m) for o, s, m in zip(grid.origin, grid.spacing, grid.size, strict=True)]
    z, y, x = np.meshgrid(*axes[::-1], indexing="ij", sparse=True)
    top, under = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.uint8)
    coverage = np.full(grid.shape, 255, np.uint8)
    rows = [Structure("background", 0, "background", tissue(background))]
    for row, part in enumerate(parts, start=1):
        made_of = tissue(part.tissue) if isinstance(part.tissue, str) else part.tissue
        name = part.name or f"{made_of.name}.{row}"
        rows.append(Structure(name, row, name, made_of, color=PALETTE[(row - 1) % len(PALETTE)]))
        share = np.clip(0.5 - part.distance(x, y, z) / min(grid.spacing), 0.0, 1.0) + np.zeros(grid.shape)
        _lay(top, under, coverage, row, np.rint(255 * share).astype(np.uint8))
    tensors = (torch.from_numpy(a).to(device()) for a in (top, under, coverage))
    return Volume(grid, *tensors, tuple(rows))


def _lay(top: np.ndarray, under: np.ndarray, coverage: np.ndarray, row: int, share: np.ndarray) -> None:
    """Put `row` over what is there; a voxel keeps its two largest structures."""
    most, some = share >= 128, (share > 0) & (share < 128)
    under[most] = top[most]
    top[most] = row
    coverage[most] = share[most]
    under[some] = row
    coverage[some] = 255 - share[some]


def uniform(what: str | Tissue, n: int = 48, spacing: float = 1.5) -> Volume:
    """A volume filled with one tissue."""
    return build(Part(what, lambda x, y, z: -1e6 + 0 * (x + y + z)), n=n, spacing=spacing)


def renders(
    protocol: Protocol, volume: Volume, stream: Stream, threads: tuple[int, ...] = (1, 2, 3)
) -> list[torch.Tensor]:
    """The protocol's image under each number of torch threads."""
    before, images = torch.get_num_threads(), []
    try:
        for count in threads:
            torch.set_num_threads(count)
            images.append(protocol.render(volume, stream).data)
    finally:
        torch.set_num_threads(before)
    return images
