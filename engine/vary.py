"""Numbers that vary: distributions, `$var` references and expressions wherever a scene takes a number.

A field is declared by what it is once drawn (`radius: Positive` is a float); before a scene is sampled it may instead
hold one of the objects of this file, which `draw` turns into a value.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

import numpy as np
from pydantic import Discriminator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, Tag, model_validator
from pydantic_core import PydanticCustomError, core_schema

from engine.strict import Strict

Pair = tuple[float, float]
Variables = Mapping[str, Any]


class Distribution(Strict):
    """Base of everything that stands for a value not drawn yet."""

    clip: Pair | None = Field(None, description="[low, high]: values outside are moved to the nearer end")

    def draw(self, rng: np.random.Generator, variables: Variables) -> Any:
        """One value; a pure function of the generator's state and of the scene's variables."""
        value = self._draw(rng, variables)
        return value if self.clip is None else type(value)(min(max(value, self.clip[0]), self.clip[1]))

    def _draw(self, rng: np.random.Generator, variables: Variables) -> Any:
        raise NotImplementedError

    def support(self) -> tuple[float, float]:
        """The interval that every draw lies in."""
        low, high = self._support()
        return (low, high) if self.clip is None else (max(low, self.clip[0]), min(high, self.clip[1]))

    def _support(self) -> tuple[float, float]:
        return -math.inf, math.inf

    @model_validator(mode="after")
    def _ordered(self):
        for name in ("uniform", "integer", "clip"):
            pair = getattr(self, name, None)
            if pair is not None and pair[0] > pair[1]:
                raise PydanticCustomError("order", f"{name} needs [low, high], got [{pair[0]:g}, {pair[1]:g}]")
        return self


class Uniform(Distribution):
    """Uniform between two values."""

    uniform: Pair

    def _draw(self, rng, variables):
        return float(rng.uniform(*self.uniform))

    def _support(self):
        return self.uniform


class Integer(Distribution):
    """A whole number between two, both included."""

    integer: tuple[int, int]

    def _draw(self, rng, variables):
        return int(rng.integers(self.integer[0], self.integer[1], endpoint=True))

    def _support(self):
        return float(self.integer[0]), float(self.integer[1])


class Normal(Distribution):
    """Normal: [mean, standard deviation]."""

    normal: tuple[float, Annotated[float, Field(ge=0)]]

    def _draw(self, rng, variables):
        return float(rng.normal(*self.normal))


class LogNormal(Distribution):
    """Log-normal: [median, sigma of the logarithm]."""

    lognormal: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(ge=0)]]

    def _draw(self, rng, variables):
        return float(self.lognormal[0] * math.exp(self.lognormal[1] * rng.standard_normal()))

    def _support(self):
        return math.nextafter(0, 1), math.inf


class Choice(Distribution):
    """One of several values, with optional weights."""

    choice: list[Any] = Field(min_length=1)
    weights: list[Annotated[float, Field(ge=0)]] | None = Field(None, description="how often each comes up")

    @model_validator(mode="after")
    def _weighted(self):
        if self.weights is not None and (len(self.weights) != len(self.choice) or sum(self.weights) <= 0):
            raise PydanticCustomError(
                "weights", f"weights needs {len(self.choice)} numbers, one for each value, not all of them 0"
            )
        return self

    def _draw(self, rng, variables):
        total = sum(self.weights) if self.weights else 0.0
        shares = [w / total for w in self.weights] if self.weights else None
        return self.choice[int(rng.choice(len(self.choice), p=shares))]

    def _support(self):
        numbers = [v for v in self.choice if isinstance(v, (int, float))]
        return (min(numbers), max(numbers)) if numbers else (-math.inf, math.inf)


class Expression(Distribution):
    """Arithmetic on the scene's variables."""

    expr: str

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, value: Any) -> Any:
        """YAML ends a word without quotes at a comma: `{expr: max(a, 1)}` holds the keys `expr: max(a` and `1)`."""
        start = value.get("expr") if isinstance(value, Mapping) else None
        if isinstance(start, str) and start.count("(") > start.count(")"):
            rest = [str(key) for key, held in value.items() if held is None]
            if rest:
                raise PydanticCustomError(
                    "expression",
                    "a comma ends '{start}'; put the expression in quotes: {expr: \"{whole}\"}",
                    {"start": start, "whole": ", ".join([start, *rest])},
                )
        return value

    @model_validator(mode="after")
    def _parses(self):
        names(self.expr)
        return self

    def _draw(self, rng, variables):
        return evaluate(self.expr, variables)


