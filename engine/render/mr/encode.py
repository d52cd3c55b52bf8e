"""From layers of magnetisation to the samples of k-space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from engine.render.mr.field import look_up, steps
from engine.render.mr.layer import Layer
from engine.render.mr.sampling import Sampling
from engine.render.mr.separate import separate


@dataclass(frozen=True)
class Encoding:
    """How magnetisation is encoded.

    Args:
        sampling: of the field of view.
        phase_axis: axis of `[z, y, x]` that lines are encoded along, 1 for y or 2 for x.
        slices: `[image plane, volume plane]` of `slices.weights`; None takes every plane as it is.
        field_hz: resonance in every voxel, which distorts along the readout; None where it is even.
        motion: the transform along the phase axis (`motion.encoding`) of a body that moves; None at rest.
    """

    sampling: Sampling
    phase_axis: int = 1
    slices: np.ndarray | None = None
    field_hz: torch.Tensor | None = None
    motion: np.ndarray | None = None

    def samples(self, layers: Sequence[Layer], sensitivity: torch.Tensor | None = None) -> torch.Tensor:
        """Complex samples `[z, phase, readout]` that a coil sees, all that the grid holds, before any is left out."""
        total: torch.Tensor | None = None
        for layer in layers:
            image = layer.image if sensitivity is None else layer.image * sensitivity
            encoded = self._phase(self._readout(image, layer.off_hz))
            if layer.lines is not None:
                encoded *= _on(self.sampling.over_lines(layer.lines), encoded)[:, None]
            total = encoded if total is None else total.add_(encoded)
        if total is None:
            raise ValueError("nothing to encode")
        return total

    def fold(self, image: torch.Tensor) -> torch.Tensor:
        """`[z, phase, readout]` of the field of view; what lies outside it wraps around into it."""
        planes = image if self.phase_axis == 1 else image.transpose(1, 2)
        count, whole = self.sampling.grid[0], planes.shape[1]
        if count == whole:
            return planes
        out = torch.zeros((planes.shape[0], count, planes.shape[2]), dtype=planes.dtype, device=planes.device)
        first = (whole - count) // 2
        for begin in range(first - count * -(-first // count), whole, count):
            low, high = max(begin, 0), min(begin + count, whole)
            out[:, low - begin : high - begin] += planes[:, low:high]
        return out

    def window(self, image: torch.Tensor) -> torch.Tensor:
        """`[z, phase, readout]` of the field of view, without what lies outside."""
        planes = image if self.phase_axis == 1 else image.transpose(1, 2)
        first = (planes.shape[1] - self.sampling.grid[0]) // 2
        return planes[:, first : first + self.sampling.grid[0]]

    def unfold(self, image: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        """The field of view put back into the grid `[z, y, x]`; outside it nothing is seen."""
        whole = shape[self.phase_axis]
        if self.sampling.grid[0] < whole:
            first = (whole - self.sampling.grid[0]) // 2
            image = torch.nn.functional.pad(image, (0, 0, first, whole - self.sampling.grid[0] - first))
        return image if self.phase_axis == 1 else image.transpose(1, 2).contiguous()

    def _readout(self, image: torch.Tensor, off_hz: float) -> torch.Tensor:
        """Slices of the field of view, transformed along the readout, `[z, phase, readout]`.

        While a line is read, spins of the resonance f turn by 2 pi f t. Over the field that is a phase for every voxel
        and sample, and a sum of products of the two (`separate`).
        """
        time = self.sampling.read_time_s()
        turn = np.exp(2j * np.pi * off_hz * time)
        if self.field_hz is None or not time.any():
            encoded = torch.fft.fft(self._planes(image), norm="ortho")
            return encoded.mul_(_on(turn, image)) if off_hz and time.any() else encoded
        total: torch.Tensor | None = None
        at, parts = self._turns
        for of_field, over_read in parts:
            seen = image * look_up(of_field, at, self.field_hz)
            part = torch.fft.fft(self._planes(seen), norm="ortho").mul_(_on(over_read * turn, image))
            total = part if total is None else total.add_(part)
        assert total is not None
        return total

    @cached_property
    def _turns(self) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
        """Values of the field, and how it turns spins while a line is read as products of field and sample."""
        assert self.field_hz is not None
        time = self.sampling.read_time_s()
        at = steps(self.field_hz, float(np.abs(time).max()))
        return at, separate(np.exp(2j * np.pi * np.outer(at, time)))

    def _phase(self, lines: torch.Tensor) -> torch.Tensor:
        if self.motion is None:
            return torch.fft.fft(lines, dim=1, norm="ortho")
        return _on(self.motion, lines) @ lines

    def _planes(self, image: torch.Tensor) -> torch.Tensor:
        if self.slices is not None:
            image = torch.tensordot(torch.from_numpy(self.slices).to(image.device, image.dtype), image, dims=1)
        return self.fold(image)


def _on(values: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.complex64)).to(like.device)
