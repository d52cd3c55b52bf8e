"""The scene language: types, loading with located errors, drawing, dumping."""

from engine.scene.errors import SceneError
from engine.scene.model import Scene

__all__ = ["Scene", "SceneError"]
