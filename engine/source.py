"""Which file each part of a scene was written in: loading marks the containers, relative paths start from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

_FILE = "_viscera_file"


def mark(node: Any, path: Path) -> None:
    """Note on a container of a YAML document, and on all in it, that it stands in `path`."""
    if isinstance(node, (CommentedMap, CommentedSeq)):
        setattr(node, _FILE, path)
        for child in node.values() if isinstance(node, CommentedMap) else node:
            mark(child, path)


def source(node: Any) -> Path | None:
    """The file that a container stands in; None for those that no file holds."""
    return getattr(node, _FILE, None)
