"""Shell: keeps a wall of given thickness below the surface, max(d, -d - t). Lipschitz as d."""

import taichi as ti

from engine.nodes import Ball, Displacement, register
from engine.vary import Positive


@register("shell")
class Shell(Displacement):
    """A hollow organ: a wall `thickness` mm thick inside the surface, empty within."""

    thickness: Positive

    @staticmethod
    @ti.func
    def displace(d: ti.f32, p, params: ti.template(), o: ti.i32) -> ti.f32:
        return ti.max(d, -d - params[o])

    def pack(self) -> list[float]:
        return [self.thickness]

    def grown(self, ball: Ball) -> Ball:
        return ball

    def lipschitz(self, inner: float) -> float:
        return inner

    @classmethod
    def example(cls) -> "Shell":
        return cls(thickness=4)
