"""Which spans matter where: a tile's list of the spans whose field may reach it, and how its blocks lie to each.

From large cells down to blocks, eight at a time: a cell that the field cannot reach is left out, one that it fills is
known to be full (Barbier et al. 2025, Lipschitz Pruning, doi 10.1111/cgf.70057). Both follow from
|f(c)| > L * half diagonal, c the cell's middle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from engine.device import device
from engine.grid import Grid
from engine.program import LANES, Program

#: Voxels along the edge of a tile and of its 2 x 2 x 2 blocks.
TILE = 8
BLOCK = TILE // 2
#: How a cell lies to a surface.
OUTSIDE, CROSSED, INSIDE = 0, 1, 2
#: An entry of a tile's list: the number of a span, and above it two bits for each block of the tile.
SPAN_BITS = 15
#: Float rounding, mm: a cell is left out only beyond it.
SLACK = 2e-3
#: Cells along each axis to begin with, at most.
_ROOTS = 4

#: Two bits for each of eight blocks.
_ALL_INSIDE = sum(INSIDE << 2 * k for k in range(LANES))
_ALL_CROSSED = sum(CROSSED << 2 * k for k in range(LANES))


@dataclass(frozen=True)
class Lists:
    """Entries of all tiles, in the order of the tiles (x fastest) and, in each, of the spans.

    Args:
        first: int32 [tiles + 1], where each tile's entries begin.
        entries: int32 [n], see `SPAN_BITS`.
    """

    first: torch.Tensor
    entries: torch.Tensor


def tiles_of(grid: Grid) -> tuple[int, int, int]:
    """Tiles along z, y, x."""
    nz, ny, nx = (-(-n // TILE) for n in grid.shape)
    return nz, ny, nx


def every_span(program: Program, grid: Grid) -> Lists:
    """Every span in every tile, as if its surface might be anywhere."""
    nz, ny, nx = tiles_of(grid)
    spans, tiles = len(program.spans), nz * ny * nx
    entries = torch.arange(spans, device=device()) + (_ALL_CROSSED << SPAN_BITS)
    return _lists(torch.arange(tiles + 1, device=device()) * spans, entries.repeat(tiles))


def cull(program: Program, grid: Grid) -> Lists:
    """The spans that may reach each tile, without those that others cover wholly."""
    nz, ny, nx = tiles_of(grid)
    tiles = torch.tensor([nx, ny, nz], device=device())
    _, real = program.tables
    centre, radius, bound = real[:, :3], real[:, 3], real[:, 4]
    # from a cell's first child to each, along x, y, z
    steps = torch.tensor([[k & 1, k >> 1 & 1, k >> 2] for k in range(LANES)], device=device())
    edge = TILE
    while edge * _ROOTS < TILE * int(tiles.max()):
        edge *= 2
    roots = -(-tiles * TILE // edge)
    cell = torch.cartesian_prod(*(torch.arange(int(n), device=device()) for n in roots))
    near = torch.cdist(_middles(grid, cell * edge, edge), centre) - radius <= _half_diagonal(grid, edge)
    which, span = near.nonzero(as_tuple=True)
    cell, full = cell[which], torch.zeros(len(span), dtype=torch.bool, device=device())
    while True:
        # `edge` is that of `cell`, whose children are looked at
        side = torch.full((len(span), LANES), INSIDE, device=device())
        some = ~full
        first = cell[some, None] * edge + steps * (edge // 2)
        points, of = _middles(grid, first, edge // 2), span[some, None]
        d = program.sample(points.reshape(-1, 3), span[some]).reshape(-1, LANES)
        half = _half_diagonal(grid, edge // 2)
        near = (points - centre[of]).norm(dim=-1) - radius[of] <= half
        crossed = near & (d.abs() <= bound[of] * half)
        side[some] = torch.where(crossed, CROSSED, torch.where(near & (d < 0), INSIDE, OUTSIDE))
        if edge == TILE:
            break
        edge //= 2
        which, child = (side != OUTSIDE).nonzero(as_tuple=True)
        below = cell[which] * 2 + steps[child]
        in_grid = (below * edge < tiles * TILE).all(dim=1)
        cell, span, full = below[in_grid], span[which][in_grid], (side[which, child] == INSIDE)[in_grid]
    return _listed(program, (nz, ny, nx), cell, span, (side << 2 * torch.arange(LANES, device=device())).sum(dim=1))


def _listed(program: Program, tiles: tuple[int, int, int], cell, span, blocks) -> Lists:
    """Lists of pairs of a tile (x, y, z) and a span, with two bits for each block."""
    nz, ny, nx = tiles
    tile = (cell[:, 2] * ny + cell[:, 1]) * nx + cell[:, 0]
    rows = torch.tensor([s.row for s in program.spans], device=device())
    covers = program.family.all(dim=1).to(device())[rows][span] & (blocks == _ALL_INSIDE)
    # what was painted before a span that covers the tile does not show
    last = torch.zeros(nz * ny * nx, dtype=span.dtype, device=device())
    last.scatter_reduce_(0, tile[covers], span[covers], "amax")
    kept = (blocks != 0) & (span >= last[tile])
    tile, span, blocks = tile[kept], span[kept], blocks[kept]
    order = torch.argsort(tile * len(program.spans) + span)
    first = torch.zeros(nz * ny * nx + 1, dtype=torch.int64, device=device())
    torch.cumsum(torch.bincount(tile, minlength=nz * ny * nx), 0, out=first[1:])
    return _lists(first, (span + (blocks << SPAN_BITS))[order])


def _lists(first: torch.Tensor, entries: torch.Tensor) -> Lists:
    entries = torch.cat([entries, entries.new_zeros(1)])  # a kernel's array must not be empty
    return Lists(first.to(torch.int32), entries.to(torch.int32))


def _middles(grid: Grid, first: torch.Tensor, edge: int) -> torch.Tensor:
    """World places (mm) of the middles of cells, `edge` voxels wide, given their first voxels (..., 3)."""
    axes, origin = (torch.tensor(v, dtype=torch.float32, device=device()) for v in (grid.axes, grid.origin))
    return (first + 0.5 * (edge - 1)) @ axes.T + origin


def _half_diagonal(grid: Grid, edge: int) -> float:
    """Half the diagonal (mm) of a cell `edge` voxels wide, and room for rounding."""
    return 0.5 * edge * math.sqrt((grid.axes**2).sum()) + SLACK
