"""Heterogeneity within tissues: a reproducible factor near 1 for every voxel, made of the tissues' patterns.

A tissue without a pattern of its own has `noise` of the correlation length `texture_mm`: autocorrelation exp(-r / L).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from engine.pattern import Canvas, Pattern, Property
from engine.patterns.noise import Noise
from engine.random import Stream
from engine.render.serial import serial
from engine.tissue import Tissue
from engine.volume import Volume


@serial()
def heterogeneity(volume: Volume, deviations: Sequence[float], stream: Stream, of: Property = "mr") -> torch.Tensor:
    """Factors 1 + the variations of every pattern, float32 `[z, y, x]`, never below 0.

    Args:
        deviations: strength of each row of the volume's structures, for patterns that give none themselves: the
            tissue's `texture` or `texture_density`.
        stream: the fields' randomness. Equal patterns share one field; the patterns of one tissue are independent.
        of: what varies, which decides the strength of a pattern that counts.
    """
    amounts: dict[tuple[int, Pattern], list[float]] = {}
    for row, (structure, deviation) in enumerate(zip(volume.structures, deviations, strict=True)):
        for layer, pattern in enumerate(_patterns(structure.tissue)):
            own = pattern.strength(of)
            amount = deviation if own is None else own
            if amount:
                amounts.setdefault((layer, pattern.bare()), [0.0] * len(deviations))[row] += amount
    factor = torch.ones(volume.grid.shape, device=volume.top.device)
    canvases: dict[int, Canvas] = {}
    for (layer, pattern), strengths in amounts.items():
        if layer not in canvases:
            canvases[layer] = Canvas(volume.grid, stream.child("layer", layer) if layer else stream)
        factor += pattern.variation(volume, strengths, canvases[layer])
    return factor.clamp_(min=0.0)


def _patterns(tissue: Tissue) -> tuple[Pattern, ...]:
    return tissue.pattern or (Noise.model_validate({"length": _half_octave(tissue.texture_mm)}),)


def _half_octave(length: float) -> float:
    """The nearest of few lengths, so that tissues share fields."""
    return 2.0 ** (round(2.0 * math.log2(length)) / 2.0)
