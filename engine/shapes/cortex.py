"""Cortex: an ellipsoid with gyri and sulci.

With a = |p / r|, the body is written in two coordinates: e = |p| (1 - 1 / a), the height over the ellipsoid along the
ray from the centre, and s, the distance to the middle of the nearest sulcus. In the plane of (s, e) the body is the
half-plane e < 0, its crowns rounded by k, less a groove of half width w / 2 and depth d:

    m = -corner(s - w / 2, -(d + e)),   f = corner(e + k, m + k) - k + inset
    corner(a, b) = |max((a, b), 0)| + min(max(a, b), 0)

Both corners are exact where e and s are distances, so moving the surface by `inset` keeps a ribbon of even width; it is
up to half as wide again where sulci end or meet, since s grows more slowly there.

Gyri are the Voronoi cells of chains of points on the ellipsoid: at x = p / a, s = a (D2 - D1) / 2 with D1 the distance
to the nearest chain and D2 that to the next one. Chains form lobules; sulci between lobules are deep, those within a
lobule are `SHALLOW` as deep, so m is the greater of two.

Lipschitz K + sqrt((K^2 - 1) / a^2 + E^2 / min(r)^2) with K = (t + 1 / t) / 2, t = max(r) / min(r): distances are
1-Lipschitz in x, and x moves by at most K / a for a step of p (Kantorovich's inequality). So |grad s| <= K + E / min(r)
where s is kept below a E, and |grad e| <= sqrt(1 + (K^2 - 1) / a^2). The gradient of D lies across the ray and most of
that of e along it, which gives the bound. Deeper than the sulci e goes on with (a - 1) min(r), which is
1-Lipschitz down to the centre.
"""

import functools
import math
from typing import Literal

import numpy as np
import taichi as ti
from pydantic import model_validator
from scipy.spatial import cKDTree

from engine.nodes import ORIGIN, Ball, Shape, register
from engine.random import Stream
from engine.vary import NonNegative, Positive, Radii, Seed

#: Points in a chain, at most.
CHAIN = 9
#: Depth of the sulci within a lobule, as a share of those around it.
SHALLOW = 0.55
#: Distance between the middles of lobules, in wavelengths.
LOBULE = 3.2
#: The largest radius may be so many wavelengths.
_FINEST = 12
#: Share of the wavelength up to which the distance to a sulcus is followed (E).
_REACH = 0.6
_HEAD = 10
_SITE = 5  # x y z, number of the chain, number of the lobule

vec2 = ti.math.vec2
vec3 = ti.math.vec3


@ti.func
def _corner(a: ti.f32, b: ti.f32) -> ti.f32:
    return vec2(ti.max(a, 0.0), ti.max(b, 0.0)).norm() + ti.min(ti.max(a, b), 0.0)


@ti.func
def _gaps(u, x, params: ti.template(), o: ti.i32):
    """D2 - D1 at `x` for chains and for lobules; the table at `params[o]` is that of `gyri`."""
    n = int(params[o])
    cell = ti.math.clamp(ti.cast((u + 1.0) * (0.5 * n), ti.i32), 0, n - 1)
    row = o + 1 + 2 * ((cell.z * n + cell.y) * n + cell.x)
    first, second, names = 1e6, vec2(1e6), vec2(-1.0)
    for i in range(int(params[row + 1])):
        q = o + int(params[o + int(params[row]) + i])
        d = (x - vec3(params[q], params[q + 1], params[q + 2])).norm()
        # a nearer point of another chain or lobule makes the nearest one so far the next one
        for j in ti.static(range(2)):
            if params[q + 3 + j] != names[j]:
                second[j] = first if d < first else ti.min(second[j], d)
        if d < first:
            first, names = d, vec2(params[q + 3], params[q + 4])
    return second - first


