"""Cortex: an ellipsoid with gyri and sulci.

With a = |p / r|, the body is written in two coordinates: e = |p| (1 - 1 / a), the height over the ellipsoid along the
ray from the centre, and s, the distance to the middle of the nearest sulcus. In the plane of (s, e) the body is the
half-plane e < 0, its crowns rounded by k, less a groove of half width w / 2 and depth d:

    m = -corner(s - w / 2, -(d + e)),   f = corner(e + k, m + k) - k + inset
    corner(a, b) = |max((a, b), 0)| + min(max(a, b), 0)

Both corners are exact where e and s are distances, so moving the surface by `inset` keeps a ribbon of even width; it is
up to half as wide again where sulci end or meet, since s grows more slowly there.

Gyri are the Voronoi cells of chains of points on the ellipsoid: at x = p / a, s = a (D2 - D1) / 2 with D1 the distance
to the nearest chain and D2 that to the next one. Going down by h = min(max(-e, 0), d), a point moves sideways by
v h + (w - v) h^2 / (2 d), with slopes v and w of at most `LEAN`: sulci wander, gyri widen and narrow, and some meet.
Chains form lobules; sulci between lobules are deep, those within one share a depth that differs from lobule to lobule,
so m is the greater of two.

Lipschitz the norm of [[E' + w, 1], [K + (E' + w) T, T / a]]: its columns are the gradients of s and e, its rows their
parts along the ray and across it, and f's is a combination of both with weights on the unit circle. Here
K = (t + 1 / t) / 2 with t = max(r) / min(r) bounds how x moves by K / a for a step of p (Kantorovich's inequality), as
D does, and T = sqrt(K^2 - 1) how the height's gradient, (1, T / a), leans away from the ray. E' = E / min(r) comes from
the factor a of s, whose (D2 - D1) / 2 is kept below E, and w = `LEAN` from points that move, where a is at least
1 - d / min(r); below that w = 0. Deeper than the sulci e goes on with (a - 1) min(r), which is 1-Lipschitz down to the
centre.
"""

import functools
import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import taichi as ti
from pydantic import model_validator
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from engine.nodes import ORIGIN, Ball, Shape, register
from engine.random import Stream
from engine.vary import NonNegative, Positive, Radii, Seed

#: Points in a chain, at most.
CHAIN = 9
#: Depths of the sulci within a lobule, as a share of those around it.
SHALLOW = (0.35, 0.9)
#: Distance between the middles of lobules, in wavelengths.
LOBULE = 3.2
#: Distances between points, in wavelengths; they differ from lobule to lobule.
SPREAD = (0.7, 1.25)
#: Slope of the sulci's walls against the rays, at most.
LEAN = 0.6
#: Depths, from the surface to the sulci's bottom, for which the table's lists are made.
_LEVELS = 7
#: The largest radius may be so many wavelengths.
_FINEST = 12
#: Share of the wavelength up to which the distance to a sulcus is followed (E).
_REACH = 0.5
_HEAD = 9
_SITE = 12  # x y z, number of the chain, number of the lobule, share of the depth, slopes at the top and at the bottom

vec2 = ti.math.vec2
vec3 = ti.math.vec3


@ti.func
def _corner(a: ti.f32, b: ti.f32) -> ti.f32:
    return vec2(ti.max(a, 0.0), ti.max(b, 0.0)).norm() + ti.min(ti.max(a, b), 0.0)


