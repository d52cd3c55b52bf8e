"""Line integrals through slices by Joseph's method, for parallel and fan beams.

A ray steps through the columns or the rows of voxels, whichever it crosses more steeply, and takes there the linear
interpolation of the two voxels it passes between (Joseph 1982, IEEE Trans Med Imaging 1:192). Eight slices go together:
a ray's steps are the same in all of them, and processors add eight numbers as fast as one.

The interpolation blurs by sinc^2(f d) across the ray, d being a voxel; voxels are sharpened along the axis that is
interpolated, by the inverse of that to second order, so that the scan is as sharp as its detectors.
"""

import taichi as ti
import torch

from engine.device import device, kernel
from engine.render.ct.geometry import Rays

#: Slices that are projected together.
LANES = 8
#: Sharpens by 1 + 2 s (1 - cos(2 pi f d)), near 1 / sinc^2(f d): s = 1/12 at low frequencies, a little more above.
_SHARPEN = 0.1


def stack(slices: torch.Tensor) -> torch.Tensor:
    """Slices `[z, y, x]` as kernels read them, `[2, y + 2, x + 2, z]`: sharpened along y and along x."""
    image = torch.nn.functional.pad(slices, (1, 1, 1, 1)).permute(1, 2, 0)
    return torch.stack([_sharpened(image, 0), _sharpened(image, 1)])


def _sharpened(image: torch.Tensor, axis: int) -> torch.Tensor:
    out = (1.0 + 2.0 * _SHARPEN) * image
    n = image.shape[axis] - 1
    out.narrow(axis, 0, n).sub_(image.narrow(axis, 1, n), alpha=_SHARPEN)
    out.narrow(axis, 1, n).sub_(image.narrow(axis, 0, n), alpha=_SHARPEN)
    return out


def project(image: torch.Tensor, spacing: tuple[float, float], rays: Rays, drift: torch.Tensor) -> torch.Tensor:
    """Line integrals `[view, detector, 8]` of `stack`ed slices, in their unit times mm.

    Args:
        spacing: mm between voxels along x and y.
        drift: where the patient is at each view `[view, 2]`, mm.
    """
    _, ny, nx, _ = image.shape
    out = torch.empty((rays.views, rays.detectors, LANES), dtype=torch.float32, device=device())
    shape = (nx - 2, ny - 2, rays.views, rays.detectors)
    _project(image.view(-1), out.view(-1), rays.directions(), drift, *shape, *spacing, rays.pitch_mm, rays.curvature)
    return out


@ti.func
def ray_through(
    directions: ti.template(), drift: ti.template(), ray: ti.i32, detectors: ti.i32, nx: ti.i32, ny: ti.i32,
    dx: ti.f32, dy: ti.f32, pitch: ti.f32, curvature: ti.f32,
):  # fmt: skip
    """A ray's direction (x, y), 1 along the central ray, and the voxel coordinates (x, y) of a point on it.

    A ray of a fan goes from -(1 / curvature) of the central ray's direction (-s, c) through t of the detector.
    """
    v, d = ray // detectors, ray % detectors
    c, s = directions[v, 0], directions[v, 1]
    t = (d - 0.5 * (detectors - 1)) * pitch
    px, py = (t * c - drift[v, 0]) / dx + 0.5 * (nx - 1), (t * s - drift[v, 1]) / dy + 0.5 * (ny - 1)
    return t * curvature * c - s, t * curvature * s + c, px, py


@ti.func
def steps_of(gx: ti.f32, gy: ti.f32, px: ti.f32, py: ti.f32, nx: ti.i32, ny: ti.i32, planes: ti.i32):
    """How a ray with slopes (gx, gy), in voxels, through (px, py) steps through `stack`ed slices, `planes` of them.

    Returns, for the axis that it steps by (along) and the other (aside): voxels along and aside, strides along and
    aside, where the image sharpened aside begins, the slope along, that of aside over along, the point's coordinate
    along, and the coordinate aside at along 0 in the bordered image.
    """
    steep = ti.abs(gx) >= ti.abs(gy)
    n, m = ti.select(steep, nx, ny), ti.select(steep, ny, nx)
    step, side = ti.select(steep, planes, planes * (nx + 2)), ti.select(steep, planes * (nx + 2), planes)
    start = ti.select(steep, 0, planes * (nx + 2) * (ny + 2))
    along, aside = ti.select(steep, gx, gy), ti.select(steep, gy, gx)
    slope, at = aside / along, ti.select(steep, px, py)
    return n, m, step, side, start, along, slope, at, ti.select(steep, py, px) - at * slope + 1.0


@kernel
def _project(
    image: ti.types.ndarray(ti.f32, ndim=1), out: ti.types.ndarray(ti.f32, ndim=1),
    directions: ti.types.ndarray(ti.f32, ndim=2), drift: ti.types.ndarray(ti.f32, ndim=2),
    nx: ti.i32, ny: ti.i32, views: ti.i32, detectors: ti.i32, dx: ti.f32, dy: ti.f32, pitch: ti.f32, curvature: ti.f32,
):  # fmt: skip
    for ray in range(views * detectors):
        ux, uy, px, py = ray_through(directions, drift, ray, detectors, nx, ny, dx, dy, pitch, curvature)
        length = ti.sqrt(ux * ux + uy * uy)
        n, m, step, side, start, along, slope, _, at_zero = steps_of(
            ux / length / dx, uy / length / dy, px, py, nx, ny, LANES
        )
        low, high = 0, n
        if ti.abs(slope) > 1e-6:
            first, last = -at_zero / slope, (m + 1.0 - at_zero) / slope
            low = ti.max(low, ti.cast(ti.ceil(ti.max(ti.min(first, last), -1.0)), ti.i32))
            high = ti.min(high, ti.cast(ti.floor(ti.min(ti.max(first, last), n + 1.0)), ti.i32) + 1)
        elif at_zero < 0.0 or at_zero > m + 1.0:
            high = 0
        total = ti.Vector([0.0] * LANES)
        for i in range(low, high):
            q = ti.math.clamp(at_zero + i * slope, 0.0, m + 0.9999)
            j = ti.cast(q, ti.i32)
            w = q - j
            a = ti.cast(
                start + (i + 1) * step + j * side, ti.i64
            )  # wide, so that the compiler sees that loads are adjacent
            b = a + ti.cast(side, ti.i64)
            for k in ti.static(range(LANES)):
                total[k] += (1.0 - w) * image[a + k] + w * image[b + k]
        o = ti.cast(ray, ti.i64) * LANES
        for k in ti.static(range(LANES)):
            out[o + k] = total[k] / ti.abs(along)
