"""Which samples of k-space are measured, in what order and when."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Sampling:
    """A Cartesian measurement of a plane: lines along the phase axis, samples along the readout.

    Frequencies are whole numbers m of cycles over the field of view, in the order of the FFT. Of a matrix of N, m runs
    from -N/2 up to N/2; what the grid holds beyond is filled with zeros.

    Args:
        grid: (phase, readout) voxels of the field of view.
        matrix: (phase, readout) samples measured, at most the grid's.
        partial_fourier: share of the lines that is measured; the first ones are left out and filled with zeros.
        bandwidth_hz: of an acquired pixel; None reads a line in no time.
        echoes: of the train, `middle` (from 0) being the one in the middle of k-space.
    """

    grid: tuple[int, int]
    matrix: tuple[int, int]
    partial_fourier: float = 1.0
    bandwidth_hz: float | None = None
    echoes: int = 1
    middle: int = 0

    @cached_property
    def lines(self) -> np.ndarray:
        """Frequencies of the measured lines, ascending."""
        count = self.matrix[0]
        return np.arange(-(count // 2) + round((1.0 - self.partial_fourier) * count), (count + 1) // 2)

    @cached_property
    def taken(self) -> np.ndarray:
        """1 where a sample `[phase, readout]` is measured, 0 elsewhere, float32."""
        along_phase, along_read = np.zeros(self.grid[0], np.float32), np.zeros(self.grid[1], np.float32)
        along_phase[self.lines] = 1.0
        along_read[np.arange(-(self.matrix[1] // 2), (self.matrix[1] + 1) // 2)] = 1.0
        return np.outer(along_phase, along_read)

    @property
    def whole(self) -> bool:
        """Whether everything that the grid holds is measured."""
        return bool(self.taken.all())

    def read_time_s(self) -> np.ndarray:
        """When each sample `[readout]` of a line is taken, seconds from the echo."""
        m = np.rint(np.fft.fftfreq(self.grid[1]) * self.grid[1])
        return np.zeros(self.grid[1]) if self.bandwidth_hz is None else m / (self.matrix[1] * self.bandwidth_hz)

    @cached_property
    def order(self) -> tuple[np.ndarray, np.ndarray]:
        """Echo and shot (both from 0) of each of `lines`.

        The middle echo takes the middle lines; earlier and later ones follow outwards on either side, and on both sides
        once one of the two kinds is used up. Every echo takes as many lines as the others, one in each shot.
        """
        count = len(self.lines)
        if self.echoes == 1:
            return np.zeros(count, int), np.arange(count)
        outwards = np.argsort(np.abs(self.lines), kind="stable")
        echo, used, first = np.empty(count, int), 0, 0
        for step in range(self.echoes):
            kinds = sorted({e for e in (self.middle - step, self.middle + step) if 0 <= e < self.echoes})
            used += len(kinds)
            last = round(used * count / self.echoes)
            chosen = outwards[first:last]
            if kinds:
                echo[chosen] = np.where(self.lines[chosen] < 0, kinds[0], kinds[-1])
            first = last
        shot = np.empty(count, int)
        for e in range(self.echoes):
            shot[echo == e] = np.arange(np.count_nonzero(echo == e))
        return echo, shot

    def over_lines(self, values: np.ndarray) -> np.ndarray:
        """Values of each of `lines` as `[..., phase]` in the order of the FFT, 0 where nothing is measured."""
        out = np.zeros((*values.shape[:-1], self.grid[0]), values.dtype)
        out[..., self.lines] = values
        return out
