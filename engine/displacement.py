"""Where the tissue of each voxel was at phase 0: the exact displacement field of a scene's motions.

With psi the backward map of a phase, u(p) = psi(p) - p pulls phase 0 to that phase: image_t(p) = image_0(p + u(p)),
which is what ITK's DisplacementFieldTransform does when it resamples phase 0.
"""

import numpy as np
import taichi as ti
import torch

from engine.compile import Assembler, strokes
from engine.device import device, kernel
from engine.grid import Grid
from engine.position import position
from engine.program import carry
from engine.scene.model import Scene


def displacement(scene: Scene, grid: Grid | None = None, phase: float | None = None) -> torch.Tensor:
    """u(p) in mm along the world's axes (LPS+, ordered x, y, z) at every voxel: float32 `[z, y, x, 3]`.

    Args:
        scene: a scene without distributions (`Scene.sample`); one without motion gives zeros.
        grid: where the voxels are; the scene's own grid by default.
        phase: in [0, 1); the scene's own by default.
    """
    grid = grid or scene.grid.grid()
    out = torch.zeros((*grid.shape, 3), dtype=torch.float32, device=device())
    moved = strokes(scene, scene.phase if phase is None else phase)
    if moved:
        assembler = Assembler()
        assembler.carry(moved)
        code, params = assembler.tape()
        axes = torch.from_numpy(grid.axes.astype(np.float32)).to(device())
        origin = torch.tensor(grid.origin, dtype=torch.float32).to(device())
        _displace(out, code, params, axes, origin)
    return out


@kernel
def _displace(
    out: ti.types.ndarray(ti.f32, ndim=4),
    code: ti.types.ndarray(ti.i32, ndim=2),
    params: ti.types.ndarray(ti.f32, ndim=1),
    axes: ti.types.ndarray(ti.f32, ndim=2),
    origin: ti.types.ndarray(ti.f32, ndim=1),
):
    for z, y, x in ti.ndrange(out.shape[0], out.shape[1], out.shape[2]):
        p = position(axes, origin, float(x), float(y), float(z))
        u = carry(code, params, p) - p
        for j in ti.static(range(3)):
            out[z, y, x, j] = u[j]
