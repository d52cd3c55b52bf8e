"""What of a volume goes into k-space: images of magnetisation with a weight for every line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from engine.render.mr.field import look_up
from engine.render.mr.separate import separate
from engine.volume import Volume


@dataclass(frozen=True)
class Layer:
    """Magnetisation that k-space weighs alike.

    Args:
        image: `[z, y, x]`, real or complex.
        lines: weight of each measured line, or None where all are 1.
        off_hz: resonance, which moves the layer along the readout.
    """

    image: torch.Tensor
    lines: np.ndarray | None = None
    off_hz: float = 0.0


def layers(
    volume: Volume,
    weights: np.ndarray,
    off_hz: float = 0.0,
    response: np.ndarray | None = None,
    at_hz: np.ndarray | None = None,
    field_hz: torch.Tensor | None = None,
) -> list[Layer]:
    """The layers of tissues whose signal depends on the line and on the main field.

    Args:
        weights: complex `[row of the volume's structures, line]`.
        off_hz: the layers' resonance.
        response: complex `[row, field]`, what `weights` are multiplied by at each of `at_hz`; None for 1.
        at_hz, field_hz: values of the field, and the field in every voxel; None where it is even.
    """
    out = []
    for rows, lines in separate(weights):
        same = bool(np.all(lines == 1.0))
        if response is None or at_hz is None or field_hz is None:
            image = mix(volume, rows)
        else:
            parts = [(mix(volume, a), b) for a, b in separate(rows[:, None] * response)]
            products = [part * look_up(b, at_hz, field_hz) for part, b in parts]
            image = sum(products[1:], start=products[0]) if products else mix(volume, 0.0 * rows)
        out.append(Layer(image, None if same else lines, off_hz))
    return out


def mix(volume: Volume, values: np.ndarray) -> torch.Tensor:
    """`Volume.mix` of complex values; real where they are."""
    real = volume.mix(values.real.tolist())
    if np.abs(values.imag).max(initial=0.0) < 1e-7 * np.abs(values).max(initial=0.0):
        return real
    return torch.complex(real, volume.mix(values.imag.tolist()))
