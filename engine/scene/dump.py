"""A scene as YAML text."""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from engine.scene.model import Scene


def dump(scene: Scene) -> str:
    """YAML of `scene`; short values on one line, floats so that they read back exactly."""
    writer = YAML()
    writer.width = 120
    writer.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    writer.dump(_tree(scene.model_dump(mode="python", exclude_unset=True, exclude_none=True), 0), out)
    return out.getvalue()


def _tree(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        node = CommentedMap((key, _tree(item, depth + 1)) for key, item in value.items())
        if depth > 2 and not any(isinstance(item, (dict, list, tuple)) for item in value.values()):
            node.fa.set_flow_style()
        return node
    if isinstance(value, (list, tuple)):
        items = CommentedSeq(_tree(item, depth + 1) for item in value)
        if not any(isinstance(item, dict) for item in value):
            items.fa.set_flow_style()
        return items
    return value
