"""Numbers that vary, as Python values: distributions, variables, and arithmetic on variables.

A variable times a number is an expression, written `{expr: 0.72 * waist}`. A variable is drawn once for a scene; a
distribution is drawn wherever it is used, so there is no arithmetic on distributions without a name.
"""

from __future__ import annotations

import ast
import keyword
import math
import numbers
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from engine import vary
from engine.author.call import checked, user_called
from engine.author.value import Named, Value, needs, written
from engine.errors import UserError


def _tree(value: Any) -> ast.expr | None:
    """`value` as a term of an expression, or None where it cannot be one."""
    if isinstance(value, Quantity):
        return ast.parse(value.text, mode="eval").body
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    number = int(value) if isinstance(value, numbers.Integral) else float(value)
    if not math.isfinite(number):
        raise UserError(f"cannot calculate with {number}: numbers of a scene are finite")
    # a negative constant would unparse to -2 ** x, which is -(2 ** x)
    return ast.UnaryOp(ast.USub(), ast.Constant(-number)) if number < 0 else ast.Constant(number)


def _formed(make: Callable[..., ast.expr], *terms: Any) -> Quantity:
    """The expression that `make` forms of `terms`."""
    trees = []
    for term in terms:
        tree = _tree(term)
        if tree is None:
            drawn = f"; give it a name: x = var('x', {term!r})" if isinstance(term, Drawn) else ""
            raise UserError(f"cannot calculate with {term!r}: expressions take numbers and variables{drawn}")
        trees.append(tree)
    return Expression(ast.unparse(ast.fix_missing_locations(make(*trees))), needs(terms))


def _binary(op: ast.operator) -> tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]:
    """The operator, and the same with its sides exchanged."""

    def make(left: ast.expr, right: ast.expr) -> ast.expr:
        return ast.BinOp(left, op, right)

    return lambda self, other: _formed(make, self, other), lambda self, other: _formed(make, other, self)


def _refused(self: Any, *_: Any) -> Any:
    raise UserError(
        f"{self!r} is not known before the scene is drawn; use minimum, maximum, sqrt, ... of engine.author"
    )


class _Arithmetic(Value):
    """The operators of expressions; what needs a number at once is refused."""

    __array_ufunc__ = None  # numpy scalars leave the operators to this class

    __add__, __radd__ = _binary(ast.Add())
    __sub__, __rsub__ = _binary(ast.Sub())
    __mul__, __rmul__ = _binary(ast.Mult())
    __truediv__, __rtruediv__ = _binary(ast.Div())
    __pow__, __rpow__ = _binary(ast.Pow())
    __mod__, __rmod__ = _binary(ast.Mod())
    __lt__ = __le__ = __gt__ = __ge__ = __float__ = __int__ = __bool__ = _refused

    def __neg__(self) -> Quantity:
        return _formed(lambda term: ast.UnaryOp(ast.USub(), term), self)

    def __pos__(self) -> Quantity:
        return _formed(lambda term: term, self)

    def __abs__(self) -> Quantity:
        return _call("abs", self)

    def __round__(self, digits: int | None = None) -> Quantity:
        if digits:
            raise UserError("expressions round to whole numbers; use round(x / step) * step")
        return _call("round", self)


class Quantity(_Arithmetic):
    """A variable, or an expression of variables."""

    text: str


@dataclass(frozen=True, eq=False, repr=False)
class Expression(Quantity):
    """Arithmetic on variables; `{expr: text}` in a scene."""

    text: str
    used: tuple[Named, ...]

    def written(self) -> dict[str, str]:
        return {"expr": self.text}

    def needs(self) -> Iterator[Named]:
        yield from self.used

    def __repr__(self) -> str:
        return f"<{self.text}>"


@dataclass(frozen=True, eq=False, repr=False)
class Var(Quantity, Named):
    """A variable of the scene; `$name` in it, and an entry of its `vars`."""

    section: ClassVar[str] = "vars"
    name: str
    value: Any

    @property
    def text(self) -> str:  # type: ignore[override]
        return self.name

    def written(self) -> str:
        return f"${self.name}"

    def needs(self) -> Iterator[Named]:
        yield from needs(self.value)
        yield self

    def definition(self) -> Any:
        return written(self.value)

    def __repr__(self) -> str:
        return f"${self.name}"


@dataclass(frozen=True, eq=False, repr=False)
class Drawn(_Arithmetic):
    """A distribution; each place that uses it draws a value of its own."""

    distribution: vary.Distribution
    values: tuple[Any, ...] = ()

    def written(self) -> Any:
        return self.distribution.model_dump(exclude_none=True)

    def needs(self) -> Iterator[Named]:
        yield from needs(self.values)

    def __repr__(self) -> str:
        (kind, value), *more = self.written().items()
        return f"{kind}({', '.join([*map(repr, value), *(f'{name}={given!r}' for name, given in more)])})"


