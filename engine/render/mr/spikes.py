"""Spikes: single wrong samples of k-space, which lay stripes over a slice."""

from __future__ import annotations

import math

import torch

from engine.random import Stream
from engine.render.mr.sampling import Sampling


def add_spikes(samples: torch.Tensor, sampling: Sampling, per_slice: float, height: float, stream: Stream) -> None:
    """Add spikes at random measured samples of `[z, phase, readout]`.

    Args:
        per_slice: mean number in a slice, Poisson.
        height: amplitude of each one's stripes in the image, the signal's unit.
    """
    rng = stream.generator()
    planes, lines, columns = samples.shape
    value = height * math.sqrt(lines * columns)
    for plane, count in enumerate(rng.poisson(per_slice, planes)):
        for _ in range(count):
            line = int(rng.choice(sampling.lines))
            column = int(rng.integers(-(sampling.matrix[1] // 2), (sampling.matrix[1] + 1) // 2))
            angle = rng.uniform(0.0, 2.0 * math.pi)
            samples[plane, line, column] += complex(value * math.cos(angle), value * math.sin(angle))
