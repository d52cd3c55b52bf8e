"""JSON Schema of the scene language, for completion and checks in editors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from engine.scene.editor import for_editors
from engine.scene.model import Scene


def schema() -> dict[str, Any]:
    """The schema, in the form that editors are good at."""
    document = Scene.model_json_schema(by_alias=True)
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    document["title"] = "Viscera scene"
    for part in document["$defs"].values():
        _describe(part, document["$defs"])
    return for_editors(document)


def _describe(part: dict[str, Any], defs: dict[str, Any]) -> None:
    """Give each field without words of its own those of its model, so that an editor has something to show."""
    whole = part.get("description", "")
    sentences = re.split(r"(?<=[.])\s", " ".join(whole.split()))
    for name, field in part.get("properties", {}).items():
        if "description" not in field:
            about = [sentence for sentence in sentences if f"`{name}`" in sentence]
            models = [defs[ref].get("description", "") for ref in _references(field)]
            field["description"] = " ".join(about or models[:1]) or whole


def _references(field: dict[str, Any]) -> Iterator[str]:
    """Names of the models that a field takes itself, not in a list."""
    for option in (field, *field.get("anyOf", ())):
        if "$ref" in option:
            yield option["$ref"].rsplit("/", 1)[1]
