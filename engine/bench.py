"""Benchmarks of the engine: ratios between ways to do the same work, measured side by side in one run."""

from __future__ import annotations

import functools
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from engine.compile import rotation
from engine.grid import Grid
from engine.random import Stream
from engine.render.protocols import PROTOCOLS
from engine.scene import Scene
from engine.voxelize import voxelize

_ORGANS = 30


def organs(noise: bool = True, seed: int = 0) -> Scene:
    """Thirty organs, each a smooth union of three rotated ellipsoids, with or without noise, in 256 mm."""
    rng = np.random.default_rng(seed)
    structures = {}
    for i in range(_ORGANS):
        parts = [
            {
                "kind": "ellipsoid",
                "at": rng.uniform(-12, 12, 3).tolist(),
                "rotate": rng.uniform(0, 180, 3).tolist(),
                "radii": rng.uniform(8, 26, 3).tolist(),
            }
            for _ in range(3)
        ]
        bumps = [{"noise": {"amplitude": 2.5, "wavelength": 24, "seed": i}}] if noise else []
        structures[f"organ{i}"] = {
            "kind": "blend",
            "material": "liver",
            "smooth": 6.0,
            "at": rng.uniform(-80, 80, 3).tolist(),
            "parts": parts,
            "deform": bumps,
        }
    grid = {"size": [256] * 3, "spacing": [1.0] * 3}
    return Scene.model_validate({"viscera": 1, "name": "organs", "grid": grid, "structures": structures})


def labels_with_numpy(scene: Scene, grid: Grid) -> np.ndarray:
    """The label map of `organs(noise=False)` as NumPy users write it: every field on the whole grid, no coverage."""
    single = functools.partial(np.asarray, dtype=np.float32)
    z, y, x = (np.arange(n, dtype=np.float32) for n in grid.shape)
    index = np.stack(np.meshgrid(z, y, x, indexing="ij")[::-1], axis=-1)
    world = index * single(grid.spacing) + single(grid.origin)
    out = np.zeros(grid.shape, np.uint8)
    for label, organ in enumerate(scene.structures.values(), 1):
        field: Any = None
        for part in organ.parts:
            local = (world - single(organ.at) - single(part.at)) @ single(rotation(part.rotate))
            radii = single(part.radii)
            d = (np.linalg.norm(local / radii, axis=-1) - 1) * radii.min()
            if field is None:
                field = d
                continue
            h = np.maximum(organ.smooth - np.abs(field - d), 0) / organ.smooth
            field = np.minimum(field, d) - h * h * organ.smooth * 0.25
        out[field < 0] = label
    return out


@dataclass(frozen=True)
class Cost:
    """Median wall and CPU seconds of one piece of work."""

    wall: float
    cpu: float


def cost(work: Callable[[], Any], runs: int = 3) -> Cost:
    """What `work` costs, after one run that warms caches (compilation is not counted)."""
    work()
    walls, cpus = [], []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Cost(statistics.median(walls), statistics.median(cpus))


def row(work: str, measured: Cost, reference: Cost) -> dict[str, Any]:
    """A line of a table: seconds, and CPU seconds over those of the reference."""
    return {"work": work, "seconds": measured.wall, "cpu": measured.cpu, "ratio": measured.cpu / reference.cpu}


def machine() -> str:
    """What it was measured on, in a line."""
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
    return f"{os.cpu_count()} CPU cores ({platform.machine()}), {gpu}, Python {platform.python_version()}"


def bench_voxelize() -> list[dict[str, Any]]:
    """Tiles against none and against NumPy; growth with size."""
    plain, rough = organs(noise=False), organs()
    small = Grid.centred((128, 128, 128), (2.0, 2.0, 2.0))
    culled = cost(functools.partial(voxelize, rough, small))
    dense = cost(functools.partial(voxelize, rough, small, dense=True), runs=1)
    ours = cost(functools.partial(voxelize, plain, small))
    numpy = cost(functools.partial(labels_with_numpy, plain, small), runs=1)
    rows = [
        row("30 organs with noise, 128^3", culled, culled),
        row("the same without tiles: each organ in every voxel of its ball", dense, culled),
        row("30 organs without noise, 128^3", ours, ours),
        row("the same fields in NumPy, labels only", numpy, ours),
    ]
    for n in (64, 256):
        grid = Grid.centred((n, n, n), (256 / n,) * 3)
        rows.append(
            row(f"30 organs with noise, {n}^3, over 128^3", cost(functools.partial(voxelize, rough, grid)), culled)
        )
    return rows


def bench_render() -> list[dict[str, Any]]:
    """Each renderer on one volume of the same organs, over voxelising it."""
    scene = organs()
    small = Grid.centred((128, 128, 128), (2.0, 2.0, 2.0))
    volume, stream = voxelize(scene, small), Stream.of(0)
    geometry = cost(functools.partial(voxelize, scene, small))
    rows = [row("30 organs with noise, 128^3", geometry, geometry)]
    for name, protocol in PROTOCOLS.items():
        rows.append(
            row(f"{name}, default protocol", cost(functools.partial(protocol().render, volume, stream)), geometry)
        )
    return rows


#: Benchmarks by name.
BENCHMARKS: dict[str, Callable[[], list[dict[str, Any]]]] = {"voxelize": bench_voxelize, "render": bench_render}


def table(name: str, rows: list[dict[str, Any]]) -> str:
    """Rows as a Markdown table."""
    lines = [f"## {name}", "", "| work | seconds | CPU-seconds | ratio of CPU-seconds |", "|---|---|---|---|"]
    lines += [f"| {r['work']} | {r['seconds']:.3f} | {r['cpu']:.3f} | {r['ratio']:.2f} |" for r in rows]
    return "\n".join(lines)
