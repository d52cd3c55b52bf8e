"""Acquisition: each slice is measured in k-space, where noise enters, and its magnitude is taken."""

from __future__ import annotations

import numpy as np
import torch

from engine.random import Stream
from engine.render.serial import serial


@serial()
def acquire(
    signal: torch.Tensor,
    spacing: tuple[float, float],
    resolution_mm: float | None,
    noise: float,
    stream: Stream,
) -> torch.Tensor:
    """Magnitude images of slices.

    Noise is complex, white and Gaussian over the samples taken, so the magnitude is Rician (Gudbjartsson and Patz
    1995, doi 10.1002/mrm.1910340618); where there is no signal its mean is 1.2533 and its sd 0.6551 times `noise`.

    Args:
        signal: transverse magnetisation `[z, y, x]`, real and signed.
        spacing: mm along y and x.
        resolution_mm: acquired voxel size in the plane; what lies beyond its Nyquist frequency is filled with zeros.
            None acquires all that the grid holds.
        noise: standard deviation of the real and of the imaginary part in the image, in the signal's unit.
        stream: the noise's randomness.
    """
    samples = torch.fft.fft2(signal, norm="ortho")
    taken = _samples_taken(signal.shape, spacing, resolution_mm)
    if noise > 0:
        share = float(taken.mean())  # zeros carry no noise: the samples taken have to carry all of it
        samples.add_(torch.view_as_complex(stream.normal((*signal.shape, 2))), alpha=noise / share**0.5)
    if resolution_mm is not None:
        samples *= torch.from_numpy(taken).to(samples.device)
    return torch.fft.ifft2(samples, norm="ortho").abs()


def _samples_taken(shape: torch.Size, spacing: tuple[float, float], resolution_mm: float | None) -> np.ndarray:
    """1 where a k-space sample `[y, x]` is acquired, 0 elsewhere, float32."""
    _, ny, nx = shape
    if resolution_mm is None:
        return np.ones((ny, nx), np.float32)
    limit = 0.5 / resolution_mm * (1.0 + 1e-9)
    along_y, along_x = (np.abs(np.fft.fftfreq(n, d)) <= limit for n, d in zip((ny, nx), spacing, strict=True))
    return np.outer(along_y, along_x).astype(np.float32)
