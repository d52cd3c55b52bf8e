"""Scenes built in Python: structures, materials and protocols, brought together and checked as a file is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, get_args

from pydantic import BaseModel, create_model, model_validator

from engine import nodes, tissue
from engine.author.call import EITHER, KEYWORD, bound, checked, documented, function_of, parameters, titled
from engine.author.quantity import Drawn
from engine.author.solid import Solid
from engine.author.value import Named, Value, needs, written
from engine.errors import UserError
from engine.render.protocols import PROTOCOLS as MODALITIES
from engine.scene import Scene
from engine.scene.load import validated
from engine.scene.model import GridSpec, Placed, StructureFields
from engine.strict import Strict


@dataclass(frozen=True, repr=False)
class Piece(Value):
    """A validated part of a scene (a protocol, a way to repeat) and what it is made of."""

    model: Strict
    used: tuple[Named, ...]

    def written(self) -> dict[str, Any]:
        return written(self.model)

    def needs(self) -> Iterator[Named]:
        yield from self.used

    def __repr__(self) -> str:
        return f"{type(self.model).__name__}({self.written()})"


@dataclass(frozen=True, repr=False)
class Motion(Piece):
    """A motion of the whole world, an entry of a scene's `motion`."""

    def written(self) -> dict[str, Any]:
        return {_MOTION_NAMES[type(self.model)]: written(self.model)}


@dataclass(frozen=True, eq=False, repr=False)
class Material(Named):
    """A tissue of the scene's own; its name in structures, an entry of its `materials`."""

    section: ClassVar[str] = "materials"
    name: str
    piece: Piece

    def written(self) -> str:
        return self.name

    def needs(self) -> Iterator[Named]:
        yield from self.piece.used
        yield self

    def definition(self) -> dict[str, Any]:
        return self.piece.written()

    def __repr__(self) -> str:
        return f"material({self.name!r})"


@dataclass(frozen=True)
class Structure(Value):
    """A solid with the fields that make it a structure of a scene."""

    solid: Solid
    fields: Mapping[str, Any]

    def written(self) -> dict[str, Any]:
        return self.solid.written() | written(self.fields)

    def needs(self) -> Iterator[Named]:
        yield from needs((self.solid, self.fields))


_FIELDS = [
    p.replace(kind=KEYWORD, default=None if p.default is inspect.Parameter.empty else p.default)
    for p in parameters(StructureFields, Placed.model_fields)
]
_SOLID = inspect.Parameter("solid", EITHER, annotation="Solid")
_STRUCTURE = inspect.Signature([_SOLID, *_FIELDS], return_annotation="Structure")
_ADD = inspect.Signature(
    [inspect.Parameter("self", EITHER), _SOLID.replace(name="name", annotation=str), *_STRUCTURE.parameters.values()],
    return_annotation="SceneBuilder",
)


def _structure(*args: Any, **kwargs: Any) -> Structure:
    fields = bound("structure", _STRUCTURE, args, kwargs)
    return Structure(_solid("structure", fields.pop("solid")), fields)


def _solid(name: str, value: Any) -> Solid:
    if not isinstance(value, Solid):
        raise UserError(f"{name}: a structure is made of a solid such as sphere(radius=5), got {value!r}")
    return value


structure = titled(
    _structure, "structure", _STRUCTURE, "A variant of a structure, for `choice`.\n\n" + documented(StructureFields)
)


def _add(*args: Any, **kwargs: Any) -> SceneBuilder:
    fields = bound("add", _ADD, args, kwargs)
    self, name, given = fields.pop("self"), fields.pop("name"), fields.pop("solid")
    if name in self.structures:
        raise UserError(f"add: '{name}' is in the scene already; give the structure another name")
    if isinstance(given, Drawn) and given.values:
        several = tuple(_completed(name, variant, fields) for variant in given.values)
        variants = given.distribution.model_copy(update={"choice": written(several)})
        self.structures[name] = Drawn(variants, several)
    else:
        self.structures[name] = _completed(name, given, fields)
    return self


