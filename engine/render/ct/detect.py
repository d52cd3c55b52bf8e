"""What detectors read of line integrals: Beer and Lambert's law over the spectrum, photon and electronic noise.

An energy-integrating detector's signal is S = sum_b E_b n_b, n_b Poisson. It is drawn as S = N E', one Poisson number N
of quanta of equal energy E' = Var S / <S>, which has its mean and variance: N has the mean <S>^2 / Var S.
"""

import math

import taichi as ti
import torch

from engine.device import device, kernel
from engine.random import Stream, philox, unit
from engine.render.ct.detectors import POWERS, Detectors
from engine.render.ct.project import LANES

#: Fewer quanta than this are drawn one by one, more by expanding the Poisson distribution about the normal one.
_FEW = 12.0


def detect(
    paths: torch.Tensor, mu: torch.Tensor, row: Detectors, gain: torch.Tensor, electronic: float, stream: Stream
) -> torch.Tensor:
    """Millimetres of water `[view, detector, 8]` that the corrected readings stand for.

    Args:
        paths: line integrals of each material, mm, `[material, view, detector, 8]`.
        mu: their attenuation `[material, energy]`, 1/mm.
        gain: `[detector, 8]`, factors of the detectors' gain that calibration does not know of.
        electronic: sd of the electronics' noise, quanta of mean energy.
    """
    materials, views, detectors, _ = paths.shape
    out = torch.empty((views, detectors, LANES), dtype=torch.float32, device=device())
    noisy = math.isfinite(row.quanta)
    quanta = row.quanta if noisy else 1.0
    tables = (mu, row.through, row.correction, row.limit, row.variance, gain)
    shape = (materials, views * detectors, detectors, len(row.variance))
    _detect(paths.view(-1), out.view(-1), *tables, *shape, int(noisy), quanta, electronic, *stream.words)
    return out


@ti.func
def fast_exp(x: ti.f32) -> ti.f32:
    """exp(x) to 2e-7 for x in [-87, 0], and 0 below."""
    y = ti.max(x, -87.0) * 1.4426950408889634
    n = ti.floor(y + 0.5)
    f = y - n
    p = 1.535336188319500e-4 * f + 1.339887440266574e-3  # Cephes, exp2f
    p = (((p * f + 9.618437357674640e-3) * f + 5.550332471162809e-2) * f + 2.402264791363012e-1) * f
    p = (p + 6.931472028550421e-1) * f + 1.0
    return p * ti.bit_cast((ti.cast(n, ti.i32) + 127) << 23, ti.f32)


@ti.func
def poisson(mean: ti.f32, uniform: ti.f32, normal: ti.f32) -> ti.f32:
    """A Poisson number from a uniform or a normal one, with the right mean, variance and skewness.

    By inversion for few; for many by Cornish and Fisher's expansion, which is not rounded to whole numbers.
    """
    out = 0.0
    if mean < _FEW:
        share = ti.exp(-mean)
        total = share
        while total < uniform and out < 60.0:
            out += 1.0
            share *= mean / out
            total += share
    else:
        root = ti.sqrt(mean)
        out = mean + root * normal + (normal * normal - 1.0) / 6.0 + (normal - normal**3) / (72.0 * root)
    return ti.max(out, 0.0)


@kernel
def _detect(
    paths: ti.types.ndarray(ti.f32, ndim=1), out: ti.types.ndarray(ti.f32, ndim=1),
    mu: ti.types.ndarray(ti.f32, ndim=2), through: ti.types.ndarray(ti.f32, ndim=2),
    correction: ti.types.ndarray(ti.f32, ndim=2), limit: ti.types.ndarray(ti.f32, ndim=1),
    variance: ti.types.ndarray(ti.f32, ndim=1), gain: ti.types.ndarray(ti.f32, ndim=2),
    materials: ti.i32, rays: ti.i32, detectors: ti.i32, energies: ti.i32,
    noisy: ti.i32, quanta: ti.f32, electronic: ti.f32, key: ti.u32, counter: ti.u32,
):  # fmt: skip
    for ray in range(rays):
        d = ray % detectors
        signal, square, air = ti.Vector([0.0] * LANES), ti.Vector([0.0] * LANES), 0.0
        for b in range(energies):
            exponent = ti.Vector([0.0] * LANES)
            for m in range(materials):
                a = (ti.cast(m, ti.i64) * rays + ray) * LANES
                for k in ti.static(range(LANES)):
                    exponent[k] -= mu[m, b] * paths[a + k]
            w = through[d, b]
            air += w
            for k in ti.static(range(LANES)):
                passed = w * fast_exp(exponent[k])
                signal[k] += passed
                square[k] += variance[b] * passed
        for k in ti.static(range(LANES)):
            s = ti.max(signal[k], 1e-30)
            if noisy:
                index = ti.cast(ray * LANES + k, ti.u32)
                v = ti.max(square[k], 1e-30)
                mean = s * s / v * quanta
                w0, w1 = philox(index, counter, key)
                radius, angle = ti.sqrt(-2.0 * ti.log(unit(w0))), 6.283185307179586 * unit(w1)  # Box-Muller
                uniform = 0.5
                if mean < _FEW:
                    w2, _ = philox(index, counter ^ ti.u32(0x80000000), key)
                    uniform = unit(w2)
                count = poisson(mean, uniform, radius * ti.cos(angle))
                s = count * v / (s * quanta) + electronic / quanta * radius * ti.sin(angle)
                s = ti.max(s, 1.0 / quanta)  # a logarithm needs a photon
            p = ti.min(-ti.log(s * gain[d, k] / air), limit[d])
            path = 0.0
            for c in ti.static(range(POWERS)):
                path = path * p + correction[d, POWERS - 1 - c]
            out[ray * LANES + k] = path * p
