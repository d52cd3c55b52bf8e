"""The JSON Schema of scenes in the form that editors are good at: they complete, explain and check while one types.

Of a union they offer the fields of every member, and they compare a mistake with whichever member comes nearest. So a
union whose members say what they are (`kind`, `modality`) becomes branches: what it is comes first, its own fields
follow. A value is completed instead of null, a vector in one line, tissues and protocols by name; text is Markdown.

`defaultSnippets` and `markdownDescription` are words of the YAML language server, which others pass over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from engine.render.ct.number import ct_number
from engine.render.preset import PRESETS, preset
from engine.tissue import Tissue, load_table
from engine.vary import DISTRIBUTIONS

Schema = dict[str, Any]

#: Fields that say which member of a union a mapping is, and what is said of them.
_TAGS = {"kind": "what it is; its other fields depend on it", "modality": "how it is imaged"}
#: Fields that name something known: what they are offered, under `$defs`.
_OFFERS = {"material": "Tissue", "background": "Tissue", "like": "Tissue", "protocol": "Named"}
_FIELD_T = 1.5
_KVP = 120.0


def for_editors(document: Schema) -> Schema:
    """The same schema in that form; null is refused where it would only stand for nothing."""
    defs = document["$defs"]
    for rule in (_given, _drawn, lambda node: _branched(node, defs)):
        document = _rewritten(document, rule)
    document["$defs"] |= {"Distribution": _distribution(), "Tissue": _tissues(), "Named": _protocols()}
    return _rewritten(_rewritten(document, _completed), _marked_down)


def _rewritten(node: Any, rule: Callable[[Schema], Schema]) -> Any:
    """`node` with `rule` applied to every mapping in it, inner ones first."""
    if isinstance(node, list):
        return [_rewritten(item, rule) for item in node]
    if isinstance(node, dict):
        return rule({key: _rewritten(value, rule) for key, value in node.items()})
    return node


def _given(node: Schema) -> Schema:
    """Without a default that says nothing, and without null in its place."""
    if "default" not in node or node["default"] not in (None, "", [], {}):
        return node
    rest = {key: value for key, value in node.items() if key != "default"}
    if node["default"] is not None or "anyOf" not in rest:
        return rest
    options = [option for option in rest.pop("anyOf") if option != {"type": "null"}]
    return {**options[0], **rest} if len(options) == 1 else {**rest, "anyOf": options}


# --- unions -----------------------------------------------------------------------------------------------------------


def _drawn(node: Schema) -> Schema:
    """With one reference for all ways to let a value vary; only a mapping is compared with them."""
    options = node.get("anyOf", [])
    plain = [option for option in options if not DISTRIBUTIONS.keys() & option.get("properties", {}).keys()]
    if len(plain) == len(options):
        return node
    varies = {"if": {"type": "object"}, "then": {"$ref": "#/$defs/Distribution"}, "else": {"anyOf": plain}}
    return {**node, "anyOf": [*(option for option in plain if "enum" in option), varies]}


def _distribution() -> Schema:
    models = {name: _rewritten(cls.model_json_schema(), _given) for name, cls in DISTRIBUTIONS.items()}
    for name, model in models.items():
        model["properties"][name]["description"] = model["description"]
    return {
        "title": "distribution",
        "type": "object",
        "properties": {name: field for model in models.values() for name, field in model["properties"].items()},
        "additionalProperties": False,
        "allOf": [_branch({"required": [name]}, model) for name, model in models.items()],
        "anyOf": [{"required": [name]} for name in models],
    }


def _branch(when: Schema, then: Schema) -> Schema:
    return {"if": {"type": "object", **when}, "then": then}


def _branched(node: Schema, defs: Mapping[str, Schema]) -> Schema:
    """A union with a branch for each model that says what it is; other members differ in type."""
    options = node.get("oneOf") or node.get("anyOf") or []
    if not options:
        return node
    rest = {key: value for key, value in node.items() if key not in ("oneOf", "anyOf", "discriminator")}
    models = {option["$ref"]: defs.get(option["$ref"].rsplit("/", 1)[1], {}) for option in options if "$ref" in option}
    for tag in _TAGS:
        tagged = {ref: model for ref, model in models.items() if "const" in model.get("properties", {}).get(tag, {})}
        if len(tagged) > 1:
            others = [option for option in options if option.get("$ref") not in tagged]
            return {**rest, **_beside(others, models, _by_tag(tag, tagged))}
    return {**rest, "anyOf": options}


def _beside(others: list[Schema], models: Mapping[str, Schema], branches: Schema) -> Schema:
    """The branches, and what else may stand there: a model known by what it requires, or plain values."""
    for other in others:
        if "$ref" in other:
            return {**_branch({"required": models[other["$ref"]]["required"]}, other), "else": branches}
    return {"anyOf": [*others, branches]} if others else branches


def _by_tag(tag: str, models: Mapping[str, Schema]) -> Schema:
    values = {ref: model["properties"][tag]["const"] for ref, model in models.items()}
    fields = {tag: {"description": _TAGS[tag], **_one_of((v, models[ref]["description"]) for ref, v in values.items())}}
    needs: Schema = {"required": [tag]}
    if tag == "modality":  # which the name of a protocol says as well
        fields["protocol"] = {"$ref": "#/$defs/Named"}
        needs = {"anyOf": [{"required": [tag]}, {"required": ["protocol"]}]}
    branches = [_branch(_says(tag, value), {"$ref": ref}) for ref, value in values.items()]
    return {"type": "object", "properties": fields, **needs, "allOf": branches}


def _says(tag: str, value: str) -> Schema:
    said: Schema = {"properties": {tag: {"const": value}}, "required": [tag]}
    if tag != "modality":
        return said
    names = [name for name in PRESETS if preset(name).fields[tag] == value]
    return {"anyOf": [said, {"properties": {"protocol": {"enum": names}}, "required": ["protocol"]}]}


# --- names ------------------------------------------------------------------------------------------------------------


def _one_of(described: Iterable[tuple[str, str]]) -> Schema:
    """Names, each with words of its own: those of an `enum` are all shown at once."""
    return {"anyOf": [{"const": name, "title": name, "description": words} for name, words in described]}


def _protocols() -> Schema:
    return _one_of((name, preset(name).description) for name in PRESETS)


def _tissues() -> Schema:
    return _one_of((name, _summary(tissue)) for name, tissue in sorted(load_table().items()))


def _summary(tissue: Tissue) -> str:
    relaxation = f"T1 {tissue.t1_ms[_FIELD_T]:g} ms, T2 {tissue.t2_ms[_FIELD_T]:g} ms at {_FIELD_T:g} T"
    return f"{ct_number(tissue, _KVP):.0f} HU at {_KVP:g} kVp; {relaxation}"


# --- completion -------------------------------------------------------------------------------------------------------


def _completed(node: Schema) -> Schema:
    """With values for an editor to offer for the fields of a model."""
    if "properties" not in node:
        return node
    return {**node, "properties": {name: _offered(name, field) for name, field in node["properties"].items()}}


def _offered(name: str, field: Schema) -> Schema:
    about: Schema = {key: field[key] for key in ("title", "description") if key in field}
    if name in _OFFERS and "const" not in field:
        known = {"$ref": f"#/$defs/{_OFFERS[name]}"}
        return {**field, "anyOf": [known, *field["anyOf"]]} if "anyOf" in field else {**about, **known}
    if "prefixItems" not in field:
        return field
    plain = {key: value for key, value in field.items() if key not in (*about, "default")}
    return {**about, "anyOf": [plain], "defaultSnippets": [_line(field.get("default"), len(field["prefixItems"]))]}


def _line(values: Iterable[Any] | None, length: int) -> Schema:
    """A vector in one line; editors write its items below each other of their own accord."""
    shown = [str(value).removesuffix(".0") for value in values] if values is not None else [""] * length
    places = [f"${{{i}:{value}}}" if value else f"${i}" for i, value in enumerate(shown, start=1)]
    return {"label": f"[{', '.join(shown)}]", "body": f"[{', '.join(places)}]"}


def _marked_down(node: Schema) -> Schema:
    """With its description as Markdown, where it is more than a phrase."""
    text = node.get("description")
    return {**node, "markdownDescription": text} if isinstance(text, str) and ("`" in text or "\n" in text) else node