@register("cortex")
class Cortex(Shape):
    """A brain: an ellipsoid of `radii` (mm) with gyri `wavelength` mm wide and sulci `depth` mm deep, `width` mm wide.

    `inset` moves the surface inwards (mm): the cortex with an inset of 3 and the same seed is the white matter below a
    grey ribbon of 3 mm. The same `seed` gives the same gyri; where none is given the scene's own seed chooses.
    """

    kind: Literal["cortex"] = "cortex"
    radii: Radii
    wavelength: Positive = 13.0
    depth: Positive = 14.0
    width: Positive = 1.5
    inset: NonNegative = 0.0
    seed: Seed = None

    @staticmethod
    @ti.func
    def distance(p, params: ti.template(), o: ti.i32) -> ti.f32:
        r = vec3(params[o], params[o + 1], params[o + 2])
        a = (p / r).norm()
        x = p / ti.max(a, 1e-6)
        e = ti.min(ti.max((a - 1.0) * x.norm(), -params[o + 8]), (a - 1.0) * r.min())
        s = a * ti.min(0.5 * _gaps(x / r, x, params, o + _HEAD), params[o + 7]) - params[o + 4]
        shallow, deep, k = params[o + 3], params[o + 9], params[o + 5]
        body = -ti.min(_corner(s.x, -(shallow + e)), _corner(s.y, -(deep + e)))
        return _corner(e + k, body + k) - k + params[o + 6]

    @model_validator(mode="after")
    def _fits(self):
        radii = self.radii if isinstance(self.radii, tuple) else (self.radii,) * 3
        if any(not isinstance(v, (int, float)) for v in (*radii, self.wavelength, self.depth, self.width, self.inset)):
            return self
        if self.depth > min(radii) / 2:
            raise ValueError(f"depth is {self.depth:g} mm, more than half of the smallest radius ({min(radii):g} mm)")
        if self.width > self.depth / 2:
            raise ValueError(f"width is {self.width:g} mm, more than half of the sulci's depth ({self.depth:g} mm)")
        if self.width > self.wavelength / 2:
            raise ValueError(f"width is {self.width:g} mm, more than half the wavelength ({self.wavelength:g} mm)")
        if not max(radii) / _FINEST <= self.wavelength <= min(radii):
            raise ValueError(
                f"wavelength is {self.wavelength:g} mm; with these radii it must lie between "
                f"{max(radii) / _FINEST:.3g} and {min(radii):g} mm"
            )
        if self.inset >= min(radii) - self.depth:
            raise ValueError(f"inset is {self.inset:g} mm, but only {min(radii) - self.depth:g} mm lie below the sulci")
        return self

    def _radii(self) -> tuple[float, float, float]:
        return self.radii if isinstance(self.radii, tuple) else (self.radii,) * 3

    def _floor(self) -> float:
        """Depth (mm) down to which e is the height along the ray."""
        return min(self.depth + self.wavelength, 0.8 * min(self._radii()))

    def pack(self) -> np.ndarray:
        shallow, half, reach = SHALLOW * self.depth, self.width / 2, _REACH * self.wavelength
        rounding = min(shallow / 2, 0.8 * (self.wavelength / 2 - half))
        head = [shallow, half, rounding, self.inset, reach, self._floor(), self.depth]
        table = gyri(self._radii(), self.wavelength, self.seed or 0)
        return np.concatenate([np.array([*self._radii(), *head], np.float32), table])

    def ball(self) -> Ball:
        return Ball(ORIGIN, max(self._radii()) - self.inset, min(self._radii()) / max(self._radii()))

    def lipschitz(self) -> float:
        least, most = min(self._radii()), max(self._radii())
        k = (most / least + least / most) / 2
        return k + math.sqrt((k * k - 1) / (1 - self._floor() / least) ** 2 + (_REACH * self.wavelength / least) ** 2)

    @classmethod
    def example(cls) -> "Cortex":
        return cls(radii=(16, 18, 14), wavelength=8, depth=4, width=1.2, seed=1)


