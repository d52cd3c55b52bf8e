"""Cone beams: Joseph's method through the whole volume, and Feldkamp's reconstruction of a circular orbit.

Rays are those of a fan, each with rows of detectors above and below the plane of the orbit, which is the volume's
middle slice. Beyond its ends the volume goes on as its last slices. Feldkamp, Davis and Kress 1984, J Opt Soc Am A
1:612: projections weighted by the cosine of the ray's angle, filtered along rows, back-projected with
(R / (R + p.u))^2. It is exact in the middle slice only.
"""

import math

import taichi as ti
import torch

from engine.device import device, kernel
from engine.render.ct.geometry import Rays
from engine.render.ct.project import LANES, ray_through, steps_of


def rows_of(rays: Rays, slices: int) -> int:
    """How many rows, a multiple of 8, see all slices in every view: those near the focus are magnified."""
    nearest = 1.0 - rays.reach_mm() * rays.curvature
    return LANES * math.ceil(slices / nearest / LANES)


def project_cone(
    image: torch.Tensor, spacing: tuple[float, float, float], rays: Rays, drift: torch.Tensor, some: slice, first: int,
    rows: int,
) -> torch.Tensor:  # fmt: skip
    """Line integrals `[view, detector, 8]` of a volume `[2, y + 2, x + 2, z]`, stacked as `project.stack` does.

    Args:
        some: views to take.
        first: the first of the eight rows, of `rows`.
    """
    _, ny, nx, nz = image.shape
    directions, moved = rays.directions()[some].contiguous(), drift[some].contiguous()
    out = torch.empty((len(directions), rays.detectors, LANES), dtype=torch.float32, device=device())
    shape = (nx - 2, ny - 2, nz, len(directions), rays.detectors)
    middle = 0.5 * (rows - 1) - first
    _project(image.view(-1), out.view(-1), directions, moved, *shape, *spacing, rays.pitch_mm, rays.curvature, middle)
    return out


@kernel
def _project(
    image: ti.types.ndarray(ti.f32, ndim=1), out: ti.types.ndarray(ti.f32, ndim=1),
    directions: ti.types.ndarray(ti.f32, ndim=2), drift: ti.types.ndarray(ti.f32, ndim=2),
    nx: ti.i32, ny: ti.i32, nz: ti.i32, views: ti.i32, detectors: ti.i32,
    dx: ti.f32, dy: ti.f32, dz: ti.f32, pitch: ti.f32, curvature: ti.f32, middle: ti.f32,
):  # fmt: skip
    for ray in range(views * detectors):
        ux, uy, px, py = ray_through(directions, drift, ray, detectors, nx, ny, dx, dy, pitch, curvature)
        n, m, step, side, start, along, slope, at, at_zero = steps_of(ux / dx, uy / dy, px, py, nx, ny, nz)
        total = ti.Vector([0.0] * LANES)
        for i in range(n):
            q = at_zero + i * slope
            if q >= 0.0 and q < m + 1.0:
                j = ti.cast(q, ti.i32)
                w = q - j
                far = 1.0 + (i - at) / along * curvature  # from the focus, 1 at the detector through the axis
                a = start + (i + 1) * step + j * side
                for k in ti.static(range(LANES)):
                    z = ti.math.clamp(far * (k - middle) + 0.5 * (nz - 1), 0.0, nz - 1.0)
                    low = ti.min(ti.cast(z, ti.i32), ti.max(nz - 2, 0))
                    up = ti.min(low + 1, nz - 1)
                    u = z - low
                    near = (1.0 - u) * image[a + low] + u * image[a + up]
                    next = (1.0 - u) * image[a + side + low] + u * image[a + side + up]
                    total[k] += (1.0 - w) * near + w * next
        for k in ti.static(range(LANES)):
            rise = (k - middle) * dz * curvature
            length = ti.sqrt(ux * ux + uy * uy + rise * rise)
            out[ray * LANES + k] = total[k] * length / ti.abs(along)


def backproject_cone(
    out: torch.Tensor, paths: torch.Tensor, spacing: tuple[float, float, float], rays: Rays, some: slice
) -> None:
    """Add filtered projections `[view, detector, row]` of some views to `out` `[y, x, z]`."""
    ny, nx, nz = out.shape
    directions = rays.directions()[some].contiguous()
    shape = (nx, ny, nz, len(directions), rays.detectors, paths.shape[2])
    scale = rays.turn / rays.views
    _backproject(paths.view(-1), out, directions, *shape, *spacing, rays.pitch_mm, rays.curvature, scale)


@kernel
def _backproject(
    paths: ti.types.ndarray(ti.f32, ndim=1), out: ti.types.ndarray(ti.f32, ndim=3),
    directions: ti.types.ndarray(ti.f32, ndim=2), nx: ti.i32, ny: ti.i32, nz: ti.i32, views: ti.i32,
    detectors: ti.i32, rows: ti.i32, dx: ti.f32, dy: ti.f32, dz: ti.f32, pitch: ti.f32, curvature: ti.f32,
    scale: ti.f32,
):  # fmt: skip
    for voxel in range(nx * ny):
        ix, iy = voxel % nx, voxel // nx
        x, y = (ix - 0.5 * (nx - 1)) * dx, (iy - 0.5 * (ny - 1)) * dy
        for v in range(views):
            c, s = directions[v, 0], directions[v, 1]
            nearer = 1.0 / (1.0 + curvature * (c * y - s * x))
            q = ti.math.clamp((c * x + s * y) * nearer / pitch + 0.5 * (detectors - 1), 0.0, detectors - 1.001)
            j = ti.cast(q, ti.i32)
            w = q - j
            a = (v * detectors + j) * rows
            b = a + rows
            weight = scale * nearer * nearer
            for iz in range(nz):
                r = ti.math.clamp((iz - 0.5 * (nz - 1)) * nearer + 0.5 * (rows - 1), 0.0, rows - 1.001)
                k = ti.cast(r, ti.i32)
                u = r - k
                here = (1.0 - u) * paths[a + k] + u * paths[a + k + 1]
                there = (1.0 - u) * paths[b + k] + u * paths[b + k + 1]
                out[iy, ix, iz] += weight * ((1.0 - w) * here + w * there)
