"""Randomness as a pure function of (seed, path, counter).

A `Stream` is a key made from a seed and a path of names; children are independent of each other and of the order in
which they are asked for, so adding an organ changes no other organ's draws. Fields of noise are counter-based
(Philox2x32-10, Salmon et al. 2011, doi 10.1145/2063384.2063405): the same bits for any number of threads.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import taichi as ti
import torch

from engine.device import device, kernel


@dataclass(frozen=True)
class Stream:
    """A source of randomness named by a seed and a path."""

    key: int

    @classmethod
    def of(cls, seed: int, *path: str | int) -> "Stream":
        """The stream of `seed` at `path`."""
        return cls(_digest(f"viscera:{seed}")).child(*path)

    def child(self, *path: str | int) -> "Stream":
        """The stream below this one at `path`."""
        key = self.key
        for name in path:
            key = _digest(f"{key}/{name}")
        return Stream(key)

    def generator(self) -> np.random.Generator:
        """A NumPy generator at the start of this stream."""
        return np.random.Generator(np.random.Philox(key=self.key))

    @property
    def words(self) -> tuple[int, int]:
        """Philox's key, 32 bits, and the start of its second counter, 31 bits."""
        return self.key & 0xFFFFFFFF, (self.key >> 32) & 0x7FFFFFFF

    def integer(self) -> int:
        """A seed in [0, 2^31) for code that takes one."""
        return self.key & 0x7FFFFFFF

    def normal(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Independent standard normal values, float32, on the engine's device."""
        out = torch.empty(shape, dtype=torch.float32, device=device())
        _fill_normal(out.view(-1), *self.words)
        return out

    def uniform(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Independent values uniform in (0, 1), float32, on the engine's device."""
        out = torch.empty(shape, dtype=torch.float32, device=device())
        _fill_uniform(out.view(-1), *self.words)
        return out


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


@ti.func
def philox(counter0: ti.u32, counter1: ti.u32, key: ti.u32):
    """Two 32-bit words that depend on (counter, key) alone; ten rounds of Philox2x32."""
    a, b, k = counter0, counter1, key
    for _ in range(10):
        product = ti.cast(a, ti.u64) * ti.u64(0xD256D193)
        a = ti.cast(product >> ti.u64(32), ti.u32) ^ k ^ b
        b = ti.cast(product & ti.u64(0xFFFFFFFF), ti.u32)
        k = k + ti.u32(0x9E3779B9)
    return a, b


@ti.func
def unit(word: ti.u32) -> ti.f32:
    """A float in (0, 1) from the upper 23 bits of `word`."""
    return (ti.cast(word >> ti.u32(9), ti.f32) + 0.5) * 1.1920928955078125e-07


@kernel
def _fill_normal(out: ti.types.ndarray(ti.f32, ndim=1), key: ti.u32, stream: ti.u32):
    for pair in range((out.shape[0] + 1) // 2):
        a, b = philox(ti.cast(pair, ti.u32), stream, key)
        radius, angle = ti.sqrt(-2.0 * ti.log(unit(a))), 6.283185307179586 * unit(b)  # Box-Muller
        out[2 * pair] = radius * ti.cos(angle)
        if 2 * pair + 1 < out.shape[0]:
            out[2 * pair + 1] = radius * ti.sin(angle)


@kernel
def _fill_uniform(out: ti.types.ndarray(ti.f32, ndim=1), key: ti.u32, stream: ti.u32):
    for i in out:
        a, _ = philox(ti.cast(i, ti.u32), stream, key)
        out[i] = unit(a)