@ti.func
def _gaps(u, x, down, params: ti.template(), o: ti.i32):
    """D2 - D1 at `x` for chains and for lobules, and the share of the depth there; the table at `params[o]` is that of
    `gyri`, and points move by `down[0]` times their first slope and `down[1]` times their second one."""
    n = int(params[o])
    cell = ti.math.clamp(ti.cast((u + 1.0) * (0.5 * n), ti.i32), 0, n - 1)
    row = o + 1 + 2 * ((cell.z * n + cell.y) * n + cell.x)
    first, second, names, nearest = 1e12, vec2(1e12), vec2(-1.0), 0
    for i in range(int(params[row + 1])):
        q = o + int(params[o + int(params[row]) + i])
        away = x - vec3(params[q], params[q + 1], params[q + 2])
        away -= down[0] * vec3(params[q + 6], params[q + 7], params[q + 8])
        away -= down[1] * vec3(params[q + 9], params[q + 10], params[q + 11])
        d = away.dot(away)
        # a nearer point of another chain or lobule makes the nearest one so far the next one
        for j in ti.static(range(2)):
            if params[q + 3 + j] != names[j]:
                second[j] = first if d < first else ti.min(second[j], d)
        if d < first:
            first, names, nearest = d, vec2(params[q + 3], params[q + 4]), q
    return ti.sqrt(second) - ti.sqrt(first), params[nearest + 5]


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
        half, k, deep = params[o + 3], params[o + 4], params[o + 8]
        e = ti.min(ti.max((a - 1.0) * x.norm(), -params[o + 7]), (a - 1.0) * r.min())
        h = ti.math.clamp(-e, 0.0, deep)
        bend = 0.5 * h * h / deep
        gaps, share = _gaps(x / r, x, vec2(h - bend, bend), params, o + _HEAD)
        s = a * ti.min(0.5 * gaps, params[o + 6]) - half
        shallow = share * deep
        body = -ti.min(_corner(s.x, -(shallow + e)), _corner(s.y, -(deep + e)))
        return _corner(e + k, body + k) - k + params[o + 5]

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
        return min(self.depth + _REACH * self.wavelength, 0.8 * min(self._radii()))

    def pack(self) -> np.ndarray:
        half, reach = self.width / 2, _REACH * self.wavelength
        rounding = min(SHALLOW[0] * self.depth / 2, 0.8 * (self.wavelength / 2 - half))
        head = [half, rounding, self.inset, reach, self._floor(), self.depth]
        table = gyri(self._radii(), self.wavelength, self.depth, self.seed or 0)
        return np.concatenate([np.array([*self._radii(), *head], np.float32), table])

    def ball(self) -> Ball:
        return Ball(ORIGIN, max(self._radii()) - self.inset, min(self._radii()) / max(self._radii()))

    def lipschitz(self) -> float:
        least, most = min(self._radii()), max(self._radii())
        k = (most / least + least / most) / 2
        t, turn = math.sqrt(k * k - 1), _REACH * self.wavelength / least

        def norm(depth: float, lean: float) -> float:
            along, across = turn + lean, k + (turn + lean) * t
            return float(np.linalg.norm([[along, 1], [across, t / (1 - depth / least)]], 2))

        return max(norm(self.depth, LEAN), norm(self._floor(), 0))

    @classmethod
    def example(cls) -> "Cortex":
        return cls(radii=(16, 18, 14), wavelength=8, depth=4, width=1.2, seed=1)


