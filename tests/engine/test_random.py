"""Streams and counter-based noise."""

import numpy as np
import taichi as ti
import torch
from scipy import stats

from engine.device import kernel
from engine.random import Stream, philox


@kernel
def _words(out: ti.types.ndarray(ti.u32, ndim=1), a: ti.u32, b: ti.u32, key: ti.u32):
    for _ in range(1):
        first, second = philox(a, b, key)
        out[0] = first
        out[1] = second


def words(a: int, b: int, key: int) -> tuple[int, int]:
    out = torch.zeros(2, dtype=torch.uint32)
    _words(out, a, b, key)
    return int(out[0]), int(out[1])


def test_philox_known_answers():
    """The test vectors that come with Random123 (kat_vectors, philox2x32 10)."""
    assert words(0, 0, 0) == (0xFF1DAE59, 0x6CD10DF2)
    assert words(0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF) == (0x2C3F628B, 0xAB4FD7AD)
    assert words(0x243F6A88, 0x85A308D3, 0x13198A2E) == (0xDD7CE038, 0xF62A4C12)


def test_normal_field_is_normal_and_white():
    values = Stream.of(1, "noise").normal((64, 64, 64)).cpu().numpy()
    assert stats.kstest(values.ravel()[:50_000], "norm").pvalue > 0.01
    assert abs(np.corrcoef(values[..., 1:].ravel(), values[..., :-1].ravel())[0, 1]) < 0.01


def test_uniform_field_is_uniform():
    values = Stream.of(2).uniform((50_000,)).cpu().numpy()
    assert stats.kstest(values, "uniform").pvalue > 0.01
    assert values.min() > 0
    assert values.max() < 1


def test_same_path_same_bits_other_path_other_bits():
    a = Stream.of(5, "organ", 3).normal((1000,))
    assert torch.equal(a, Stream.of(5).child("organ").child(3).normal((1000,)))
    assert not torch.equal(a, Stream.of(5, "organ", 4).normal((1000,)))
    assert not torch.equal(a, Stream.of(6, "organ", 3).normal((1000,)))


def test_generators_do_not_depend_on_what_was_asked_before():
    first = Stream.of(1, "b").generator().random(3)
    Stream.of(1, "a").generator().random(100)
    assert np.array_equal(first, Stream.of(1, "b").generator().random(3))
