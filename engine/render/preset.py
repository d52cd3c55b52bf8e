"""Protocols by the names that users know them by: one YAML file each in `presets`, of a description and fields."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from engine.unknown import unknown


class Preset(NamedTuple):
    """A named protocol.

    Args:
        description: what it is for, a sentence.
        fields: of the modality's protocol, `modality` among them; numbers may be distributions.
    """

    description: str
    fields: Mapping[str, Any]


@functools.lru_cache(maxsize=1)
def presets() -> Mapping[str, Preset]:
    """Every preset by name, in alphabetical order; read-only."""
    found = {}
    for path in sorted(files("engine.render").joinpath("presets").iterdir(), key=lambda path: path.name):
        if path.name.endswith(".yaml"):
            fields = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
            found[path.name.removesuffix(".yaml")] = Preset(fields.pop("description"), MappingProxyType(fields))
    return MappingProxyType(found)


def preset(name: str) -> Preset:
    """The preset called `name`; a UserError that names the nearest ones where there is none."""
    if name in presets():
        return presets()[name]
    raise unknown("protocol", name, presets())


def resolved(value: Any) -> Any:
    """`value` with the fields of the preset that its `protocol` names, as far as it does not give them itself."""
    if not isinstance(value, Mapping) or value.get("protocol") not in presets():
        return value
    own = {key: item for key, item in value.items() if key != "protocol"}
    return {"name": value["protocol"], **presets()[value["protocol"]].fields, **own}
