"""From envelopes to the picture: time-gain compensation, log compression, scan conversion onto the volume's grid."""

import numpy as np
import taichi as ti
import torch

from engine.device import device, kernel

#: Level (dB) of white over liver's mean echo at zero gain; with 60 dB of dynamic range liver is a mid-dark grey.
WHITE_DB = 34.0


def compress(envelope: torch.Tensor, gain_db: np.ndarray, dynamic_range_db: float, pooled: int) -> torch.Tensor:
    """Grey levels 255 (1 + (20 log10 e + gain - white) / range), cut to 0..255, `[z, beam, sample // pooled]`.

    Args:
        envelope: float32 `[z, beam, sample]`, liver at the probe = 1.
        gain_db: gain at each sample, time-gain compensation included.
        dynamic_range_db: decibels from black to white.
        pooled: neighbouring samples averaged into one, after compression.
    """
    planes, beams, samples = envelope.shape
    grey = torch.empty((planes, beams, max(1, samples // pooled)), dtype=torch.float32, device=device())
    bias = torch.from_numpy(np.asarray(gain_db - WHITE_DB, np.float32)).to(device())
    _compress(envelope, bias, 1.0 / dynamic_range_db, pooled, grey)
    return grey


def convert(grey: torch.Tensor, beam: torch.Tensor, sample: torch.Tensor, out: torch.Tensor) -> None:
    """Interpolate beam-space grey levels `[z, beam, sample]` onto `out` `[z, y, x]`.

    `beam` and `sample` `[y, x]` are the continuous lattice coordinates of the voxels; a negative beam is out of view.
    """
    _convert(grey, beam, sample, out)


def persist(frames: torch.Tensor, kept: float) -> None:
    """Average frames `[z, y, x]` in place as a screen does: each keeps a share of what stood there before."""
    for i in range(1, len(frames)):
        frames[i].lerp_(frames[i - 1], kept)


@kernel
def _compress(
    envelope: ti.types.ndarray(ti.f32, ndim=3),
    bias: ti.types.ndarray(ti.f32, ndim=1),
    per_db: ti.f32,
    pooled: ti.i32,
    grey: ti.types.ndarray(ti.f32, ndim=3),
):
    decibel = ti.static(20.0 / np.log(10.0))
    for i, b in ti.ndrange(grey.shape[0], grey.shape[1]):
        for s in range(grey.shape[2]):
            total = 0.0
            for j in range(s * pooled, (s + 1) * pooled):
                level = decibel * ti.log(ti.max(envelope[i, b, j], 1e-20)) + bias[j]
                total += ti.min(ti.max(1.0 + level * per_db, 0.0), 1.0)
            grey[i, b, s] = 255.0 * total / pooled


@kernel
def _convert(
    grey: ti.types.ndarray(ti.f32, ndim=3),
    beam: ti.types.ndarray(ti.f32, ndim=2),
    sample: ti.types.ndarray(ti.f32, ndim=2),
    out: ti.types.ndarray(ti.f32, ndim=3),
):
    for i, y, x in out:
        value = 0.0
        if beam[y, x] >= 0.0:
            b = ti.min(ti.cast(beam[y, x], ti.i32), grey.shape[1] - 2)
            wb = beam[y, x] - b
            t = ti.min(ti.max(sample[y, x], 0.0), grey.shape[2] - 1.0)
            s = ti.cast(t, ti.i32)
            e = ti.min(s + 1, grey.shape[2] - 1)
            near = grey[i, b, s] + wb * (grey[i, b + 1, s] - grey[i, b, s])
            far = grey[i, b, e] + wb * (grey[i, b + 1, e] - grey[i, b, e])
            value = near + (t - s) * (far - near)
        out[i, y, x] = value
