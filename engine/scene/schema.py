"""JSON Schema of the scene language, for completion and checks in editors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from engine.scene.model import Scene


def schema() -> dict[str, Any]:
    """The schema; what occurs often (ways to write a number) stands once, under `$defs`."""
    document = Scene.model_json_schema(by_alias=True)
    images = document["properties"]["acquire"]["items"]
    images["anyOf"] = images.pop("oneOf")  # a protocol's name alone fits every modality
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    document["title"] = "Viscera scene"
    for part in document["$defs"].values():
        _describe(part, document["$defs"])
    return _share_repeated(document)


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


def _share_repeated(document: dict[str, Any]) -> dict[str, Any]:
    """The same schema with every repeated `anyOf` over distributions moved to `$defs`."""
    shared: dict[str, str] = {}

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(item) for item in node]
        if not isinstance(node, dict):
            return node
        choices = node.get("anyOf")
        if isinstance(choices, list) and any("uniform" in c.get("properties", {}) for c in choices):
            name = shared.setdefault(json.dumps(choices, sort_keys=True), f"Number{len(shared) + 1}")
            rest = {key: walk(value) for key, value in node.items() if key != "anyOf"}
            return {"$ref": f"#/$defs/{name}", **rest}
        return {key: walk(value) for key, value in node.items()}

    out = walk(document)
    out["$defs"] |= {name: {"anyOf": json.loads(text)} for text, name in shared.items()}
    return out
