"""Computed tomography: CT numbers from composition and tube spectrum; imitated images, or projections of all energies
and their filtered back-projection."""

from engine.render.ct.protocol import CT

__all__ = ["CT"]
