"""What a layout of a dataset is, and the table of those there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.generate import Sample

if TYPE_CHECKING:
    from engine.dataset.request import Request


@dataclass(frozen=True)
class Layout:
    """How a sample becomes files.

    Args:
        save: `save(root, sample, request)` writes a sample's files below `root`, which holds nothing else.
        header: `header(request)` gives the layout's own entries of dataset.json.
        folders: top-level folders that `save` fills.
    """

    save: Callable[[Path, Sample, Request], None]
    header: Callable[[Request], dict[str, Any]]
    folders: tuple[str, ...]


LAYOUTS: dict[str, Layout] = {}


def register(name: str, layout: Layout) -> None:
    """Make a layout known as `--format name`."""
    if name in LAYOUTS:
        raise ValueError(f"layout '{name}' is registered twice")
    LAYOUTS[name] = layout
