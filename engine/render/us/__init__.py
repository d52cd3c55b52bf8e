"""Ultrasound: B-mode frames simulated in beam space, one per slice of the volume."""

from engine.render.us.protocol import US

__all__ = ["US"]
