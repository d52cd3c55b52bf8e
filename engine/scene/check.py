"""What the types cannot say: names that must exist, orders that must hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from engine import vary
from engine.scene.errors import Mistake, Place, Spot, did_you_mean
from engine.scene.labels import label_table, owners, variants
from engine.scene.model import RELATIONS, Scene
from engine.tissue import load_table

Locate = Callable[..., Place | Spot]
Path = tuple[str | int, ...]


def check(scene: Scene, document: Any, place: Locate) -> list[Mistake]:
    """Every broken reference in a scene that has the right types."""
    checks = (_variables, _materials, _relations, _labels, _parts)
    return [mistake for one in checks for mistake in one(scene, document, place)]


#: Where a name may be defined, or where to find those there are.
_DEFINED = {
    "variable": "define it under 'vars'",
    "material": "define it under 'materials', or name a tissue; `viscera explain` lists them",
    "tissue": "`viscera explain` lists them",
}


def _unknown(what: str, word: str, own: Iterable[str], place: Place | Spot, table: Iterable[str] = ()) -> Mistake:
    """A name that stands for nothing, neither of the scene's `own`, which are listed, nor of the `table`."""
    own = list(own)
    listed = f"{what}s: {', '.join(own[:12])}{', ...' if len(own) > 12 else ''}" if own else ""
    advice = "; ".join(filter(None, (listed, _DEFINED.get(what, ""))))
    return Mistake(f"{what} '{word}' is not defined", place, did_you_mean(word, [*own, *table]), advice)


def _walk(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    yield path, node
    children = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from _walk(child, (*path, key))


def _variables(scene: Scene, document: Any, place: Locate) -> Iterator[Mistake]:
    order = list(scene.vars)
    for path, node in _walk(document):
        if not isinstance(node, (str, Mapping)) or path[:1] in (("description",), ("name",)):
            continue
        used: set[str] = set()
        if isinstance(node, str) and node.startswith("$"):
            used = {node[1:]}
        elif isinstance(node, str) and path[-1:] == ("expr",):
            used = vary.names(node)
        # a variable may use those before it
        known = (
            order[: order.index(str(path[1]))]
            if path[:1] == ("vars",) and len(path) > 1 and path[1] in order
            else order
        )
        for name in sorted(used - set(known)):
            yield _unknown("variable", name, known, place(path))


def _materials(scene: Scene, document: Any, place: Locate) -> Iterator[Mistake]:
    table = load_table()
    known = [*scene.materials, *table]
    named: list[tuple[Any, Path]] = [(scene.background, ("background",))]
    for name, structure in scene.structures.items():
        for i, variant in enumerate(variants(structure)):
            path: Path = ("structures", name, "choice", i) if hasattr(structure, "choice") else ("structures", name)
            named.append((variant.material, (*path, "material")))
    for value, where in named:
        choices = value.choice if isinstance(value, vary.Choice) else [value]
        for i, word in enumerate(choices):
            if isinstance(word, str) and word not in known:
                yield _unknown("material", word, scene.materials, place((*where, "choice", i)), table)
    for name, material in scene.materials.items():
        bases = material.like.choice if isinstance(material.like, vary.Choice) else [material.like]
        for word in bases:
            here = place(("materials", name, "like"))
            if isinstance(word, str) and word in scene.materials and word not in table:
                advice = f"'{word}' is a material of this scene; repeat what it is like"
                yield Mistake("'like' takes a tissue of the table", here, help=advice)
            elif isinstance(word, str) and word not in table:
                yield _unknown("tissue", word, (), here, table)


def _relations(scene: Scene, document: Any, place: Locate) -> Iterator[Mistake]:
    names, owner = list(scene.structures), owners(scene)
    for here, (name, structure) in enumerate(scene.structures.items()):
        for i, variant in enumerate(variants(structure)):
            scatter = variant.scatter
            mine: Path = ("structures", name, "choice", i) if hasattr(structure, "choice") else ("structures", name)
            yield from _neighbours(variant, mine, here, names, owner, scene, place)
            region = scatter.region if scatter is not None and isinstance(scatter.region, str) else None
            for key, other in ((("inside",), variant.inside), (("scatter", "region"), region)):
                path = ("structures", name, *key)
                if other is None:
                    continue
                known = owner if key == ("inside",) else names
                if other not in known:
                    yield _unknown("structure", other, known, place(path))
                elif names.index(owner[other]) >= here:
                    yield Mistake(
                        f"'{name}' refers to '{other}', which comes later",
                        place(path),
                        help=f"move '{other}' above '{name}'",
                    )
            if scatter is not None and (variant.mirror is not None or variant.repeat is not None):
                yield Mistake(
                    f"'{name}' is scattered; it cannot be mirrored or repeated as well",
                    place(("structures", name, "scatter"), value=False),
                )


def _neighbours(
    variant: Any, path: Path, here: int, names: list[str], owner: dict[str, str], scene: Scene, place: Locate
) -> Iterator[Mistake]:
    """Mistakes in the relations of the variant at `path`, whose structure is number `here`."""
    around = set(_ancestors(variant, owner, scene))
    for relation, field in RELATIONS.items():
        value = getattr(variant, relation)
        for i, other in enumerate(getattr(value, field) if value is not None else ()):
            where = place((*path, relation, field, i))
            if other not in owner:
                yield _unknown("structure", other, owner, where)
            elif names.index(owner[other]) >= here:
                yield Mistake(
                    f"'{names[here]}' refers to '{other}', which comes later",
                    where,
                    help=f"move '{other}' above '{names[here]}'",
                )
            elif owner[other] in around:
                yield Mistake(
                    f"'{names[here]}' lies inside '{other}'; nothing would be left of it",
                    where,
                    help=f"take '{other}' out of {relation}; inside clips already",
                )


def _ancestors(variant: Any, owner: dict[str, str], scene: Scene) -> Iterator[str]:
    """Structures that a variant lies inside, as far as they are defined."""
    seen: set[str] = set()
    waiting = [variant]
    while waiting:
        parent = owner.get(waiting.pop().inside or "")
        if parent is not None and parent not in seen:
            seen.add(parent)
            yield parent
            waiting += variants(scene.structures[parent])


def _labels(scene: Scene, document: Any, place: Locate) -> Iterator[Mistake]:
    owner: dict[int, str] = {}
    for name, entries in label_table(scene).items():
        for entry in entries:
            first = owner.setdefault(entry.label, entry.group)
            if first != entry.group:
                path = ("structures", name, "label")
                yield Mistake(
                    f"label {entry.label} belongs to '{first}' already",
                    place(path),
                    help=f"give '{name}' another label",
                )
            if entry.label > 255:
                yield Mistake("a scene has at most 255 labels", place(("structures", name), value=False))


def _parts(scene: Scene, document: Any, place: Locate) -> Iterator[Mistake]:
    for path, node in _walk(document):
        parts = node.get("parts") if isinstance(node, Mapping) else None
        if (
            isinstance(parts, list)
            and parts
            and isinstance(parts[0], Mapping)
            and parts[0].get("op", "union") != "union"
        ):
            yield Mistake(
                "the first part has nothing before it to act on", place((*path, "parts", 0, "op")), help="put it second"
            )
