"""What a layout of a dataset is."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from engine.errors import UserError
from trainer.case import Case

HEADER = "dataset.json"


@dataclass(frozen=True)
class Layout(ABC):
    """The cases of one folder.

    Args:
        path: the folder.
    """

    path: Path

    #: What a folder of this layout holds, for messages.
    looks: ClassVar[str]

    @staticmethod
    @abstractmethod
    def holds(path: Path) -> bool:
        """Whether a folder looks like this layout, by the names in it."""

    @cached_property
    @abstractmethod
    def entries(self) -> Sequence[Any]:
        """What tells the cases apart, in the order of their names; no image is opened for it.

        Raises:
            UserError: there is no case, or one lacks its masks.
        """

    @abstractmethod
    def read(self, index: int) -> Case:
        """Case number `index`; only its own files are read."""


def read_header(path: Path) -> dict[str, Any]:
    """The contents of a folder's dataset.json, empty where there is none."""
    file = path / HEADER
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: not JSON ({error})") from None
    if not isinstance(content, dict):
        raise UserError(f"{file}: needs to be a mapping, not a {type(content).__name__}")
    return content
