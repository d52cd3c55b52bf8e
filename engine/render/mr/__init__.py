"""Magnetic resonance: signal equations, coil shading, and noise in k-space."""

from engine.render.mr.protocol import MR

__all__ = ["MR"]