@functools.lru_cache(maxsize=16)
def gyri(radii: tuple[float, float, float], wavelength: float, seed: int) -> np.ndarray:
    """The table of `_half_gap` for gyri about `wavelength` mm wide on an ellipsoid, float32.

    Cells of u = x / r in [-1, 1]^3, n along each axis: for each the offset of its list and the list's length; then the
    lists of offsets of points; then the points. A point counts in a cell if it can be among the nearest of D1 or D2
    anywhere in it, and D2 - D1 below 2 E: distances change by at most the cell's half diagonal.
    """
    rng = Stream.of(seed, "cortex").generator()
    r, reach = np.asarray(radii), _REACH * wavelength
    points, chains = _chained(rng, _scattered(rng, r, 0.8 * wavelength), 1.45 * wavelength)
    points /= np.linalg.norm(points / r, axis=1, keepdims=True)
    _, lobules = cKDTree(_scattered(rng, r, LOBULE * wavelength)).query(_means(points, chains))
    n = int(np.clip(np.ceil(5 * r.max() / wavelength), 8, 40))
    steps = (np.arange(n) + 0.5) * (2 / n) - 1
    cells = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)[:, ::-1]
    touched = np.flatnonzero(np.abs(np.linalg.norm(cells, axis=1) - 1) < math.sqrt(3) / n + 1e-3)
    half = np.linalg.norm(r) / n + 1e-3
    rows, lists = np.zeros((len(cells), 2)), []
    start = 1 + rows.size
    for i in touched:
        away = np.linalg.norm(points - cells[i] * r, axis=1)
        nearest = away.argmin()
        other = away[lobules != lobules[nearest]].min(initial=away[nearest] + 2 * reach)
        lists.append(np.flatnonzero(away <= other + 2 * half))
        rows[i] = start, len(lists[-1])
        start += len(lists[-1])
    offsets = start + _SITE * np.concatenate(lists)
    return np.concatenate([[n], rows.ravel(), offsets, np.column_stack([points, chains, lobules]).ravel()]).astype(
        np.float32
    )


def _means(points: np.ndarray, chains: np.ndarray) -> np.ndarray:
    """For each point the mean of its chain's points (n, 3)."""
    _, which, count = np.unique(chains, return_inverse=True, return_counts=True)
    sums = np.column_stack([np.bincount(which, along) for along in points.T])
    return (sums / count[:, None])[which]


def _scattered(rng: np.random.Generator, r: np.ndarray, apart: float) -> np.ndarray:
    """Random points (n, 3) on the ellipsoid, no two nearer than `apart` mm, and room for no more of the candidates."""
    count = int(30 * 4 * math.pi * r.max() ** 2 / apart**2)
    u = rng.standard_normal((count, 3))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    stretch = np.linalg.norm(u / r, axis=1)  # of areas, from the sphere to the ellipsoid
    points = (u * r)[rng.random(count) < stretch / stretch.max()]
    free, kept = np.ones(len(points), bool), []
    tree = cKDTree(points)
    for i in range(len(points)):
        if free[i]:
            kept.append(i)
            free[tree.query_ball_point(points[i], apart)] = False
    return points[kept]


def _chained(rng: np.random.Generator, points: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Points joined into chains that run on as straight as they can; with the middles of the links, and the number of
    each point's chain, which is that of its first point.

    Args:
        points: (n, 3), mm.
        step: the longest link, mm.
    """
    near = cKDTree(points).query_ball_point(points, step)
    chains = np.full(len(points), -1)
    links: list[tuple[int, int]] = []
    for first in rng.permutation(len(points)):
        if chains[first] >= 0:
            continue
        at, heading = int(first), rng.standard_normal(3)
        chains[at] = first
        for _ in range(int(rng.integers(2, CHAIN))):
            free = [j for j in near[at] if chains[j] < 0]
            if not free:
                break
            towards = points[free] - points[at]
            towards /= np.linalg.norm(towards, axis=1, keepdims=True)
            best = int(np.argmax(towards @ heading))
            if links and links[-1][1] == at and towards[best] @ heading < 0:
                break  # a chain that turned back would make a patch
            chains[free[best]] = first
            links.append((at, free[best]))
            at, heading = free[best], towards[best]
    ends = np.asarray(links)
    return np.concatenate([points, points[ends].mean(axis=1)]), np.concatenate([chains, chains[ends[:, 0]]])
