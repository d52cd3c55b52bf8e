"""The reference of the scene language as Markdown: every registered node, in the words of its own documentation.

What a node does is its class's docstring, its formula and Lipschitz bound stand in its file's, its fields are its
model's, and its example is `example()`. Kept by hand are only structures that show how to place and relate others.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from engine import nodes, relate
from engine.pattern import PATTERNS
from engine.scene import model
from engine.shapes.ellipsoid import Ellipsoid

BEGIN, END = "<!-- nodes: written by python -m viewer.nodes docs -->", "<!-- end of nodes -->"

Document = dict[str, Any]

#: For each way to place a structure, structures that show it.
PLACEMENTS: dict[str, Document] = {
    "place": {
        "organ": {
            "kind": "box",
            "material": "liver",
            "size": [16, 10, 8],
            "at": [4, 0, 2],
            "rotate": [0, 30, 20],
            "scale": [1, 1, 2],
        },
    },
    "inside": {
        "organ": {"kind": "sphere", "material": "liver", "radius": 12},
        "lesion": {"kind": "sphere", "material": "tumour", "inside": "organ", "radius": 7, "at": [8, -6, 5]},
    },
    "repeat": {
        "disc": {
            "kind": "cone",
            "material": "cartilage",
            "radii": [9, 9],
            "height": 4,
            "round": 1.5,
            "repeat": {"count": 4, "step": [0, 1, 7], "centred": True},
        },
    },
    "mirror": {
        "kidney": {
            "kind": "ellipsoid",
            "material": "kidney",
            "radii": [6, 4, 11],
            "at": [11, 0, 0],
            "rotate": [0, 20, 0],
            "mirror": {"labels": [1, 2]},
        },
    },
    "scatter": {
        "organ": {"kind": "sphere", "material": "liver", "radius": 14},
        "lesion": {
            "kind": "sphere",
            "material": "tumour",
            "inside": "organ",
            "radius": {"uniform": [2, 4]},
            "scatter": {"region": "organ", "count": 6, "margin": 1, "gap": 2},
        },
    },
}

_VESSEL = {"kind": "sphere", "material": "blood", "radius": 8, "at": [-8, 0, 0]}
_ORGAN = {"kind": "sphere", "material": "liver", "radius": 11}

#: For each relation two neighbours, the second one related to the first.
NEIGHBOURS: dict[str, Document] = {
    name: {"vessel": _VESSEL, "organ": {**_ORGAN, "at": [x, 0, 0], name: relation}}
    for name, x, relation in (
        ("gap", 6, {"to": "vessel", "mm": 2}),
        ("touching", 11.5, {"to": "vessel", "fillet": 9}),
        ("press", 4, {"against": "vessel"}),
    )
}


@dataclass(frozen=True)
class Entry:
    """One word of the scene language.

    Args:
        section: of the reference, `shapes`.
        name: as scenes write it.
        about: what it does, Markdown.
        formula: its field or map, and its Lipschitz bound; plain text, empty where there is none.
        fields: the model whose fields it takes; None where it is a single value.
        example: a part of a scene that uses it.
    """

    section: str
    name: str
    about: str
    formula: str
    fields: type[BaseModel] | None
    example: Document

    @property
    def picture(self) -> str:
        """File name of its picture."""
        return f"{self.section}-{self.name}.png"


def entries() -> list[Entry]:
    """Everything that is registered, section by section."""
    return [*_shapes(), *_combine(), *_deform(), *_placement(), *_relations(), *_motion(), *_patterns()]


def _shapes() -> Iterator[Entry]:
    for name, cls in sorted(nodes.SHAPES.items()):
        yield Entry("shapes", name, _text(cls), formula(cls), cls, {**_example(cls), "material": "liver"})


def _combine() -> Iterator[Entry]:
    for name, cls in sorted(nodes.COMBINES.items()):
        part = {"kind": "sphere", "op": name, "at": [10, -6, 4], "radius": 8}
        example = {"kind": "blend", "material": "liver", "smooth": 4, "parts": [_example(Ellipsoid), part]}
        yield Entry("combine", name, _text(cls), formula(cls), None, example)


def _deform() -> Iterator[Entry]:
    for name, cls in sorted(nodes.DEFORMERS.items()):
        yield Entry("deform", name, _text(cls), formula(cls), cls, {"deform": [{name: _example(cls)}]})


def _placement() -> Iterator[Entry]:
    for name, structures in PLACEMENTS.items():
        cls = model.Placed if name == "place" else _part(name)
        about = _text(cls) if cls else f"Names {model.StructureFields.model_fields[name].description}."
        yield Entry("placement", name, about, "", cls, structures)


def _relations() -> Iterator[Entry]:
    lines = [line.split(maxsplit=1) for line in (relate.__doc__ or "").splitlines()]
    formulas = {words[0]: words[1] for words in lines if len(words) == 2}
    for name in model.RELATIONS:
        cls = _part(name)
        yield Entry("relations", name, _text(cls), formulas[name], cls, NEIGHBOURS[name])


def _motion() -> Iterator[Entry]:
    for name, cls in sorted(nodes.MOTIONS.items()):
        yield Entry("motion", name, _text(cls), formula(cls), cls, {"motion": [{name: _example(cls)}]})


def _patterns() -> Iterator[Entry]:
    for name, cls in sorted(PATTERNS.items()):
        material = {"like": "liver", "pattern": _example(cls)}
        yield Entry("patterns", name, _text(cls), formula(cls), cls, {"materials": {"mine": material}})


def _part(name: str) -> Any:
    """The model of a structure's field; None for plain values."""
    (cls, *_) = model.StructureFields.model_fields[name].annotation.__args__  # type: ignore[union-attr]
    return cls if issubclass(cls, BaseModel) else None


