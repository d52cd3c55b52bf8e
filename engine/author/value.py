"""Values that a scene writes as something else than plain data, and how to write them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel


class Value:
    """Something that stands in a scene: a distribution, a variable, a structure, a protocol, ..."""

    def written(self) -> Any:
        """Plain data, as the scene's file holds it."""
        raise NotImplementedError

    def needs(self) -> Iterator[Named]:
        """Variables and materials that must be defined in the scene, each after those it needs itself."""
        yield from ()


class Named(Value):
    """A value that the scene defines once, in one of its sections, and refers to by name."""

    section: ClassVar[str]
    name: str

    def definition(self) -> Any:
        """The entry in the section, as plain data."""
        raise NotImplementedError


def written(value: Any) -> Any:
    """`value` as plain mappings, lists, strings and numbers."""
    if isinstance(value, Value):
        return value.written()
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_unset=True, exclude_none=True)
    if isinstance(value, Mapping):
        return {key: written(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [written(item) for item in value]
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def needs(value: Any) -> tuple[Named, ...]:
    """Variables and materials that `value` is made of, without repetition."""
    return tuple(dict.fromkeys(_needs(value)))


def _needs(value: Any) -> Iterator[Named]:
    if isinstance(value, Value):
        yield from value.needs()
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _needs(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _needs(item)
