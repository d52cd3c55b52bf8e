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


_FOLDER = files("engine.render").joinpath("presets")

#: The names of all presets, in alphabetical order.
PRESETS = tuple(sorted(p.name.removesuffix(".yaml") for p in _FOLDER.iterdir() if p.name.endswith(".yaml")))


@functools.cache
def preset(name: str) -> Preset:
    """The preset called `name`; a UserError that names the nearest ones where there is none."""
    if name not in PRESETS:
        raise unknown("protocol", name, PRESETS)
    fields = YAML(typ="safe").load(_FOLDER.joinpath(f"{name}.yaml").read_text(encoding="utf-8"))
    return Preset(fields.pop("description"), MappingProxyType(fields))


def resolved(value: Any) -> Any:
    """`value` with the fields of the preset that its `protocol` names, as far as it does not give them itself."""
    if not isinstance(value, Mapping) or value.get("protocol") not in PRESETS:
        return value
    own = {key: item for key, item in value.items() if key != "protocol"}
    return {"name": value["protocol"], **preset(value["protocol"]).fields, **own}