def _text(cls: type) -> str:
    return inspect.cleandoc(cls.__doc__ or "")


def _example(cls: Any) -> Document:
    """`example()` as a scene writes it; files are named without their folder."""
    given = cls.example().model_dump(exclude_none=True, exclude_defaults=True, exclude={"digest"})
    kind = {"kind": cls.model_fields["kind"].default} if "kind" in cls.model_fields else {}
    return {**kind, **{k: Path(v).name if k == "file" else v for k, v in given.items()}}


def formula(cls: type) -> str:
    """Formula and Lipschitz bound in the documentation of a node's file.

    That is all up to the first indented formula with what is said `with` or `where`, or the first paragraph where none
    is indented; and the first sentence of a paragraph on `Lipschitz`.
    """
    paragraphs = inspect.cleandoc(sys.modules[cls.__module__].__doc__ or "").split("\n\n")
    end = 1 + next((i for i, paragraph in enumerate(paragraphs) if paragraph.startswith(" ")), 0)
    if paragraphs[end : end + 1] and paragraphs[end][0].islower():
        end += 1
    bound = [re.split(r"(?<=\.)\s", p)[0] for p in paragraphs[end:] if p.startswith("Lipschitz")]
    return "\n\n".join([*paragraphs[:end], *bound])


# --- fields -----------------------------------------------------------------------------------------------------------


def fields_of(cls: type[BaseModel]) -> list[str]:
    """A line for each field: what it takes, its default, what it means."""
    schema = cls.model_json_schema()
    return list(_lines(schema, schema.get("$defs", {}), ""))


def _lines(schema: Document, defs: Document, indent: str) -> Iterator[str]:
    for name, field in schema["properties"].items():
        if name in ("kind", "deform"):
            continue
        takes, inner = _takes(field, defs)
        default = f", default `{flow(field['default'])}`" if field.get("default") is not None else ""
        optional = ", may be left out" if name not in schema.get("required", []) and not default else ""
        meaning = f": {field['description']}" if "description" in field else ""
        yield f"{indent}- `{name}`: {takes}{default}{optional}{meaning.replace(': ', '; ', 1)}"
        for part in inner:
            yield from _lines(part, defs, indent + "  ")


