"""What a word of the scene language means, as plain text: nodes, fields, distributions, tissues, protocols."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from engine.errors import UserError
from engine.nodes import COMBINES
from engine.picture import montage
from engine.render.ct.number import ct_number
from engine.render.preset import PRESETS, preset
from engine.render.protocols import PROTOCOLS
from engine.scene import Scene
from engine.scene.model import KINDS, Blend, StructureFields
from engine.strict import Strict
from engine.tissue import Material, load_table, read_table
from engine.unknown import unknown
from engine.vary import DISTRIBUTIONS
from viewer.reference import Entry, entries, example_of, fields_of, flow

#: What the reference's sections hold, each in the words before a name: "shape blob".
_KINDS = {
    "shapes": "shape",
    "combine": "way to combine",
    "deform": "deformer",
    "placement": "field of a structure",
    "relations": "relation of a structure",
    "motion": "motion",
    "patterns": "pattern",
}

#: Tube voltage that a tissue's CT number is given at.
_KVP = 120.0

_VARYING: dict[str, dict[str, Any]] = {
    "uniform": {"uniform": [8, 12]},
    "integer": {"integer": [8, 12]},
    "normal": {"normal": [10, 1], "clip": [7, 13]},
    "lognormal": {"lognormal": [10, 0.2], "clip": [6, 16]},
    "choice": {"choice": [8, 10, 12], "weights": [1, 2, 1]},
    "expr": {"expr": "0.5 * size"},
}


def words() -> dict[str, list[str]]:
    """Every word that `explain` knows, by what it is."""
    known: dict[str, list[str]] = {kind: [] for kind in _KINDS.values()}
    for entry in entries():
        known[_KINDS[entry.section]].append(entry.name)
    known |= {kind: sorted(names()) for kind, (names, _) in _OTHERS.items()}
    return known


def explain(word: str) -> str:
    """What `word` means; all its meanings where it has several.

    Raises:
        UserError: it means nothing; names what is near.
    """
    meanings = [_node(entry) for entry in entries() if entry.name == word]
    meanings += [f"{word}: {kind}\n\n{say(word)}" for kind, (names, say) in _OTHERS.items() if word in names()]
    if not meanings:
        raise unknown("word", word, sorted({name for names in words().values() for name in names}))
    return "\n\n\n".join(meanings)


def picture(word: str) -> np.ndarray:
    """What a node does, uint8 `[h, w, 3]`; all its meanings side by side.

    Raises:
        UserError: where there is nothing to see.
    """
    from viewer import nodes  # draws with VTK

    explain(word)
    drawn = [np.asarray(nodes.picture(entry)) for entry in entries() if entry.name == word]
    if not drawn:
        raise UserError(f"'{word}' has no picture; shapes, deformers and other nodes of the language have")
    return montage(drawn) if len(drawn) > 1 else drawn[0]


def _node(entry: Entry) -> str:
    parts = [f"{entry.name}: {_KINDS[entry.section]}", entry.about]
    if entry.fields:
        parts.append("\n".join(["fields", *fields_of(entry.fields)]))
    if entry.formula:
        parts.append(f"formula\n{_indented(entry.formula)}")
    return "\n\n".join([*parts, f"example\n{_indented(example_of(entry.example))}"])


def _distribution(name: str) -> str:
    about = inspect.getdoc(DISTRIBUTIONS[name])
    return f"{about} Stands wherever a number may.\n\nexample\n  radius: {flow(_VARYING[name])}"


def _field(model: type[Strict], name: str) -> str:
    return f"{model.model_fields[name].description}."


def _structure_fields() -> list[str]:
    """Those of every structure that are no entry of the reference."""
    listed = {entry.name for entry in entries()}
    return ["kind", *(name for name in StructureFields.model_fields if name not in listed)]


def _structure_field(name: str) -> str:
    return f"The shape: {', '.join(KINDS)}." if name == "kind" else _field(StructureFields, name)


def _blend(_: str) -> str:
    ways = ", ".join(COMBINES)
    each = f"Each part has `at`, `rotate`, `scale`, `deform` and `op`, how it joins those before it: {ways}."
    example = next(entry.example for entry in entries() if entry.section == "combine")
    return f"{inspect.getdoc(Blend)}\n{each}\n\nexample\n{_indented(example_of(example))}"


def _modality(name: str) -> str:
    model = PROTOCOLS[name]
    fields = [f"- `{key}`: {field.description}" for key, field in model.model_fields.items() if field.description]
    about = [inspect.getdoc(model) or "", "\n".join(["fields", *fields]), f"example\n  acquire: [{{modality: {name}}}]"]
    return "\n\n".join(about)


@functools.lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    return read_table()


def _tissue(name: str) -> str:
    """Its values as the table has them, each with how far to trust it and where it is from."""
    table, own = _table(), load_table()[name].name
    block = dict(table["tissues"][own])
    names = [other for other in (own, *block.pop("aliases", [])) if other != name]
    values, cited = list(_values(block)), set()
    for _, source in values:
        cited |= {source.partition(";")[0]} & table["sources"].keys()
    parts = [f"also called {', '.join(names)}"] if names else []
    parts.append(f"{ct_number(load_table()[name], _KVP):.0f} HU at {_KVP:g} kVp, computed from density and composition")
    parts.append("\n".join(line for line, _ in values))
    parts.append("\n".join(["sources", *(f"- {key}: {table['sources'][key]}" for key in sorted(cited))]))
    return "\n\n".join(parts)


def _values(block: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """A line for each value, and where it is from."""
    for field, entry in block.items():
        rows = entry.items() if isinstance(entry, dict) else [("", entry)]
        for key, (value, kind, source) in rows:
            place = f" at {key:g} T" if isinstance(key, float) else f" of {key}" if key else ""
            yield f"- {field}{place}: {flow(value)} ({kind}; {source})", source


def _protocol(name: str) -> str:
    named = preset(name)
    lines = "\n".join(f"{key}: {flow(value)}" for key, value in named.fields.items())
    return f"{named.description}\n\nfields\n{_indented(lines)}\n\nexample\n  acquire: [{{protocol: {name}}}]"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())


#: Words that are no nodes: their names, and what is said of one.
_OTHERS: dict[str, tuple[Callable[[], Any], Callable[[str], str]]] = {
    "field of the scene": (lambda: Scene.model_fields, lambda name: _field(Scene, name)),
    "field of every structure": (_structure_fields, _structure_field),
    "shape of several parts": (lambda: ("blend", "smooth", "parts", "op"), _blend),
    "field of a material": (lambda: Material.model_fields, lambda name: _field(Material, name)),
    "modality": (lambda: PROTOCOLS, _modality),
    "way to let a number vary": (lambda: DISTRIBUTIONS, _distribution),
    "tissue": (load_table, _tissue),
    "protocol": (lambda: PRESETS, _protocol),
}
