"""Benchmarks of the engine: ratios between ways to do the same work, measured side by side in one run."""

from __future__ import annotations

import functools
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from engine import peers
from engine.compile import compile_scene, rotation
from engine.device import device
from engine.grid import Grid
from engine.program import LANES
from engine.random import Stream
from engine.render.protocols import PROTOCOLS
from engine.scene import Scene
from engine.voxelize import voxelize

_ORGANS = 30


def organs(noise: bool = True, warp: bool = True, seed: int = 0) -> Scene:
    """Thirty organs, each a smooth union of three rotated ellipsoids, with or without noise and a warp, in 256 mm."""
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
        bent = [{"warp": {"amplitude": 4, "wavelength": 60, "seed": i}}] if warp else []
        bumps = [{"noise": {"amplitude": 2.5, "wavelength": 24, "seed": i}}] if noise else []
        structures[f"organ{i}"] = {
            "kind": "blend",
            "material": "liver",
            "smooth": 6.0,
            "at": rng.uniform(-80, 80, 3).tolist(),
            "parts": parts,
            "deform": bumps + bent,
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
        here = world - single(organ.at)
        for entry in organ.deform:
            for k, phase, step in zip(*entry.warp.shears(), strict=True):
                here = here + np.sin(here @ single(k) + single(phase))[..., None] * single(step)
        for part in organ.parts:
            local = (here - single(part.at)) @ single(rotation(part.rotate))
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


def cost(work: Callable[[], Any], runs: int = 3, warm: bool = True) -> Cost:
    """What `work` costs, after one run that warms caches (compilation is not counted)."""
    if warm:
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


def grid_of(n: int) -> Grid:
    """A cube of 256 mm with n voxels along each edge."""
    return Grid.centred((n, n, n), (256 / n,) * 3)


def bench_voxelize() -> list[dict[str, Any]]:
    """Culled against dense and against NumPy at 256^3; growth with size; peak memory; the first preview."""
    rough, smooth = organs(), organs(noise=False)
    whole = cost(functools.partial(voxelize, rough, grid_of(256)))
    dense = cost(functools.partial(voxelize, rough, grid_of(256), dense=True), runs=1, warm=False)
    ours = cost(functools.partial(voxelize, smooth, grid_of(256)))
    numpy = cost(functools.partial(labels_with_numpy, smooth, grid_of(256)), runs=1, warm=False)
    small = cost(functools.partial(voxelize, rough, grid_of(128)))
    rows = [
        row("30 warped organs with noise, 256^3", whole, whole),
        row("the same dense: each organ in every voxel", dense, whole),
        row("30 warped organs without noise, 256^3", ours, ours),
        row("the same fields in NumPy, labels only", numpy, ours),
        row("30 warped organs with noise, 128^3", small, small),
    ]
    for n in (256, 512):
        again = cost(functools.partial(voxelize, rough, grid_of(n)))
        power = math.log(again.cpu / small.cpu) / math.log(n / 128)
        rows.append(row(f"the same, {n}^3: grows as n^{power:.2f}", again, small))
    rows += _floors(rough, whole)
    rows.append(note("peak memory at 512^3 over the three bytes a voxel that come out", _peak_share(512)))
    rows.append(
        note("seconds to a first volume of `abdomen` at 96^3 in a new process, kernels cached", _first(cached=True))
    )
    rows.append(note("the same with nothing cached", _first(cached=False)))
    return rows


def note(what: str, value: float) -> dict[str, Any]:
    """A line of a table that holds one figure of its own."""
    return {"work": f"{what}: {value:.2f}", "seconds": None, "cpu": None, "ratio": None, "value": value}


def remark(text: str) -> dict[str, Any]:
    """A line of a table without figures."""
    return {"work": text, "seconds": None, "cpu": None, "ratio": None}


def _floors(scene: Scene, whole: Cost) -> list[dict[str, Any]]:
    """What voxelising at 256^3 cannot do without: to write what comes out, and to know the field where surfaces are."""
    program, _ = compile_scene(scene)
    volume = voxelize(scene, grid_of(256))
    arrays = (volume.top, volume.under, volume.coverage)
    crossed = nn.functional.max_pool3d((volume.coverage < 255).float()[None], 2)[0] > 0
    z, y, x = crossed.nonzero(as_tuple=True)
    steps = torch.tensor([[k & 1, k >> 1 & 1, k >> 2] for k in range(LANES)])
    index = 2 * torch.stack([x, y, z], dim=1).cpu()[:, None] + steps
    points = torch.as_tensor(volume.grid.to_world(index.reshape(-1, 3).numpy()), dtype=torch.float32).to(device())
    spans = torch.arange(len(z), device=device()) % len(program.spans)
    return [
        row("floor by bytes: the three arrays are written", cost(lambda: [array.clone() for array in arrays]), whole),
        row(
            f"floor by arithmetic: one field at the voxels of the {len(z)} bricks that surfaces cross",
            cost(lambda: program.sample(points, spans)),
            whole,
        ),
    ]


_PEAK = """
import sys, threading
import psutil
from engine.bench import grid_of, organs
from engine.voxelize import voxelize
scene, n, process, done = organs(), int(sys.argv[1]), psutil.Process(), threading.Event()
voxelize(scene, grid_of(64))
before = peak = process.memory_info().rss
def watch():
    global peak
    while not done.wait(0.005):
        peak = max(peak, process.memory_info().rss)
watching = threading.Thread(target=watch)
watching.start()
volume = voxelize(scene, grid_of(n))
done.set()
watching.join()
print((peak - before) / (3 * n**3))
"""

_FIRST = """
from engine.scene import Scene
from engine.voxelize import voxelize
scene = Scene.load("scenes/abdomen.yaml").sample(1)
voxelize(scene, scene.grid.grid(96))
"""


def _run(program: str, *arguments: str, **environment: str) -> str:
    """What a program prints that runs in a process of its own."""
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def _peak_share(n: int) -> float:
    """Peak memory of voxelising at n^3, over that of what comes out."""
    return float(_run(_PEAK, str(n)))


def _first(cached: bool) -> float:
    """Seconds from the start of a process to its first volume."""
    if cached:
        _run(_FIRST)  # fills the cache: a process writes it when it ends
    start = time.perf_counter()
    _run(_FIRST, VISCERA_KERNEL_CACHE=str(int(cached)))
    return time.perf_counter() - start


def bench_render() -> list[dict[str, Any]]:
    """Each renderer on one volume of the same organs, over voxelising it; and what a user would pick instead."""
    scene = organs()
    volume, stream = voxelize(scene, grid_of(128)), Stream.of(0)
    geometry = cost(functools.partial(voxelize, scene, grid_of(128)))
    rows = [row("30 warped organs with noise, 128^3", geometry, geometry)]
    rendered = {
        name: cost(functools.partial(protocol().render, volume, stream)) for name, protocol in PROTOCOLS.items()
    }
    rows += [row(f"{name}, default protocol", measured, geometry) for name, measured in rendered.items()]
    frames = volume.grid.size[2]
    return rows + _projectors() + _frames(Cost(rendered["us"].wall / frames, rendered["us"].cpu / frames), frames)


def _projectors() -> list[dict[str, Any]]:
    """The projector of fidelity `projection` alone against astra-toolbox's."""
    if not peers.installed("astra"):
        return [remark(f"ct, line integrals against astra-toolbox: {peers.INSTALL}")]
    rows = []
    for beam in peers.BEAMS:
        ours, theirs = (cost(work) for work in peers.projections(beam))
        rows.append(row(f"ct, line integrals of eight slices of 256^2, {beam}", ours, ours))
        rows.append(row("the same by astra-toolbox on the CPU", theirs, ours))
    return rows


def _frames(ours: Cost, frames: int) -> list[dict[str, Any]]:
    """A frame of our ultrasound against one of PyMUST's."""
    if not peers.installed("pymust"):
        return [remark(f"us, a frame against PyMUST's: {peers.INSTALL}")]
    theirs = cost(peers.pymusts_echoes(), runs=1, warm=False)
    return [
        row(f"us, one of the {frames} frames", ours, ours),
        row(f"the echoes of {peers.SCATTERERS} scatterers by PyMUST's simus, one plane wave", theirs, ours),
    ]


def table(name: str, rows: list[dict[str, Any]]) -> str:
    """Rows as a Markdown table."""
    lines = [f"## {name}", "", "| work | seconds | CPU-seconds | ratio of CPU-seconds |", "|---|---|---|---|"]
    for r in rows:
        figures = ("", "", "") if r["cpu"] is None else (f"{r['seconds']:.3f}", f"{r['cpu']:.3f}", f"{r['ratio']:.2f}")
        lines.append(f"| {r['work']} | {' | '.join(figures)} |")
    return "\n".join(lines)
