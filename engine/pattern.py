"""How a tissue varies from place to place. One file a pattern in `patterns/`; a decorator registers it.

A pattern adds a variation of zero mean to the factor near 1 that multiplies a property of the tissue. Everything is
defined in mm, and a voxel sees the average over its volume: a coarser grid sees less of what is fine.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import torch
from pydantic import Field
from pydantic_core import PydanticCustomError

from engine.discovery import import_all
from engine.grid import Grid
from engine.random import Stream
from engine.strict import Strict
from engine.vary import Number

if TYPE_CHECKING:
    from engine.volume import Volume


#: What varies: MR signal, ultrasound's scatterers, mass density.
Property = Literal["mr", "us", "density"]


@dataclass(frozen=True)
class Canvas:
    """Where patterns are drawn: a grid and the randomness they share on it."""

    grid: Grid
    stream: Stream

    @functools.cached_property
    def white(self) -> torch.Tensor:
        """Fourier transform (`rfftn`) of independent standard normal voxels."""
        return torch.fft.rfftn(self.stream.normal(self.grid.shape))


class Pattern(Strict):
    """A variation within a tissue, seen by MR and ultrasound as `signal` and by CT as `density`.

    `mr` and `us` set the two apart where they differ: septa in fat are dark in MR and bright in ultrasound. A subclass
    has a `kind: Literal[...]` field.
    """

    signal: Number | None = Field(
        None, description="how strongly MR signal and scatterers vary, relative to their mean; the tissue's texture"
    )
    density: Number | None = Field(
        None, description="how strongly mass density varies, relative to its mean; the tissue's texture_density"
    )
    mr: Number | None = Field(None, description="how strongly MR signal varies, in place of `signal`")
    us: Number | None = Field(None, description="how strongly ultrasound's scatterers vary, in place of `signal`")

    def strength(self, of: Property) -> float | None:
        """How strongly a property varies; None leaves it to the tissue."""
        own = getattr(self, of)
        return self.signal if own is None and of != "density" else own

    def bare(self) -> Pattern:
        """The pattern without its strengths: equal ones share a field."""
        return self.model_copy(update={"signal": None, "density": None, "mr": None, "us": None})

    def variation(self, volume: Volume, amounts: Sequence[float], canvas: Canvas) -> torch.Tensor:
        """What the pattern adds to the factor, float32 `[z, y, x]`, at the strength `amounts[row]` of each structure.

        The pattern's own strengths are in `amounts` already.
        """
        raise NotImplementedError

    @classmethod
    def example(cls) -> Pattern:
        """A typical one, for tests and documentation."""
        raise NotImplementedError


class Correlated(Pattern):
    """A Gaussian random field of unit variance, given by its power spectrum; its strength is its standard deviation."""

    def spectrum(self, kx: Any, ky: Any, kz: Any) -> Any:
        """Power spectral density in mm^3 at angular frequencies in rad/mm; its integral over (2 pi)^3 is 1."""
        raise NotImplementedError

    def variation(self, volume: Volume, amounts: Sequence[float], canvas: Canvas) -> torch.Tensor:
        filtered = canvas.white * transfer(canvas.grid, self).to(canvas.white.device)
        return volume.carried(torch.fft.irfftn(filtered, s=canvas.grid.shape)) * volume.mix(amounts)


@functools.lru_cache(maxsize=8)
def transfer(grid: Grid, pattern: Correlated) -> torch.Tensor:
    """Filter from white noise to the pattern's field, over `rfftn`'s frequencies, float32.

    Zero frequency is left out, so that a tissue that fills the grid keeps its mean.
    """
    nz, ny, nx = grid.shape
    dx, dy, dz = grid.spacing
    fz, fy, fx = np.fft.fftfreq(nz, dz)[:, None, None], np.fft.fftfreq(ny, dy)[:, None], np.fft.rfftfreq(nx, dx)
    own = [2.0 * np.pi * f for f in (fx, fy, fz)]
    turn = np.reshape(grid.direction, (3, 3))
    k = [sum(turn[i, j] * own[j] for j in range(3) if turn[i, j]) for i in range(3)]
    amplitude = np.sqrt(pattern.spectrum(*k) / grid.voxel_volume)
    amplitude = amplitude * np.sinc(fz * dz) * np.sinc(fy * dy) * np.sinc(fx * dx)  # the average over a voxel
    amplitude[0, 0, 0] = 0.0
    return torch.from_numpy(amplitude.astype(np.float32))


def has_direction(direction: Any) -> Any:
    """Field validator: a direction that has one, left as it is written."""
    if all(isinstance(v, (int, float)) for v in direction) and not any(direction):
        raise PydanticCustomError("direction", "a direction needs a number other than 0")
    return direction


PATTERNS: dict[str, type[Pattern]] = {}

P = TypeVar("P", bound=type[Pattern])


def register(name: str) -> Callable[[P], P]:
    """Class decorator: makes a pattern known to materials as `name`."""

    def add(cls: P) -> P:
        if name in PATTERNS:
            raise ValueError(f"pattern '{name}' is registered twice")
        PATTERNS[name] = cls
        return cls

    return add


def discover() -> None:
    """Import every file of `patterns`, so that the table is complete."""
    import_all("engine.patterns")
