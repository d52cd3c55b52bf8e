"""Strict YAML configuration: one model for a file, every mistake in it located and shown at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from engine.errors import UserError
from engine.scene.errors import Mistake, Place, did_you_mean
from engine.scene.load import parse

M = TypeVar("M", bound=BaseModel)


def read(path: Path, model: type[M], changes: Sequence[str] = ()) -> M:
    """The file's contents as `model`.

    Args:
        changes: `key=value`, each replacing a value of the file; dots go deeper (`data.workers=2`, `phases.0.steps=5`).

    Raises:
        UserError: the file is missing or no YAML, or with every mistake in it.
    """
    document = parse(path)
    if not isinstance(document, CommentedMap):
        raise UserError(f"{path}: must be a mapping with {', '.join(model.model_fields)}")
    for change in changes:
        _change(document, change)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        mistakes = (_mistake(detail, document, path, model, changes) for detail in error.errors(include_url=False))
        raise UserError("\n\n".join(map(str, mistakes))) from None


def _change(document: CommentedMap, change: str) -> None:
    key, equals, text = change.partition("=")
    if not equals or not key:
        raise UserError(f"--set {change}: write it as key=value")
    node: Any = document
    *above, last = key.split(".")
    for part in above:
        node = node.setdefault(part, CommentedMap()) if isinstance(node, CommentedMap) else _item(node, part, change)
    try:
        value = YAML(typ="safe").load(text)
    except YAMLError:
        raise UserError(f"--set {change}: '{text}' is not a YAML value") from None
    if isinstance(node, CommentedSeq):
        _item(node, last, change)
        node[int(last)] = value
    elif isinstance(node, CommentedMap):
        node[last] = value
    else:
        raise UserError(f"--set {change}: '{'.'.join(above)}' is a single value and has no '{last}'")


def _item(node: Any, part: str, change: str) -> Any:
    if isinstance(node, CommentedSeq) and part.isdigit() and int(part) < len(node):
        return node[int(part)]
    raise UserError(f"--set {change}: there is no '{part}'")


def _mistake(
    detail: Any, document: CommentedMap, path: Path, model: type[BaseModel], changes: Sequence[str]
) -> Mistake | str:
    """One mistake, with its place in the file, or with the change that made it."""
    loc = detail["loc"]
    where, fields = ".".join(map(str, loc)), _fields(model, loc[:-1])
    unknown = detail["type"] == "extra_forbidden"
    message = f"unknown key '{loc[-1]}'" if unknown else detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "missing":
        message = f"'{where}' is missing"
    hint = did_you_mean(str(loc[-1]), fields) if unknown else ""
    for change in changes:
        if where and change.partition("=")[0] == where:
            return f"error: --set {change}: {message} {hint}".rstrip()
    listed = f"keys here: {', '.join(fields)}" if unknown else (f"in {where}" if where else "")
    return Mistake(message, _place(document, loc, path), hint, listed)


def _place(document: CommentedMap, loc: Sequence[Any], path: Path) -> Place:
    """Where the deepest part of `loc` that is written stands."""
    node: Any = document
    place = Place(path)
    for key in loc:
        if isinstance(node, CommentedMap) and key in (node.lc.data or {}):
            line, column = node.lc.key(key)
            place, node = Place(path, line, column, len(str(key))), node[key]
        elif isinstance(node, CommentedSeq) and isinstance(key, int) and key < len(node):
            line, column = node.lc.item(key)
            place, node = Place(path, line, column), node[key]
    return place


def _fields(model: type[BaseModel], loc: Sequence[Any]) -> list[str]:
    """Names of the fields of the model at `loc`."""
    for key in loc:
        field = model.model_fields.get(key) if isinstance(key, str) else None
        model = next(_models(field.annotation), model) if field else model
    return list(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
