"""Chains of tapered capsules: the common form of tubes and vessel trees.

A chain is stored as chunks of up to `CHUNK` segments with a ball around each chunk. The field is the minimum over
segments of |p - a - t (b - a)| - lerp(r_a, r_b, t); a chunk whose ball is farther away than the best so far is skipped,
which cannot change the minimum.
"""

import numpy as np
import taichi as ti

from engine.nodes import Ball, Shape

CHUNK = 8
_SEGMENT = 8  # ax ay az ra bx by bz rb
_HEAD = 5  # centre and radius of a chunk's ball, number of its segments

vec3 = ti.math.vec3


@ti.func
def distance_to_segments(p, params: ti.template(), o: ti.i32) -> ti.f32:
    chunks = int(params[o])
    best = 1e9
    for c in range(chunks):
        head = o + 1 + c * (_HEAD + CHUNK * _SEGMENT)
        near = (p - vec3(params[head], params[head + 1], params[head + 2])).norm() - params[head + 3]
        if near < best:
            for s in range(int(params[head + 4])):
                q = head + _HEAD + s * _SEGMENT
                a = vec3(params[q], params[q + 1], params[q + 2])
                ba = vec3(params[q + 4], params[q + 5], params[q + 6]) - a
                t = ti.math.clamp((p - a).dot(ba) / ti.max(ba.dot(ba), 1e-12), 0.0, 1.0)
                d = (p - a - t * ba).norm() - ti.math.mix(params[q + 3], params[q + 7], t)
                best = ti.min(best, d)
    return best


def pack_segments(segments: np.ndarray) -> list[float]:
    """Parameters of `distance_to_segments` for segments (n, 2, 4): both ends' x, y, z and radius, in mm."""
    chunks = [segments[i : i + CHUNK] for i in range(0, len(segments), CHUNK)]
    out = [float(len(chunks))]
    for chunk in chunks:
        ball = ball_of_segments(chunk)
        out += [*ball.centre, ball.radius, float(len(chunk)), *chunk.reshape(-1).tolist()]
    return out


def ball_of_segments(segments: np.ndarray) -> Ball:
    """A ball around segments (n, 2, 4)."""
    ends = segments.reshape(-1, 4)
    return Ball.around([Ball((x, y, z), r) for x, y, z, r in ends.tolist()])


def slope_of_segments(segments: np.ndarray) -> float:
    """The Lipschitz bound of the field: 1 + the steepest taper."""
    length = np.linalg.norm(segments[:, 1, :3] - segments[:, 0, :3], axis=1)
    taper = np.abs(segments[:, 1, 3] - segments[:, 0, 3])
    return 1.0 + float(np.max(taper / np.maximum(length, 1e-6)))


class Chain(Shape):
    """A shape that is a chain of tapered capsules."""

    distance = staticmethod(distance_to_segments)

    def segments(self) -> np.ndarray:
        """Straight pieces (n, 2, 4): both ends' x, y, z and radius, in mm."""
        raise NotImplementedError

    def pack(self) -> list[float]:
        return pack_segments(self.segments())

    def ball(self) -> Ball:
        return ball_of_segments(self.segments())

    def lipschitz(self) -> float:
        return slope_of_segments(self.segments())
