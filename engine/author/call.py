"""Models as Python functions: name, signature, documentation and errors come from the model's own fields."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from engine.author.value import needs, written
from engine.errors import UserError
from engine.scene.errors import SceneError, did_you_mean
from engine.scene.load import explain

M = TypeVar("M", bound=BaseModel)
F = TypeVar("F", bound=Callable[..., Any])

KEYWORD, EITHER = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD


def function_of(
    name: str,
    model: type[M],
    make: Callable[..., Any],
    returns: str,
    fixed: Mapping[str, Any] | None = None,
    method: bool = False,
) -> Callable[..., Any]:
    """A function that takes the fields of `model` and returns `make(validated model, what it needs)`.

    Args:
        name: of the function.
        model: required fields may be given by position, in their order; others by name.
        make: what to do with the model; for a method its first argument is the object.
        returns: name of the type that `make` returns, for the signature.
        fixed: fields that the function sets itself.
        method: whether the function has a `self`.
    """
    fixed = fixed or {}
    own = [inspect.Parameter("self", EITHER)] if method else []
    signature = inspect.Signature([*own, *parameters(model, fixed)], return_annotation=returns)

    def function(*args: Any, **kwargs: Any) -> Any:
        arguments = bound(name, signature, args, kwargs)
        receiver = [arguments.pop("self")] if method else []
        return make(*receiver, checked(model, f"{name}()", {**fixed, **arguments}), needs(arguments))

    return titled(function, name, signature, documented(model, fixed))


def titled(function: F, name: str, signature: inspect.Signature, doc: str) -> F:
    """`function` under a name, with a signature and a docstring: what `help` and completion show."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    function.__module__ = "engine.author"
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


def parameters(model: type[BaseModel], skip: Collection[str] = ()) -> list[inspect.Parameter]:
    """The fields of `model` as parameters: required ones first, by position or name, then the others by name."""
    fields = {name: field for name, field in model.model_fields.items() if name not in skip}
    required = [
        inspect.Parameter(n, EITHER, annotation=plain(f.annotation)) for n, f in fields.items() if f.is_required()
    ]
    return required + [
        inspect.Parameter(n, KEYWORD, annotation=plain(f.annotation), default=f.get_default(call_default_factory=True))
        for n, f in fields.items()
        if not f.is_required()
    ]


def plain(annotation: Any) -> Any:
    """A type without what pydantic needs to know: `float`, not `Annotated[float, ...]`."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return plain(args[0])
    if origin is None or origin is Literal or not args:
        return annotation
    if origin in (Union, UnionType):
        return reduce(or_, map(plain, args))
    return origin[tuple(map(plain, args))]


def documented(model: type[BaseModel], skip: Collection[str] = ()) -> str:
    """The model's docstring, with its fields' descriptions where they have any."""
    described = {n: f.description for n, f in model.model_fields.items() if f.description and n not in skip}
    listed = [f"    {name}: {text}." for name, text in described.items()]
    return "\n".join([inspect.cleandoc(model.__doc__ or ""), *(["", "Args:", *listed] if listed else [])])


def bound(name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name; UserError where they do not fit."""
    known = [p.name for p in signature.parameters.values() if p.kind in (EITHER, KEYWORD) and p.name != "self"]
    takes = f"it takes: {', '.join(known)}"
    for word in kwargs:
        if word not in known:
            raise UserError(f"{name}() has no argument '{word}'{aside(word, known)}; {takes}")
    try:
        return dict(signature.bind(*args, **kwargs).arguments)
    except TypeError as error:
        raise UserError(f"{name}(): {error}; {takes}") from None


def aside(word: str, known: Iterable[str]) -> str:
    """A suggestion in brackets where `word` is close to one of `known`, else nothing."""
    hint = did_you_mean(word, known)
    return f" ({hint})" if hint else ""


def checked(model: type[M], source: str, arguments: Mapping[str, Any]) -> M:
    """`arguments` of the call that `source` names, as a `model`; SceneError with every mistake in them."""
    document = written(arguments)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise SceneError(source, explain(error, document, model)) from None


def user_called(function: F) -> F:
    """Decorator: a call whose arguments do not fit the signature is a UserError."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        bound(function.__name__, signature, args, kwargs)
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]