def _takes(schema: Document, defs: Document) -> tuple[str, list[Document]]:
    """What a field takes, in words, and the schemas of the mappings among it."""
    if "$ref" in schema:
        part = defs[schema["$ref"].rsplit("/", 1)[1]]
        return f"`{{{', '.join(part['properties'])}}}`", [part]
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        if any("uniform" in option.get("properties", {}) for option in options):
            return _takes(options[0], defs)  # the others are the ways to let it vary
        given = [_takes(option, defs) for option in options if option.get("type") != "null"]
        return " or ".join(words for words, _ in given), [part for _, parts in given for part in parts]
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"]), []
    if schema.get("type") == "array":
        items = schema.get("prefixItems") or [schema["items"]]
        words, parts = _takes(items[0], defs)
        many = f"times {words}" if words[0].isdigit() else re.sub("number|name", r"\g<0>s", words, count=1)
        return (f"{len(items)} {many}" if "prefixItems" in schema else f"list of {many.removeprefix('times ')}"), parts
    simple = {"number": "number", "integer": "whole number", "boolean": "`true` or `false`", "string": "name"}
    return simple[schema["type"]] + _range(schema), []


def _range(schema: Document) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        return f" above {schema['exclusiveMinimum']:g}"
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    return f" of at least {low:g}" if low is not None else ""


# --- text -------------------------------------------------------------------------------------------------------------


def flow(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def example_of(example: Document) -> str:
    """An example as YAML: a node on one line, anything else a line for each key."""
    return flow(example) if "kind" in example else "\n".join(f"{key}: {flow(value)}" for key, value in example.items())


def _names(chosen: Iterator[str]) -> str:
    return ", ".join(f"`{name}`" for name in chosen)


def _introductions() -> dict[str, tuple[str, str]]:
    """Title and first words of each section."""
    deformers = sorted(nodes.DEFORMERS.items())
    keeping = _names(name for name, cls in deformers if cls.keeps_volume)
    endless = _names(name for name, cls in deformers if getattr(cls, "everywhere", True))
    return {
        "shapes": ("Shapes", "Values of `kind`. Fields are negative inside; f(p) in mm, p relative to the position."),
        "combine": (
            "Ways to combine",
            "Values of `op` of a part of a `blend`, which joins its `parts` in order with `smooth` mm of fillet "
            "(default 0). Left the first part and the second, right the blend. a is the field of what stands before "
            "the part, b the part's, k is `smooth`.",
        ),
        "deform": (
            "Deformers",
            "Entries of `deform`, a list whose first entry acts first. Left without it, right with it. "
            f"{keeping} keep the volume of every part of a shape; {endless} may deform shapes without end. A map with "
            "the Lipschitz bound w makes a field's bound L to at most sqrt((w L)^2 + 1).",
        ),
        "placement": ("Placement", "Fields of a structure; `place` stands for those that parts of blends take too."),
        "relations": (
            "Relations",
            "Fields of a structure that name earlier ones. Left without, right with it. f is the structure's field, o "
            "that of what its neighbours fill, n the same with fields that are nowhere more than the distance.",
        ),
        "motion": (
            "Motion",
            "Entries of the scene's `motion`, a list whose first entry acts first. Left phase 0, right the phase at "
            "which it has gone farthest.",
        ),
        "patterns": (
            "Patterns",
            "Values of `pattern` of a material: one, or a list that adds up. In an MR image, sagittal, 5 cm wide.",
        ),
    }


def reference(pictures: str = "images/nodes") -> str:
    """The reference, Markdown.

    Args:
        pictures: their folder, from that of the page.
    """
    known = entries()
    parts = []
    for section, (title, first) in _introductions().items():
        parts += [f"## {title}", first]
        for entry in (e for e in known if e.section == section):
            parts += [f"### `{entry.name}`", f"![{entry.name}]({pictures}/{entry.picture})", entry.about]
            if entry.fields:
                parts += ["\n".join(fields_of(entry.fields))]
            if entry.formula:
                parts += [f"```text\n{entry.formula}\n```"]
            parts += [f"```yaml\n{example_of(entry.example)}\n```"]
    return "\n\n".join(parts)


def with_reference(page: str) -> str:
    """The page with its part between the two marks replaced by the reference."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{reference()}\n\n{END}{after}"
