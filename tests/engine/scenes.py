"""Small scenes that several tests build."""

from __future__ import annotations

from typing import Any

from engine import nodes
from engine.scene import Scene

nodes.discover()


def scene_of(*bodies: dict[str, Any], size: int = 40, spacing: float = 1.0, **more: Any) -> Scene:
    """A scene of the given structures `s0`, `s1`, ... on a cubic grid."""
    structures = {f"s{i}": {"material": "liver", **body} for i, body in enumerate(bodies)}
    grid = {"size": [size] * 3, "spacing": [spacing] * 3}
    return Scene.model_validate({"viscera": 1, "name": "test", "grid": grid, "structures": structures, **more})


SHAPE_EXAMPLES = {kind: cls.example().model_dump(exclude_none=True) for kind, cls in sorted(nodes.SHAPES.items())}
DEFORM_EXAMPLES = {kind: cls.example().model_dump(exclude_none=True) for kind, cls in sorted(nodes.DEFORMERS.items())}


def every_node() -> dict[str, dict[str, Any]]:
    """One structure for each registered shape, deformer and way to combine."""
    blob = SHAPE_EXAMPLES["blob"]
    out = dict(SHAPE_EXAMPLES)
    for kind, body in DEFORM_EXAMPLES.items():
        out[f"deform-{kind}"] = {**blob, "deform": [{kind: body}], "rotate": [20, 30, 40], "at": [1, 2, 3]}
    for op in sorted(nodes.COMBINES):
        parts = [SHAPE_EXAMPLES["ellipsoid"], {**SHAPE_EXAMPLES["box"], "op": op, "at": [6, 4, 2]}]
        out[f"combine-{op}"] = {"kind": "blend", "smooth": 4, "parts": parts, "scale": [1.1, 0.9, 1.2]}
    return out