@functools.lru_cache(maxsize=16)
def gyri(radii: tuple[float, float, float], wavelength: float, depth: float, seed: int) -> np.ndarray:
    """The table of `_gaps` for gyri about `wavelength` mm wide and sulci `depth` mm deep on an ellipsoid, float32.

    Cells of u = x / r in [-1, 1]^3, n along each axis: for each the offset of its list and the list's length; then the
    lists of offsets of points; then the points. A point counts in a cell if it can be among the nearest of D1 or D2
    anywhere in it and at any depth, and D2 - D1 below 2 E: distances change by at most the cell's half diagonal, and by
    what points move between one of `_LEVELS` depths and the next.
    """
    rng = Stream.of(seed, "cortex").generator()
    r, reach = np.asarray(radii), _REACH * wavelength
    centres = _scattered(rng, r, LOBULE * wavelength)
    lobule_of, spread = cKDTree(centres), rng.uniform(*SPREAD, len(centres)) * wavelength
    points = _scattered(rng, r, SPREAD[0] * wavelength, lambda points: spread[lobule_of.query(points)[1]])
    points, chains = _chained(rng, points, 1.45 * wavelength)
    points /= np.linalg.norm(points / r, axis=1, keepdims=True)
    _, lobules = lobule_of.query(_means(points, chains))
    share = rng.uniform(*SHALLOW, len(centres))[lobules]
    slopes = [_slopes(rng, points / r**2, chains) for _ in range(2)]
    n = int(np.clip(np.ceil(5 * r.max() / wavelength), 8, 40))
    steps = (np.arange(n) + 0.5) * (2 / n) - 1
    cells = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)[:, ::-1]
    touched = np.flatnonzero(np.abs(np.linalg.norm(cells, axis=1) - 1) < math.sqrt(3) / n + 1e-3)
    half = np.linalg.norm(r) / n + 0.5 * LEAN * depth / (_LEVELS - 1) + 1e-3
    listed = np.zeros((len(touched), len(points)), bool)
    for h in np.linspace(0, depth, _LEVELS):
        bend = h * h / (2 * depth)
        away = cdist(cells[touched] * r, points + (h - bend) * slopes[0] + bend * slopes[1])
        nearest = away.argmin(axis=1)
        first = away[np.arange(len(away)), nearest]
        other = np.where(lobules == lobules[nearest][:, None], np.inf, away).min(axis=1)
        listed |= away <= (np.minimum(other, first + 2 * reach) + 2 * half)[:, None]
    rows, counts = np.zeros((len(cells), 2)), listed.sum(axis=1)
    start = 1 + rows.size
    rows[touched] = np.column_stack([start + np.cumsum(counts) - counts, counts])
    offsets = start + counts.sum() + _SITE * np.nonzero(listed)[1]
    sites = np.column_stack([points, chains, lobules, share, *slopes])
    return np.concatenate([[n], rows.ravel(), offsets, sites.ravel()]).astype(np.float32)


def _slopes(rng: np.random.Generator, normals: np.ndarray, chains: np.ndarray) -> np.ndarray:
    """How far each point moves sideways per mm of depth (n, 3): half as its chain does, half as it does itself."""
    names, which = np.unique(chains, return_inverse=True)
    drawn = rng.standard_normal((len(names), 3))[which] + rng.standard_normal((len(normals), 3))
    drawn *= 0.5 * LEAN
    drawn -= normals * ((drawn * normals).sum(axis=1) / (normals**2).sum(axis=1))[:, None]
    return drawn / np.maximum(np.linalg.norm(drawn, axis=1, keepdims=True) / LEAN, 1)


def _means(points: np.ndarray, chains: np.ndarray) -> np.ndarray:
    """For each point the mean of its chain's points (n, 3)."""
    _, which, count = np.unique(chains, return_inverse=True, return_counts=True)
    sums = np.column_stack([np.bincount(which, along) for along in points.T])
    return (sums / count[:, None])[which]


def _scattered(
    rng: np.random.Generator, r: np.ndarray, least: float, spacing: Callable[[np.ndarray], np.ndarray] | None = None
) -> np.ndarray:
    """Random points (n, 3) on the ellipsoid, and room for no more of the candidates: none is nearer to an earlier one
    than that one's spacing, `least` mm or as `spacing` says for points (n, 3)."""
    count = int(30 * 4 * math.pi * r.max() ** 2 / least**2)
    u = rng.standard_normal((count, 3))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    stretch = np.linalg.norm(u / r, axis=1)  # of areas, from the sphere to the ellipsoid
    points = (u * r)[rng.random(count) < stretch / stretch.max()]
    apart = spacing(points) if spacing else np.full(len(points), least)
    free, kept = np.ones(len(points), bool), []
    tree = cKDTree(points)
    for i in range(len(points)):
        if free[i]:
            kept.append(i)
            free[tree.query_ball_point(points[i], apart[i])] = False
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
