"""Scenes written in Python, with the words of the YAML: `from engine.author import scene, ellipsoid, normal, var`.

Shapes are functions; deformers are methods of what they return; `|`, `-` and `&` join. Whatever is registered in
`engine.nodes` is here under its name, with its docstring and its fields as signature.
"""

from __future__ import annotations

from typing import Any

from engine.author import builder, solid
from engine.author.builder import SceneBuilder, material, scene, structure
from engine.author.call import aside
from engine.author.quantity import (
    choice,
    cos,
    exp,
    integer,
    log,
    lognormal,
    maximum,
    minimum,
    normal,
    sin,
    sqrt,
    uniform,
    var,
)
from engine.author.solid import NoSuchName, Solid

__all__ = [
    "SceneBuilder", "Solid", "choice", "cos", "exp", "integer", "log", "lognormal", "material", "maximum", "minimum",
    "normal", "scene", "sin", "sqrt", "structure", "uniform", "var",
]  # fmt: skip

for _name, _function in {
    **solid.SHAPES,
    **solid.COMBINES,
    **builder.PARTS,
    **builder.MOTIONS,
    **builder.PROTOCOLS,
}.items():
    if _name in __all__:
        raise ValueError(f"'{_name}' is a word of engine.author already; register it under another name")
    globals()[_name] = _function
    __all__ += [_name]


def __getattr__(name: str) -> Any:
    raise NoSuchName(f"engine.author has no '{name}'{aside(name, __all__)}")