@dataclass(frozen=True)
class Reference:
    """`$name`: the value of one of the scene's variables."""

    name: str

    def draw(self, rng: np.random.Generator, variables: Variables) -> Any:
        return variables[self.name]

    def support(self) -> tuple[float, float]:
        return -math.inf, math.inf


DISTRIBUTIONS: dict[str, type[Distribution]] = {
    "uniform": Uniform,
    "integer": Integer,
    "normal": Normal,
    "lognormal": LogNormal,
    "choice": Choice,
    "expr": Expression,
}


def parse(value: Any) -> Distribution | Reference | None:
    """The distribution or reference that `value` writes, or None where it is a plain value."""
    if isinstance(value, (Distribution, Reference)):
        return value
    if isinstance(value, str) and value.startswith("$"):
        return Reference(value[1:])
    if isinstance(value, Mapping):
        kind = next((key for key in value if key in DISTRIBUTIONS), None)
        if kind is not None:
            return DISTRIBUTIONS[kind].model_validate(value)
    return None


# --- expressions ------------------------------------------------------------------------------------------------------

_OPERATORS: dict[type, Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_FUNCTIONS: dict[str, Any] = {
    "min": min,
    "max": max,
    "abs": abs,
    "round": round,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "sin": lambda degrees: math.sin(math.radians(degrees)),
    "cos": lambda degrees: math.cos(math.radians(degrees)),
}


def names(expression: str) -> set[str]:
    """Variables that an expression uses; raises where it is not plain arithmetic."""
    try:
        tree = ast.parse(expression, mode="eval").body
    except SyntaxError:
        raise PydanticCustomError(
            "expression", f"cannot read '{expression}': write arithmetic such as 0.5 * waist"
        ) from None
    used: set[str] = set()

    def walk(node: ast.AST) -> None:
        match node:
            case ast.Constant(value=bool()):
                pass
            case ast.Constant(value=int() | float()):
                return
            case ast.Name(id=name):
                used.add(name)
                return
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
                return walk(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                walk(left)
                return walk(right)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS and args:
                for argument in args:
                    walk(argument)
                return
        allowed = f"numbers, variables, + - * / ** %, and {', '.join(_FUNCTIONS)}"
        raise PydanticCustomError("expression", f"'{ast.unparse(node)}' is not allowed in an expression; use {allowed}")

    walk(tree)
    return used


def evaluate(expression: str, variables: Variables) -> float:
    """The value of an expression; angles of sin and cos are in degrees."""

    def value(node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)  # whole numbers have no largest: 9 ** 9 ** 9 would not end
            case ast.Name(id=name):
                return float(variables[name])
            case ast.UnaryOp(op=op, operand=operand):
                return _OPERATORS[type(op)](value(operand))
            case ast.BinOp(left=left, op=op, right=right):
                return _OPERATORS[type(op)](value(left), value(right))
            case ast.Call(func=ast.Name(id=name), args=args):
                return _FUNCTIONS[name](*map(value, args))
        raise AssertionError(ast.dump(node))

    names(expression)
    try:
        result = value(ast.parse(expression, mode="eval").body)
    except TypeError as error:  # a function with too many or too few arguments
        raise ValueError(f"'{expression}': {error}") from None
    if isinstance(result, complex) or not math.isfinite(result):
        raise ValueError(f"'{expression}' gives {result}")
    return result


# --- the annotation ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Varying:
    """Marks a field that may hold a distribution until its scene is drawn.

    Args:
        low, high: bounds that every draw must keep; `open` excludes the lower one.
        whole: only whole numbers.
    """

    low: float = -math.inf
    high: float = math.inf
    open: bool = False
    whole: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        inner = handler(source)
        return core_schema.no_info_wrap_validator_function(
            self._validate,
            inner,
            serialization=core_schema.plain_serializer_function_ser_schema(_dump),
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        plain = handler(schema["schema"])  # type: ignore[typeddict-item]
        return {"anyOf": [plain, {"type": "string", "pattern": r"^\$\w+$"}, *map(_json_schema, DISTRIBUTIONS)]}

    def _validate(self, value: Any, inner: core_schema.ValidatorFunctionWrapHandler) -> Any:
        if isinstance(value, bool):
            raise PydanticCustomError("number", "needs a number, got {value}", {"value": str(value).lower()})
        drawn = parse(value)
        if drawn is None:
            if isinstance(value, Mapping):
                raise PydanticCustomError(
                    "distribution", "cannot tell what this varies by", {"known": list(DISTRIBUTIONS)}
                )
            return inner(value)
        self._check(drawn, inner)
        return drawn

    def _check(self, drawn: Distribution | Reference, inner: core_schema.ValidatorFunctionWrapHandler) -> None:
        if isinstance(drawn, Choice):
            for value in drawn.choice:
                inner(value)
            return
        if isinstance(drawn, (Reference, Expression)):
            return  # known only when drawn: the sampled scene is validated again
        if self.whole and not isinstance(drawn, Integer):
            raise PydanticCustomError("whole", "needs a whole number: use integer: [low, high]")
        low, high = drawn.support()
        if low < self.low or (self.open and low == self.low):
            reach = "any negative number" if low == -math.inf else f"{low:g}"
            bound = f"above {self.low:g}" if self.open else f"at least {self.low:g}"
            raise PydanticCustomError("bound", f"must be {bound}, but it can reach {reach}; add clip: [low, high]")
        if high > self.high:
            reach = "any number" if high == math.inf else f"{high:g}"
            raise PydanticCustomError(
                "bound", f"must be at most {self.high:g}, but it can reach {reach}; add clip: [low, high]"
            )


def _dump(value: Any) -> Any:
    if isinstance(value, Distribution):
        return value.model_dump(exclude_none=True)
    return f"${value.name}" if isinstance(value, Reference) else value


def _json_schema(kind: str) -> dict[str, Any]:
    model = DISTRIBUTIONS[kind]
    schema = model.model_json_schema()
    return {key: schema[key] for key in ("type", "properties", "required", "additionalProperties", "description")}


def numbers_only(value: Any) -> bool:
    """Whether nothing in a model, or in what its fields hold, is left to be drawn."""
    if isinstance(value, (Distribution, Reference)):
        return False
    if isinstance(value, Strict):
        return all(numbers_only(item) for _, item in value)
    return all(map(numbers_only, value)) if isinstance(value, (list, tuple)) else True


Number = Annotated[float, Varying()]
Positive = Annotated[float, Field(gt=0), Varying(low=0, open=True)]
NonNegative = Annotated[float, Field(ge=0), Varying(low=0)]
Fraction = Annotated[float, Field(ge=0, le=1), Varying(low=0, high=1)]
Count = Annotated[int, Field(ge=0, le=1000), Varying(low=0, high=1000, whole=True)]
Cycles = Annotated[int, Field(ge=1, le=100), Varying(low=1, high=100, whole=True)]
Whole4 = Annotated[int, Field(ge=1, le=4), Varying(low=1, high=4, whole=True)]
Seed = Annotated[int | None, Varying(whole=True)]
Name = Annotated[str, Varying()]
Vec3 = tuple[Number, Number, Number]
PositiveVec3 = tuple[Positive, Positive, Positive]


def _written_as(value: Any) -> str:
    return "vector" if isinstance(value, (list, tuple)) else "number"


#: One number for all three axes, or three.
Radii = Annotated[
    Annotated[PositiveVec3, Tag("vector")] | Annotated[Positive, Tag("number")], Discriminator(_written_as)
]
#: One number for all points, or one each.
Profile = Annotated[
    Annotated[list[Positive], Tag("vector")] | Annotated[Positive, Tag("number")], Discriminator(_written_as)
]
Axis = Literal["x", "y", "z"]
AXES: tuple[str, ...] = get_args(Axis)