@dataclass
class SceneBuilder:
    """A scene under way. `add` in painting order: later structures win where they overlap."""

    head: Any
    used: tuple[Named, ...] = ()
    structures: dict[str, Structure | Drawn] = field(default_factory=dict)
    motions: list[Motion] = field(default_factory=list)
    protocols: list[Piece] = field(default_factory=list)

    add = titled(_add, "add", _ADD, "Add a structure, or a `choice` of several.\n\n" + documented(StructureFields))

    def move(self, *motions: Motion) -> SceneBuilder:
        """Add motions that carry the whole world through a cycle; the first acts first."""
        for motion in motions:
            if not isinstance(motion, Motion):
                raise UserError(f"move: takes {', '.join(f'{name}(...)' for name in MOTIONS)}, got {motion!r}")
        self.motions.extend(motions)
        return self

    def acquire(self, *protocols: Piece) -> SceneBuilder:
        """Add protocols; of several for one modality each draw takes one."""
        for protocol in protocols:
            if not isinstance(protocol, Piece) or type(protocol.model) not in MODALITIES.values():
                raise UserError(f"acquire: takes {', '.join(f'{name}(...)' for name in MODALITIES)}, got {protocol!r}")
        self.protocols.extend(protocols)
        return self

    def document(self) -> dict[str, Any]:
        """The scene as a file would hold it."""
        head = written(self.head)
        grid = {name: head.pop(name) for name in GridSpec.model_fields if name in head}
        sections = _sections(needs((self.used, list(self.structures.values()), self.motions, self.protocols)))
        listed = {"motion": written(self.motions), "acquire": written(self.protocols)}
        rest = {name: entries for name, entries in listed.items() if entries}
        return {"viscera": 1, **head, "grid": grid, **sections, "structures": written(self.structures), **rest}

    def build(self) -> Scene:
        """The scene, checked as a file is; SceneError with every mistake in it."""
        return validated(self.document(), f"scene '{self.head.name}'")

    def dump(self) -> str:
        """The scene as YAML."""
        return self.build().dump()


def _completed(name: str, given: Any, common: Mapping[str, Any]) -> Structure:
    """The structure `given` with the fields it does not set taken from `common`."""
    own = given.fields if isinstance(given, Structure) else {}
    fields = {key: value for key, value in (dict(common) | dict(own)).items() if value is not None}
    solid = _solid(name, given.solid if isinstance(given, Structure) else given)
    if "material" not in fields:
        raise UserError(f"add: '{name}' needs a material: material='liver'")
    checked(StructureFields, f"add('{name}')", fields)
    return Structure(solid, fields)


def _sections(named: tuple[Named, ...]) -> dict[str, dict[str, Any]]:
    """What `named` defines, by section of the scene and by name."""
    sections: dict[str, dict[str, Any]] = {}
    for each in named:
        section = sections.setdefault(each.section, {})
        if section.setdefault(each.name, each.definition()) != each.definition():
            raise UserError(f"{each.section}: '{each.name}' is defined in two ways; give one of them another name")
    return sections


# --- the head of a scene ----------------------------------------------------------------------------------------------


class _HeadFields(Strict):
    """Start a scene; its origin is the centre of its grid.

    `size` is the voxels along x, y, z and `spacing` the mm between them; one number stands for all three.
    """

    @model_validator(mode="before")
    @classmethod
    def _for_all_axes(cls, given: Any) -> Any:
        return given | {
            name: [given[name]] * 3
            for name in GridSpec.model_fields
            if name in given and not isinstance(given[name], (list, tuple))
        }


_ELSEWHERE = {"viscera", "grid", "include", "drawn", "vars", "materials", "structures", "motion", "acquire"}
_HEAD = {name: f for name, f in Scene.model_fields.items() if name not in _ELSEWHERE} | GridSpec.model_fields
_Head: Any = create_model(
    "_Head",
    __base__=_HeadFields,
    __doc__=_HeadFields.__doc__,
    **{name: (f.annotation, f) for name, f in _HEAD.items()},  # type: ignore[call-overload]
)

scene = function_of("scene", _Head, SceneBuilder, "SceneBuilder")


# --- parts of scenes, from their models -------------------------------------------------------------------------------


def _material() -> Callable[..., Material]:
    name = inspect.Parameter("name", EITHER, annotation=str)
    signature = inspect.Signature([name, *parameters(tissue.Material)], return_annotation="Material")

    def make(*args: Any, **kwargs: Any) -> Material:
        given = bound("material", signature, args, kwargs)
        called = given.pop("name")
        if not isinstance(called, str) or not called:
            raise UserError(f"material: needs a name first, got {called!r}")
        return Material(called, Piece(checked(tissue.Material, f"material({called!r})", given), needs(given)))

    return titled(make, "material", signature, documented(tissue.Material))


material = _material()


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model in an annotation, and in the fields of those."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for each in annotation.model_fields.values():
            yield from _models(each.annotation)
    for argument in get_args(annotation):
        yield from _models(argument)


_PARTS = {
    model.__name__.lower(): model
    for name, f in StructureFields.model_fields.items()
    if name not in Placed.model_fields
    for model in _models(f.annotation)
} | {
    model.__name__.lower(): model
    for motion in nodes.MOTIONS.values()
    for f in motion.model_fields.values()
    for model in _models(f.annotation)
}
#: Functions for what fields of structures and motions hold: repeat, mirror, scatter, region, ...; column.
PARTS = {name: function_of(name, model, Piece, "Piece") for name, model in sorted(_PARTS.items())}
#: Functions for motions, by name.
MOTIONS = {name: function_of(name, model, Motion, "Motion") for name, model in sorted(nodes.MOTIONS.items())}
_MOTION_NAMES: dict[type[Strict], str] = {model: name for name, model in nodes.MOTIONS.items()}
#: Functions for protocols, by modality.
PROTOCOLS = {
    name: function_of(name, model, Piece, "Piece", {"modality": name}) for name, model in sorted(MODALITIES.items())
}