def _drawn(kind: str, value: Any, **more: Any) -> Drawn:
    document = {kind: value, **{name: given for name, given in more.items() if given is not None}}
    return Drawn(checked(vary.DISTRIBUTIONS[kind], f"{kind}()", document), value if kind == "choice" else ())


@user_called
def var(name: str, value: Any) -> Var:
    """A variable of the scene: drawn once per scene, so that all that is made of it stays in proportion.

    Args:
        name: letters, digits and underscores; how the scene file calls it.
        value: a number, a distribution, or an expression of other variables.
    """
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise UserError(f"var: {name!r} is no name of a variable; use letters, digits and underscores")
    if not isinstance(value, (Value, Mapping, str)) and _tree(value) is None:
        raise UserError(f"var: '{name}' needs a number, a distribution or an expression, got {value!r}")
    return Var(name, value)


@user_called
def uniform(low: float, high: float, *, clip: tuple[float, float] | None = None) -> Drawn:
    """A number drawn uniformly between two; `clip` moves values outside to the nearer end."""
    return _drawn("uniform", (low, high), clip=clip)


@user_called
def integer(low: int, high: int, *, clip: tuple[float, float] | None = None) -> Drawn:
    """A whole number drawn between two, both included."""
    return _drawn("integer", (low, high), clip=clip)


@user_called
def normal(mean: float, sd: float, *, clip: tuple[float, float] | None = None) -> Drawn:
    """A normally distributed number; a size that could become negative needs `clip`."""
    return _drawn("normal", (mean, sd), clip=clip)


@user_called
def lognormal(median: float, sigma: float, *, clip: tuple[float, float] | None = None) -> Drawn:
    """A log-normally distributed number: exp(log(median) + sigma n)."""
    return _drawn("lognormal", (median, sigma), clip=clip)


@user_called
def choice(*values: Any, weights: tuple[float, ...] | None = None, clip: tuple[float, float] | None = None) -> Drawn:
    """One of several numbers, tissues, or whole structures; `weights` say how often each."""
    return _drawn("choice", values, weights=weights, clip=clip)


# --- functions of expressions -----------------------------------------------------------------------------------------


def _call(name: str, *arguments: Any) -> Any:
    formed = _formed(lambda *trees: ast.Call(ast.Name(name), list(trees), []), *arguments)
    return formed if any(isinstance(a, Quantity) for a in arguments) else vary.evaluate(formed.text, {})


def minimum(a: Any, b: Any, *more: Any) -> Any:
    """The least of several numbers."""
    return _call("min", a, b, *more)


def maximum(a: Any, b: Any, *more: Any) -> Any:
    """The greatest of several numbers."""
    return _call("max", a, b, *more)


def sqrt(x: Any) -> Any:
    """The square root."""
    return _call("sqrt", x)


def exp(x: Any) -> Any:
    """The exponential function."""
    return _call("exp", x)


def log(x: Any) -> Any:
    """The natural logarithm."""
    return _call("log", x)


def sin(degrees: Any) -> Any:
    """The sine of an angle in degrees."""
    return _call("sin", degrees)


def cos(degrees: Any) -> Any:
    """The cosine of an angle in degrees."""
    return _call("cos", degrees)


# --- arithmetic that places solids ------------------------------------------------------------------------------------


def is_number(value: Any, equal_to: float | None = None) -> bool:
    """Whether `value` is a plain number (and that one)."""
    plain = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return plain and (equal_to is None or value == equal_to)


def calculable(value: Any) -> bool:
    """Whether sums and products of `value` can be written: it is a number, or made of variables."""
    return is_number(value) or isinstance(value, Quantity)


def added(a: Any, b: Any) -> Any:
    """a + b, or None where a scene cannot write the sum."""
    if is_number(a, 0) or is_number(b, 0):
        return b if is_number(a, 0) else a
    return tidy(a + b) if calculable(a) and calculable(b) else None


def multiplied(a: Any, b: Any) -> Any:
    """a * b, or None where a scene cannot write the product."""
    if is_number(a, 1) or is_number(b, 1):
        return b if is_number(a, 1) else a
    if is_number(a, 0) or is_number(b, 0):
        return 0.0
    return tidy(a * b) if calculable(a) and calculable(b) else None


def tidy(value: Any) -> Any:
    """`value` without rounding errors, where it is a number."""
    return round(float(value), 9) + 0.0 if is_number(value) or isinstance(value, np.floating) else value
