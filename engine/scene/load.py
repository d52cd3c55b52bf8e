"""Reading scene files: YAML with includes, checked against the types, every mistake located."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from engine.errors import UserError
from engine.pattern import PATTERNS
from engine.render.preset import PRESETS, resolved
from engine.render.protocols import PROTOCOLS
from engine.scene import check
from engine.scene.errors import Mistake, Place, SceneError, Spot, did_you_mean
from engine.scene.model import KINDS, PARTS, Scene
from engine.source import mark, source
from engine.vary import DISTRIBUTIONS

_SHARED = ("vars", "materials", "structures")
#: What the YAML parser may be in the middle of that has a beginning and an end.
_YAML_OPENS = ("flow mapping", "flow sequence", "quoted scalar")
#: What to do about a problem that the YAML parser words like this.
_YAML_HELP = {
    "\\t": "indent with spaces, not with tabs",
    "<block end>": "indent it as far as what it belongs to",
    "mapping values": "indent it as far as what it belongs to, and put text with a colon in quotes",
    "start any token": "put the text in quotes",
}
_FROM = "_viscera_from"  # on mappings: place and file of the keys that were merged in


def load(path: str | Path) -> Scene:
    """The scene in a YAML file.

    Raises:
        SceneError: with every mistake in the file and the files it includes.
        UserError: where a file is missing or is no text.
    """
    path = Path(path)
    return validated(read(path), path)


def validated(document: Any, origin: Path | str) -> Scene:
    """The scene that `document` (from a file, or plain mappings and lists) describes; `origin` names it in errors.

    Raises:
        SceneError: with every mistake in it.
    """
    try:
        scene = Scene.model_validate(document)
    except ValidationError as error:
        raise SceneError(origin, explain(error, document)) from None
    mistakes = check.check(scene, document, functools.partial(place_of, document))
    if mistakes:
        raise SceneError(origin, mistakes)
    return scene


def read(path: Path, above: tuple[Path, ...] = ()) -> CommentedMap:
    """The YAML document in `path` with what it includes merged in; its own entries win."""
    document = parse(path)
    if not isinstance(document, CommentedMap):
        raise SceneError(path, [Mistake("a scene is a mapping: viscera, name, grid, structures, ...", Place(path))])
    mark(document, path)
    names = document.get("include") or []
    for i, name in enumerate(names if isinstance(names, list) else []):
        target = (path.parent / str(name)).resolve()
        chain = (*above, path.resolve())
        here = _item_place(names, i)
        if target in chain:
            trail = " -> ".join(p.name for p in (*chain, target))
            raise SceneError(path, [Mistake("files include each other in a circle", here, help=trail)])
        if not target.is_file():
            raise SceneError(
                path, [Mistake(f"included file '{name}' does not exist", here, help=f"looked for {target}")]
            )
        _merge(document, read(target, chain))
    return document


def parse(path: Path) -> Any:
    """The YAML document in `path`, with the place of every key; UserError where it is missing or no YAML."""
    try:
        return YAML().load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder; name a file in it") from None
    except (UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: cannot be read as text ({error})") from None
    except MarkedYAMLError as error:
        raise SceneError(path, [_unreadable(path, error)]) from None
    except RecursionError:
        raise UserError(f"{path}: is nested too deeply to be read") from None
    except YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({error})") from None


def _unreadable(path: Path, error: MarkedYAMLError) -> Mistake:
    """What the parser stumbled over, and what mostly is the matter there."""
    mark = error.problem_mark or error.context_mark
    problem = " ".join((error.problem or "not YAML").split())
    opened = error.context_mark if any(what in (error.context or "") for what in _YAML_OPENS) else None
    if opened is not None and "end" in problem and "stream" in problem:
        return Mistake("not valid YAML: what opens here is never closed", Place(path, opened.line, opened.column))
    advice = next((help for sign, help in _YAML_HELP.items() if sign in problem), "")
    if opened is not None:
        advice = f"in what opens at line {opened.line + 1}, column {opened.column + 1}"
    return Mistake(f"not valid YAML: {problem}", Place(path, mark.line, mark.column), help=advice)


def _merge(document: CommentedMap, included: CommentedMap) -> None:
    for section in _SHARED:
        theirs = included.get(section)
        if isinstance(theirs, CommentedMap):
            if section not in document:
                document[section] = CommentedMap()
                mark(document[section], _home(theirs))
            ours = document[section]
            merged = ours.__dict__.setdefault(_FROM, {}) if isinstance(ours, CommentedMap) else {}
            for key in theirs if isinstance(ours, CommentedMap) else ():
                if key not in ours:
                    ours[key] = theirs[key]
                    merged[key] = theirs


def _home(node: Any) -> Path:
    """The file that a container of a document which was read stands in."""
    path = source(node)
    assert path is not None
    return path


# --- places -----------------------------------------------------------------------------------------------------------


def place_of(document: Any, loc: tuple[str | int, ...], value: bool = True) -> Place | Spot:
    """Where `loc` stands: its value, or its key. Parts of `loc` that are not in the document (tags) are skipped."""
    return _walk(document, loc, value)[0]


def _walk(document: Any, loc: tuple[str | int, ...], value: bool) -> tuple[Place | Spot, Any]:
    """The place of `loc` and the node there."""
    node: Any = document
    read_from = source(document)
    place: Place | Spot = Spot() if read_from is None else Place(read_from)
    keys: tuple[str | int, ...] = ()
    for key in loc:
        if isinstance(node, Mapping) and key in node:
            step = functools.partial(_key_place, node, key, value)
        elif isinstance(node, list) and isinstance(key, int) and key < len(node):
            step = functools.partial(_item_place, node, key)
        else:
            continue
        node, keys = node[key], (*keys, key)
        place = Spot(keys, node) if read_from is None else step()
    return place, node


def _key_place(node: Any, key: Any, value: bool) -> Place:
    plain = value and not isinstance(node[key], (CommentedMap, CommentedSeq))
    home = getattr(node, _FROM, {}).get(key, node)  # the mapping that the key was written in
    while key in getattr(home, _FROM, {}):
        home = getattr(home, _FROM)[key]
    if key not in (home.lc.data or {}):  # a section that only included files have
        return Place(_home(home))
    line, column = home.lc.value(key) if plain else home.lc.key(key)
    return Place(_home(home), line, column, len(str(node[key] if plain else key)))


def _item_place(node: Any, index: int) -> Place:
    line, column = node.lc.item(index)
    width = 1 if isinstance(node[index], (CommentedMap, CommentedSeq)) else len(str(node[index]))
    return Place(_home(node), line, column, width)


# --- explanations -----------------------------------------------------------------------------------------------------


def explain(error: ValidationError, document: Any, model: type[BaseModel] = Scene) -> list[Mistake]:
    """What pydantic found in `document`, meant as a `model`, as mistakes with places.

    A misspelt required field is one mistake, not two.
    """
    details = error.errors(include_url=False)
    mistakes: dict[tuple[Any, ...], Mistake] = {}
    misspelt = {
        (extra["loc"][:-1], missing["loc"][-1])
        for extra in details
        if extra["type"] == "extra_forbidden"
        for missing in details
        if missing["type"] == "missing" and missing["loc"][:-1] == extra["loc"][:-1]
        if did_you_mean(str(extra["loc"][-1]), [str(missing["loc"][-1])])
    }
    for detail in details:
        if detail["type"] == "missing" and (detail["loc"][:-1], detail["loc"][-1]) in misspelt:
            continue
        mistake = _EXPLAIN.get(detail["type"], _plain)(detail, document, model)
        mistakes.setdefault((mistake.place, mistake.message), mistake)
    return list(mistakes.values())


def _unknown_field(detail: Any, document: Any, model: type[BaseModel]) -> Mistake:
    *above, word = detail["loc"]
    fields = _fields_at(tuple(above), document, model)
    listed = ", ".join(fields[:14]) + (", ..." if len(fields) > 14 else "")
    place = place_of(document, detail["loc"], value=False)
    return Mistake(f"unknown field '{word}'", place, did_you_mean(str(word), fields), f"fields here: {listed}")


def _missing(detail: Any, document: Any, model: type[BaseModel]) -> Mistake:
    *above, word = detail["loc"]
    owner = next((str(k) for k in reversed(above) if isinstance(k, str) and k not in KINDS), "the scene")
    return Mistake(
        f"'{owner}' needs '{word}'", place_of(document, tuple(above), value=False), f"add '{word}: ...' here"
    )


def _unknown_tag(detail: Any, document: Any, model: type[BaseModel]) -> Mistake:
    _, node = _walk(document, detail["loc"], True)
    key = "modality" if "acquire" in detail["loc"] else "kind"
    if key == "modality" and isinstance(node, Mapping) and "modality" not in node and "protocol" in node:
        place, word = place_of(document, (*detail["loc"], "protocol")), str(node["protocol"])
        return Mistake(f"'{word}' is no protocol", place, did_you_mean(word, PRESETS), _listed(PRESETS))
    known = tuple(PROTOCOLS) if key == "modality" else tuple(PATTERNS) if "pattern" in detail["loc"] else KINDS
    if isinstance(node, Mapping) and key in node:
        place = place_of(document, (*detail["loc"], key))
        word = str(node[key])
        return Mistake(f"'{word}' is no {key}", place, did_you_mean(word, known), _listed(known))
    place = place_of(document, detail["loc"], value=False)
    return Mistake(f"cannot tell what this is: no '{key}'", place, f"add '{key}: ...'", _listed(known))


def _listed(known: tuple[str, ...]) -> str:
    return f"one of: {', '.join(known)}"


def _no_distribution(detail: Any, document: Any, model: type[BaseModel]) -> Mistake:
    place, node = _walk(document, detail["loc"], True)
    word = next(iter(node), "") if isinstance(node, Mapping) else ""
    if word:
        place = place_of(document, (*detail["loc"], word), value=False)
    known = ", ".join(DISTRIBUTIONS)
    return Mistake(
        f"'{word}' is no way to write a number",
        place,
        did_you_mean(str(word), DISTRIBUTIONS),
        f"a number, $name, or one of: {known}",
    )


def _plain(detail: Any, document: Any, model: type[BaseModel]) -> Mistake:
    message = detail["msg"].removeprefix("Value error, ")
    place = place_of(document, detail["loc"])
    where = ".".join(str(k) for k in detail["loc"] if k not in KINDS)
    return Mistake(
        message[0].lower() + message[1:], place, help=f"in {where}" if where and isinstance(place, Place) else ""
    )


_EXPLAIN: dict[str, Callable[[Any, Any, type[BaseModel]], Mistake]] = {
    "extra_forbidden": _unknown_field,
    "missing": _missing,
    "union_tag_invalid": _unknown_tag,
    "union_tag_not_found": _unknown_tag,
    "distribution": _no_distribution,
}


def _fields_at(loc: tuple[str | int, ...], document: Any, top: type[BaseModel]) -> list[str]:
    """Names of the fields that the model at `loc` below `top` takes, its own first."""
    model: Any = top
    node: Any = document
    for key in loc:
        if isinstance(node, Mapping) and key in node:
            node = node[key]
            model = _member(model, key, node)
        elif isinstance(node, list) and isinstance(key, int) and key < len(node):
            node = node[key]
            model = _chosen(model, node)
    if isinstance(node, Mapping) and not (isinstance(model, type) and issubclass(model, BaseModel)):
        kind = next((k for k in node if k in DISTRIBUTIONS), None)
        model = DISTRIBUTIONS[kind] if kind else model
    fields = getattr(model, "model_fields", {})
    made_from = next(iter(getattr(model, "__bases__", ())), None)  # a kind's: the shape's own fields, then those of all
    own = getattr(model, "__annotations__", {}) or getattr(made_from, "__annotations__", {})
    return sorted(fields, key=lambda name: name not in own)


def _member(model: Any, key: Any, node: Any) -> Any:
    field = getattr(model, "model_fields", {}).get(key)
    return _chosen(field.annotation if field else model, node)


def _chosen(annotation: Any, node: Any) -> Any:
    """The model among those that `annotation` admits which `node` means to be."""
    models = list(_models(annotation))
    if isinstance(node, Mapping):
        for name in ("kind", "modality"):
            tag = resolved(node).get(name)
            for model in models:
                field = model.model_fields.get(name)
                if field is not None and field.default == tag:
                    return model
    return models[0] if len(models) == 1 else annotation


def _models(annotation: Any) -> Any:
    """Every model named anywhere in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)
    if not getattr(annotation, "__args__", ()) and getattr(annotation, "__forward_arg__", "") == "Part":
        yield from PARTS
