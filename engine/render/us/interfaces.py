"""Coherent echoes of interfaces: R = tanh(d lnZ / 2), placed where ln Z is half way between its two sides.

Partial volume spreads an interface over one or two voxels. Along a beam it lies where ln Z crosses the middle between
its values 1.5 voxels before and behind; their difference there is its whole jump, so that the blurred interface
reflects as the sharp one it stands for. A film thinner than that window, with the same tissue on both sides, reflects
by how far it sticks out. The echo's profile along the beam is flat over one sample, so that a sample always meets its
peak.
"""

import math

import taichi as ti

from engine.render.us.acoustics import GEL_MRAYL

#: Half length (voxels) of the window in which a jump of ln Z is one interface.
WINDOW = 1.5
#: Angle (degrees) at which the specular echo of a tissue interface has fallen to 1/e: aperture and roughness together.
SPECULAR_DEG = 16.0
#: Share of an interface's echo that rough scattering sends back whatever the angle.
DIFFUSE = 0.06
#: Least jump of ln Z that is looked at.
LEAST = 1e-4

GEL = math.log(GEL_MRAYL)
#: Second moment of weights over five neighbours over that over three: a derivative along z takes fewer.
_THROUGH = (math.exp(-0.5) + 4.0 * math.exp(-2.0)) / (0.5 + math.exp(-0.5) + math.exp(-2.0)) * (0.5 + math.exp(-0.5))
_THROUGH /= math.exp(-0.5)
_TAN2 = math.tan(math.radians(SPECULAR_DEG)) ** 2


@ti.func
def at_slice(field: ti.template(), k: ti.i32, y: ti.f32, x: ti.f32) -> ti.f32:
    """Bilinear value in slice k, clamped to the grid."""
    fy = ti.min(ti.max(y, 0.0), field.shape[1] - 1.0)
    fx = ti.min(ti.max(x, 0.0), field.shape[2] - 1.0)
    iy, ix = ti.cast(fy, ti.i32), ti.cast(fx, ti.i32)
    jy, jx = ti.min(iy + 1, field.shape[1] - 1), ti.min(ix + 1, field.shape[2] - 1)
    wy, wx = fy - iy, fx - ix
    upper = field[k, iy, ix] + wx * (field[k, iy, jx] - field[k, iy, ix])
    lower = field[k, jy, ix] + wx * (field[k, jy, jx] - field[k, jy, ix])
    return upper + wy * (lower - upper)


@ti.func
def log_cosh(x: ti.f32) -> ti.f32:
    """ln cosh x for x >= 0, without overflow."""
    return x + ti.log(0.5 * (1.0 + ti.exp(-2.0 * x)))


@ti.func
def normal(log_impedance: ti.template(), k: ti.i32, at, spacing: ti.template()):
    """Gradient (x, y, z per mm, unscaled) of ln Z around index position `at` (y, x), smoothed by a Gaussian of 1 voxel.

    Smoothed so much, the edge of a half-space has its true direction whatever its tilt to the voxels.
    """
    nz, ny, nx = log_impedance.shape[0], log_impedance.shape[1], log_impedance.shape[2]
    y, x = ti.cast(ti.round(at[0]), ti.i32), ti.cast(ti.round(at[1]), ti.i32)
    total = ti.math.vec3(0.0)
    here = log_impedance[k, ti.min(ti.max(y, 0), ny - 1), ti.min(ti.max(x, 0), nx - 1)]
    for dk in range(-1, 2):
        plane = ti.min(ti.max(k + dk, 0), nz - 1)
        for dy in range(-2, 3):
            row = ti.min(ti.max(y + dy, 0), ny - 1)
            for dx in range(-2, 3):
                column = ti.min(ti.max(x + dx, 0), nx - 1)
                weight = ti.exp(-0.5 * (dk * dk + dy * dy + dx * dx)) * (log_impedance[plane, row, column] - here)
                # between slices only the nearest two are taken, which see _THROUGH of what all would
                total += weight * ti.math.vec3(dx, dy, dk * ti.static(_THROUGH))
    return total / ti.math.vec3(spacing[0], spacing[1], spacing[2])


@ti.func
def directivity(log_impedance: ti.template(), k: ti.i32, at, slope, spacing: ti.template()) -> ti.f32:
    """Share of an interface's echo that comes back at index position `at` (y, x) to a beam of `slope` per mm."""
    gradient = normal(log_impedance, k, at, spacing)
    along = gradient[0] * slope[1] * spacing[0] + gradient[1] * slope[0] * spacing[1]
    across2 = ti.max(gradient.dot(gradient) - along * along, 0.0)
    return DIFFUSE + (1.0 - DIFFUSE) * ti.exp(-across2 / ti.max(_TAN2 * along * along, 1e-12))


@ti.func
def deposit(
    specular: ti.template(), i: ti.i32, b: ti.i32, at: ti.f32, echo: ti.f32, flat: ti.f32, tail: ti.f32
) -> ti.i32:
    """Write an echo around the continuous sample `at`: level over `flat` samples each way, then a Gaussian tail."""
    reach = flat + 2.5 * tail
    low = ti.max(ti.cast(ti.ceil(at - reach), ti.i32), 0)
    high = ti.min(ti.cast(ti.floor(at + reach), ti.i32), specular.shape[2] - 1)
    for s in range(low, high + 1):
        away = ti.max(ti.abs(s - at) - flat, 0.0) / tail
        specular[i, b, s] = ti.max(specular[i, b, s], echo * ti.exp(-0.5 * away * away))
    return 0
