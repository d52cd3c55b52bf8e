"""Filtered back-projection: ramp filter by Fourier transform, then every view smeared back over the slices.

For a fan with a flat detector, Kak and Slaney 1988, Principles of Computerized Tomographic Imaging, section 3.4.2:
projections weighted by the cosine of the ray's angle, filtered with half the ramp, back-projected with
(R / (R + p.u))^2, where u is the view's direction and R the focus's distance from the axis.
"""

import math
from collections.abc import Callable

import numpy as np
import taichi as ti
import torch
from scipy.fft import next_fast_len

from engine.device import device, kernel
from engine.render.ct.geometry import Rays
from engine.render.ct.kernel import KERNELS
from engine.render.ct.project import LANES
from engine.render.serial import serial

#: Windows of the ramp, by u = frequency over the detectors' Nyquist frequency.
WINDOWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ram-lak": np.ones_like,
    "shepp-logan": lambda u: np.sinc(u / 2.0),
    "cosine": lambda u: np.cos(0.5 * np.pi * u),
    "hamming": lambda u: 0.54 + 0.46 * np.cos(np.pi * u),
    "hann": lambda u: 0.5 + 0.5 * np.cos(np.pi * u),
}
#: How far a truncated projection is carried on, where the field of view cuts the patient off, mm.
BEYOND_MM = 200.0
#: Detectors at the row's end that tell its value, and as many before them its slope.
_END = 4


def ramp(count: int, pitch: float, shape: str) -> np.ndarray:
    """The filter over the frequencies of `rfft` of `count` samples: the band-limited ramp times a window or a kernel.

    From its impulse response, 1 / 4a^2 at 0 and -1 / (pi n a)^2 at odd n (Ramachandran and Lakshminarayanan 1971), so
    that the mean is right. A reconstruction kernel's MTF is divided by sinc^2(f a), which linear interpolation between
    detectors takes from it; a window is applied as it is.
    """
    n = np.minimum(np.arange(count), count - np.arange(count))
    response = np.where(n % 2 == 1, -1.0 / (np.pi * np.maximum(n, 1) * pitch) ** 2, 0.0)
    response[0] = 0.25 / pitch**2
    f = np.fft.rfftfreq(count, pitch)
    if shape in WINDOWS:
        window = WINDOWS[shape](np.minimum(2.0 * f * pitch, 1.0))
    else:
        window = KERNELS[shape].mtf(f) / np.sinc(f * pitch) ** 2
    return pitch * np.fft.rfft(response).real * window


@serial()
def filtered(
    paths: torch.Tensor, rays: Rays, shape: str, truncated: bool, heights: torch.Tensor | None = None
) -> torch.Tensor:
    """Projections `[view, detector, 8]`, weighted and filtered.

    A cone's rows stand at `heights` over the orbit's plane, mm, at the axis.

    Truncated ones are carried on first: cut off sharply, the filter would make a bright rim of them.
    """
    count = rays.detectors
    beyond = math.ceil(BEYOND_MM / rays.pitch_mm) if truncated else 0
    if beyond:
        ends = [_carried_on(paths.flip(1), rays.pitch_mm, beyond).flip(1), _carried_on(paths, rays.pitch_mm, beyond)]
        paths = torch.cat([ends[0], paths, ends[1]], dim=1)
    places = (np.arange(paths.shape[1]) - 0.5 * (paths.shape[1] - 1)) * rays.pitch_mm
    square = torch.from_numpy((1.0 + (places * rays.curvature) ** 2).astype(np.float32)).to(paths.device)[:, None]
    if heights is not None:
        square = square + (heights * rays.curvature) ** 2
    paths = paths / square.sqrt()
    size = next_fast_len(2 * paths.shape[1], real=True)
    weights = ramp(size, rays.pitch_mm, shape)
    if rays.source_mm:
        weights = 0.5 * weights
    spectrum = torch.fft.rfft(paths, n=size, dim=1)
    spectrum *= torch.from_numpy(weights.astype(np.float32)).to(paths.device)[:, None]
    return torch.fft.irfft(spectrum, n=size, dim=1)[:, beyond : beyond + count].contiguous()


def _carried_on(paths: torch.Tensor, pitch: float, count: int) -> torch.Tensor:
    """What `count` more detectors `[view, count, 8]` would see if the patient went on as a cylinder of water.

    Of one with p = 2 sqrt(R^2 - x^2), value and slope tell the place, x = -p p' / 4, and the radius (Hsieh et al. 2004,
    Med Phys 31:2385). It fades out towards the last detector.
    """
    last, before = paths[:, -_END:].mean(1, keepdim=True), paths[:, -2 * _END : -_END].mean(1, keepdim=True)
    last = last.clamp(min=0.0)
    x = -0.25 * last * (last - before) / (_END * pitch)
    square = 0.25 * last * last + x * x
    steps = torch.arange(1, count + 1, dtype=paths.dtype, device=paths.device)
    further = x + (steps + 0.5 * (_END - 1))[:, None] * pitch
    return (
        2.0 * (square - further * further).clamp_(min=0.0).sqrt_() * torch.cos(0.5 * torch.pi * steps / count)[:, None]
    )


def backproject(
    filtered_paths: torch.Tensor, size: tuple[int, int], spacing: tuple[float, float], rays: Rays
) -> torch.Tensor:
    """Slices `[8, y, x]` of filtered projections, in their unit per mm.

    Args:
        size: voxels along x and y.
        spacing: mm between them.
    """
    nx, ny = size
    out = torch.empty((ny, nx, LANES), dtype=torch.float32, device=device())
    shape = (nx, ny, rays.views, rays.detectors)
    scale = rays.turn / rays.views
    _backproject(
        filtered_paths.view(-1), out.view(-1), rays.directions(), *shape, *spacing, rays.pitch_mm, rays.curvature, scale
    )
    return out.permute(2, 0, 1).contiguous()


@kernel
def _backproject(
    paths: ti.types.ndarray(ti.f32, ndim=1), out: ti.types.ndarray(ti.f32, ndim=1),
    directions: ti.types.ndarray(ti.f32, ndim=2), nx: ti.i32, ny: ti.i32, views: ti.i32, detectors: ti.i32,
    dx: ti.f32, dy: ti.f32, pitch: ti.f32, curvature: ti.f32, scale: ti.f32,
):  # fmt: skip
    for voxel in range(nx * ny):
        x, y = (voxel % nx - 0.5 * (nx - 1)) * dx, (voxel // nx - 0.5 * (ny - 1)) * dy
        total = ti.Vector([0.0] * LANES)
        for v in range(views):
            c, s = directions[v, 0], directions[v, 1]
            nearer = 1.0 / (1.0 + curvature * (c * y - s * x))
            q = (c * x + s * y) * nearer / pitch + 0.5 * (detectors - 1)
            q = ti.math.clamp(q, 0.0, detectors - 1.001)
            j = ti.cast(q, ti.i32)
            w = (q - j) * nearer * nearer
            u = nearer * nearer - w
            a = ti.cast((v * detectors + j) * LANES, ti.i64)
            for k in ti.static(range(LANES)):
                total[k] += u * paths[a + k] + w * paths[a + LANES + k]
        o = ti.cast(voxel, ti.i64) * LANES
        for k in ti.static(range(LANES)):
            out[o + k] = total[k] * scale
