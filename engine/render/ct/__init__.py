"""Computed tomography: CT numbers from composition and tube spectrum, reconstruction kernels, correlated noise."""

from engine.render.ct.protocol import CT

__all__ = ["CT"]
