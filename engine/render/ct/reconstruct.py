"""The image that filtered back-projection would give: blurred by the kernel, with noise of its spectrum."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.fft import next_fast_len

from engine.random import Stream
from engine.render.ct.kernel import KERNELS, slice_profile
from engine.render.serial import serial

#: Beyond this the kernels' point spread functions are below 1e-4 of their peak, mm.
REACH_MM = 4.0


@dataclass(frozen=True)
class Plane:
    """The in-plane lattice that a slice is filtered on: its voxels (y, x), padded, and their spacing in mm."""

    size: tuple[int, int]
    spacing: tuple[float, float]
    margin: tuple[int, int]

    @classmethod
    def around(cls, size: tuple[int, int], spacing: tuple[float, float]) -> Plane:
        """Room for a point spread function on every side, and a size that is fast to transform."""
        margin = tuple(math.ceil(REACH_MM / s) for s in spacing)
        padded = tuple(next_fast_len(n + 2 * m, real=True) for n, m in zip(size, margin, strict=True))
        return cls(padded, spacing, margin)  # type: ignore[arg-type]

    def frequencies(self) -> tuple[np.ndarray, np.ndarray]:
        """Spatial frequencies of `rfft2` in cycles/mm along y (column) and x (row)."""
        return np.fft.fftfreq(self.size[0], self.spacing[0])[:, None], np.fft.rfftfreq(self.size[1], self.spacing[1])


@functools.lru_cache(maxsize=8)
def image_transfer(plane: Plane, kernel: str) -> torch.Tensor:
    """The kernel over `rfft2`'s frequencies, 1 at frequency 0, float32.

    That of its point spread function sampled on the lattice: the MTF, where the lattice is fine enough. Cutting the MTF
    off at a coarse lattice's Nyquist frequency instead would ring across the whole image.
    """
    transfer = _folded(plane, kernel, KERNELS[kernel].mtf)
    return torch.from_numpy((transfer / transfer[0, 0]).astype(np.float32))


@functools.lru_cache(maxsize=8)
def noise_transfer(plane: Plane, kernel: str) -> torch.Tensor:
    """Square root of the noise-power spectrum over `rfft2`'s frequencies, scaled to unit variance, float32.

    The ramp filter gives NPS(f) ~ |f| MTF(f)^2 (Riederer, Pelc and Chesler 1978, Phys Med Biol 23:446); sampling folds
    what lies beyond the lattice's Nyquist frequency back into it (Kijewski and Judy 1987, doi
    10.1088/0031-9155/32/5/003).
    """
    power = _folded(plane, kernel, lambda f: f * KERNELS[kernel].mtf(f) ** 2)
    ny, nx = plane.size
    twice = np.full(nx // 2 + 1, 2.0)  # the half of the spectrum that `rfft2` leaves out is its mirror image
    twice[0] = 1.0
    if nx % 2 == 0:
        twice[-1] = 1.0
    return torch.from_numpy(np.sqrt(power / ((power * twice).sum() / (ny * nx))).astype(np.float32))


def _folded(plane: Plane, kernel: str, spectrum: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """A radial spectrum over `rfft2`'s frequencies with its aliases, as sampling on the lattice makes it."""
    fy, fx = plane.frequencies()
    reach = 3.0 * KERNELS[kernel].cutoff_per_mm  # where the MTF is below 0.002
    rows, columns = (np.arange(-math.ceil(reach * s), math.ceil(reach * s) + 1) / s for s in plane.spacing)
    return sum((spectrum(np.hypot(fy + row, fx + column)) for row in rows for column in columns), np.zeros(1))


@serial()
def reconstruct(
    hu: torch.Tensor,
    spacing: tuple[float, float, float],
    kernel: str,
    slice_mm: float,
    noise_hu: float | torch.Tensor,
    stream: Stream,
) -> torch.Tensor:
    """The reconstructed image of ideal CT numbers.

    Args:
        hu: CT numbers `[z, y, x]` of what is in each voxel.
        spacing: mm along x, y, z.
        kernel: name of the reconstruction kernel.
        slice_mm: thickness of slices; no effect where it is not above the spacing along z.
        noise_hu: standard deviation of the noise, one for all slices or one each `[z]`; 0 for none. Slices are
            independent unless they overlap.
        stream: the noise's randomness.
    """
    nz, ny, nx = hu.shape
    dx, dy, dz = spacing
    plane = Plane.around((ny, nx), (dy, dx))
    profile = slice_profile(nz, dz, slice_mm)
    if profile is not None:
        hu = along_z(profile, hu)
    (top, left), (height, width) = plane.margin, plane.size
    padding = (left, width - nx - left, top, height - ny - top)
    spectrum = torch.fft.rfft2(torch.nn.functional.pad(hu[None], padding, mode="replicate")[0])
    spectrum *= image_transfer(plane, kernel).to(hu.device)
    if isinstance(noise_hu, torch.Tensor) or noise_hu > 0:
        white = stream.normal((nz, height, width))
        if profile is not None:
            white = along_z(profile / np.linalg.norm(profile, axis=1, keepdims=True), white)
        if isinstance(noise_hu, torch.Tensor):
            white *= noise_hu.to(white.device, torch.float32)[:, None, None]
        scale = 1.0 if isinstance(noise_hu, torch.Tensor) else noise_hu
        spectrum.addcmul_(torch.fft.rfft2(white), noise_transfer(plane, kernel).to(hu.device), value=scale)
    image = torch.fft.irfft2(spectrum, s=plane.size)
    return image[:, top : top + ny, left : left + nx].contiguous()


def along_z(weights: np.ndarray, data: torch.Tensor) -> torch.Tensor:
    """Slices `[z, y, x]` mixed by `weights` `[slice, source]`."""
    matrix = torch.from_numpy(weights.astype(np.float32)).to(data.device)
    return (matrix @ data.flatten(1)).view(data.shape)


@serial()
def thicken(data: torch.Tensor, spacing: float, slice_mm: float) -> torch.Tensor:
    """Slices `[z, y, x]`, `spacing` mm apart, averaged to the thickness `slice_mm` where they are thinner."""
    profile = slice_profile(data.shape[0], spacing, slice_mm)
    return data if profile is None else along_z(profile, data)
