"""Echoes that go to and fro: between the probe's face and layers near it, and within gas.

An echo of amplitude e(t1), sent back by the probe's face (reflection coefficient f), meets the tissue again: what an
interface at t2 then sends back arrives as if from t1 + t2 with the amplitude

    f e(t1) e(t2) / mirror

where e holds both ways' losses. Twice, this makes parallel lines under the skin and, behind gas, lines at multiples of
its depth. Fluid caught between bubbles rings: a continuous tail behind gas, banded, which falls to 1/e over `RING_MM`
(Avruch and Cooperberg 1985, doi 10.7863/jum.1985.4.1.21).
"""

import math

import taichi as ti
import torch

from engine.device import kernel
from engine.random import Stream, philox, unit
from engine.render.us.lattice import Lattice
from engine.render.us.path import MIRROR_DB, Echoes
from engine.render.us.scatterers import FIRST, words

#: Deepest interface (mm) whose echo is followed back to the probe's face.
FACE_MM = 80.0
#: Least echo under a mirror's that is followed, dB.
LEAST_DB = -50.0
#: Times that sound is followed to the probe's face and back.
TRIPS = 2
#: Ring-down behind gas: dB under a mirror's echo, and the range (mm) in which it falls to 1/e.
RING_DB, RING_MM = -24.0, 18.0
#: Share of gas's surface, in patches, where fluid is caught and rings; its bands are this far apart, mm.
RINGING_SHARE, BAND_MM = 0.12, 1.6
#: Beams and slices that one patch is wide.
PATCH = 3


def reverberate(echoes: Echoes, lattice: Lattice, face: float, first: int, stream: Stream) -> Echoes:
    """The echoes and what reverberates.

    Args:
        echoes: of single trips.
        lattice: their beams and samples.
        face: reflection coefficient of the probe's face, 0 to 1.
        first: index along z of their first slice; may be negative.
        stream: which patches of gas ring.
    """
    mirror = 10.0 ** (MIRROR_DB / 20.0)
    near = min(lattice.path_samples, math.ceil(FACE_MM / lattice.path_mm))
    specular, scatter = echoes.specular.clone(), echoes.scatter.clone()
    trip = (echoes.specular, echoes.scatter)
    for _ in range(TRIPS):
        again = (torch.zeros_like(specular), torch.zeros_like(scatter))
        _bounce(echoes.specular, *trip, face / mirror, mirror * 10.0 ** (LEAST_DB / 20.0), near, *again)
        specular += again[0]
        scatter = torch.hypot(scatter, again[1])
        trip = again
    key, counter = words(stream)
    ring = face * mirror * 10.0 ** (RING_DB / 20.0)
    keep = math.exp(-lattice.path_mm / RING_MM)
    assert echoes.gas is not None
    _ring(echoes.gas, echoes.specular, ring / mirror, keep, lattice.path_mm, first, key, counter, scatter)
    return Echoes(scatter, specular, echoes.sparsity, echoes.gas)


@kernel
def _bounce(
    surface: ti.types.ndarray(ti.f32, ndim=3),
    specular: ti.types.ndarray(ti.f32, ndim=3),
    scatter: ti.types.ndarray(ti.f32, ndim=3),
    share: ti.f32,
    least: ti.f32,
    near: ti.i32,
    specular_out: ti.types.ndarray(ti.f32, ndim=3),
    scatter_out: ti.types.ndarray(ti.f32, ndim=3),
):
    """Repeat all echoes behind each peak of `surface`, as far again as it is from the probe's face."""
    for i, b in ti.ndrange(surface.shape[0], surface.shape[1]):
        for t in range(1, near - 1):
            e = surface[i, b, t]
            if e > least and e > surface[i, b, t - 1] and e >= surface[i, b, t + 1]:
                for s in range(surface.shape[2] - t - 1):
                    specular_out[i, b, s + t + 1] += share * e * specular[i, b, s]
                    again = share * e * scatter[i, b, s]
                    scatter_out[i, b, s + t + 1] = ti.sqrt(scatter_out[i, b, s + t + 1] ** 2 + again * again)


@kernel
def _ring(
    gas: ti.types.ndarray(ti.f32, ndim=3),
    surface: ti.types.ndarray(ti.f32, ndim=3),
    ring: ti.f32,
    keep: ti.f32,
    step: ti.f32,
    first: ti.i32,
    key: ti.u32,
    counter: ti.u32,
    scatter: ti.types.ndarray(ti.f32, ndim=3),
):
    """Tails behind the patches of gas that ring, fading along each beam."""
    for i, b in ti.ndrange(gas.shape[0], gas.shape[1]):
        patch = ti.cast((first + i + ti.static(FIRST)) // ti.static(PATCH), ti.u32)
        chance, _ = philox(ti.cast(b // ti.static(PATCH), ti.u32), counter + patch, key)
        if unit(chance) < ti.static(RINGING_SHARE):
            level, since = 0.0, 0.0
            for s in range(gas.shape[2]):
                level *= keep
                since += step
                struck = ring * surface[i, b, s] * gas[i, b, s]
                if struck > level:
                    level, since = struck, 0.0
                band = 0.6 + 0.4 * ti.cos(ti.static(2.0 * math.pi / BAND_MM) * since)
                scatter[i, b, s] = ti.sqrt(scatter[i, b, s] ** 2 + (level * band) ** 2)
