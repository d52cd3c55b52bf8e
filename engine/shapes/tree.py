"""Branching tree (vessels, bronchi): a recursively forking chain of tapered capsules.

At a fork the two daughters' radii follow Murray's law r^3 = r_1^3 + r_2^3 (Murray 1926, doi 10.1073/pnas.12.3.207);
the thinner daughter turns away more. The field is that of the chain, see segments.py.

Lipschitz 1 + the steepest taper, mm of radius per mm of length.
"""

from typing import Literal

import numpy as np
from pydantic import model_validator

from engine.nodes import register
from engine.random import Stream
from engine.shapes.segments import Chain
from engine.vary import Count, NonNegative, Positive, Seed, Vec3

#: Straight pieces a branch is made of.
PIECES = 3
MOST_GENERATIONS = 10


@register("tree")
class Tree(Chain):
    """A tree that starts at `root` (mm) and grows along `direction`.

    `radius` is the stem's (mm), `length` the stem's length (mm; each generation's is `shorten` times its parent's),
    `angle` the mean angle between sisters (degrees), `wobble` how much branches curve (0 straight). The same `seed`
    grows the same tree; where none is given the scene's own seed chooses.
    """

    kind: Literal["tree"] = "tree"
    root: Vec3 = (0.0, 0.0, 0.0)
    direction: Vec3 = (0.0, 0.0, 1.0)
    radius: Positive
    length: Positive = 30.0
    generations: Count = 4
    angle: Positive = 60.0
    shorten: Positive = 0.78
    wobble: NonNegative = 0.15
    seed: Seed = None

    @model_validator(mode="after")
    def _finite(self):
        if isinstance(self.generations, int) and not 1 <= self.generations <= MOST_GENERATIONS:
            raise ValueError(f"generations must lie between 1 and {MOST_GENERATIONS}, got {self.generations}")
        if self.direction == (0, 0, 0):
            raise ValueError("direction must not be [0, 0, 0]")
        return self

    def segments(self) -> np.ndarray:
        """Straight pieces (n, 2, 4): both ends' x, y, z and radius."""
        rng = Stream.of(self.seed or 0, "tree").generator()
        heading = np.asarray(self.direction, float)
        branches = [(np.asarray(self.root, float), heading / np.linalg.norm(heading), self.radius, self.length)]
        out: list[np.ndarray] = []
        for _ in range(self.generations):
            daughters = []
            for start, heading, radius, length in branches:
                share = rng.uniform(0.35, 0.65)  # of the flow, to the first daughter
                pieces, tip, heading = self._branch(rng, start, heading, radius, length)
                out.extend(pieces)
                side = _perpendicular(rng, heading)
                for flow, sign in ((share, 1.0), (1 - share, -1.0)):
                    turn = np.radians(self.angle) * (1 - flow) * sign
                    turned = np.cos(turn) * heading + np.sin(turn) * side
                    stretch = self.shorten * rng.uniform(0.8, 1.2)
                    daughters.append((tip, turned, radius * flow ** (1 / 3), length * stretch))
            branches = daughters
        return np.asarray(out)

    def _branch(self, rng, start, heading, radius, length):
        """The pieces of one branch, its tip, and the direction it ends in."""
        pieces = []
        for k in range(PIECES):
            heading = heading + self.wobble * rng.standard_normal(3)
            heading /= np.linalg.norm(heading)
            end = start + heading * (length / PIECES)
            thick, thin = (radius * (1 - 0.15 * j / PIECES) for j in (k, k + 1))
            pieces.append([[*start, thick], [*end, thin]])
            start = end
        return pieces, start, heading

    @classmethod
    def example(cls) -> "Tree":
        return cls(root=(0, 0, -16), radius=3, length=12, generations=4, seed=5)


def _perpendicular(rng: np.random.Generator, heading: np.ndarray) -> np.ndarray:
    """A random unit vector at right angles to `heading`."""
    side = np.cross(heading, rng.standard_normal(3))
    return side / np.linalg.norm(side)
