"""The scene language as types. What a YAML file may hold is written here and nowhere else.

Nodes (shapes, deformers) bring their own fields; this file adds where a node stands, what it is made of, and how often
it occurs. `Scene.sample` turns a scene with distributions into one of plain numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    create_model,
    field_validator,
    model_validator,
)

from engine import nodes
from engine.grid import Grid
from engine.render.preset import preset, resolved
from engine.render.protocols import PROTOCOLS
from engine.strict import NOT_TYPED, Strict
from engine.tissue import Material
from engine.vary import Axis, Count, Fraction, Name, NonNegative, Number, PositiveVec3, Radii, Vec3

nodes.discover()

MOST_LABELS = 255


class _OneNode(Strict):
    what: ClassVar[str]

    @model_validator(mode="after")
    def _one(self):
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"each entry {self.what}, one of: {', '.join(type(self).model_fields)}")
        return self

    @property
    def node(self) -> Any:
        """The deformer or motion itself."""
        return next(value for name in type(self).model_fields if (value := getattr(self, name)) is not None)


class _OneDeformer(_OneNode):
    what = "of deform holds one deformer"


class _OneMotion(_OneNode):
    what = "of motion holds one motion"


_DEFORMERS: dict[str, Any] = {name: (cls | None, None) for name, cls in sorted(nodes.DEFORMERS.items())}
Deform: Any = create_model("Deform", __base__=_OneDeformer, **_DEFORMERS)
_MOTIONS: dict[str, Any] = {name: (cls | None, None) for name, cls in sorted(nodes.MOTIONS.items())}
Move: Any = create_model("Move", __base__=_OneMotion, **_MOTIONS)


class Placed(Strict):
    """Where a node stands in the frame around it: world = at + rotate(scale * deform(local))."""

    at: Vec3 = Field((0.0, 0.0, 0.0), description="position of the local origin, mm")
    rotate: Vec3 = Field((0.0, 0.0, 0.0), description="degrees about x, then y, then z")
    scale: Radii = Field(1.0, description="factor, or one for each axis")
    deform: list[Deform] = Field([], description="deformers, the first acts first")


class PartFields(Placed):
    """A node as a part of a blend."""

    op: Literal[tuple(sorted(nodes.COMBINES))] = Field("union", description="how it joins the parts before it")  # type: ignore[valid-type]


class Repeat(Strict):
    """Copies at equal steps."""

    count: Count = Field(description="of copies, the first one included")
    step: Vec3 = Field(description="mm from one copy to the next")
    centred: bool = Field(False, description="put the middle of the row, not its start, at the structure's position")


class Mirror(Strict):
    """A second, mirrored copy on the other side of the plane through the scene's origin."""

    axis: Axis = Field("x", description="the plane is at right angles to it")
    labels: tuple[int, int] | None = Field(
        None, description="labels of the original and of the copy; the same if left out"
    )
    names: tuple[str, str] | None = Field(None, description="names of both, if their labels differ")

    @model_validator(mode="after")
    def _two(self):
        if self.labels and self.labels[0] == self.labels[1]:
            raise ValueError("labels are equal; leave them out to give both copies one label")
        return self


class Region(Strict):
    """An ellipsoidal region of the scene."""

    centre: Vec3 = Field(description="mm")
    radii: PositiveVec3 = Field(description="mm along x, y, z")


class Scatter(Strict):
    """Copies at random places, each drawn anew."""

    region: Region | str = Field(
        description="a structure's name, or an ellipsoid {centre, radii}", union_mode="left_to_right"
    )
    count: Count = Field(description="of copies")
    margin: Number = Field(
        0.0, description="least distance to the region's surface, mm; negative lets copies stick out"
    )
    gap: Number = Field(
        0.0, description="least distance between copies (before they touch or bulge), mm; negative lets them overlap"
    )

    @field_validator("region", mode="before")
    @classmethod
    def _written(cls, value: Any) -> Any:
        return Region.model_validate(value) if isinstance(value, dict) else value


#: One structure's name, or several.
Names = Annotated[
    list[str],
    Field(min_length=1),
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]},
    ),
]


class Gap(Strict):
    """Keeps its distance: what comes nearer to the named structures is cut away."""

    to: Names = Field(description="earlier structures; all copies of each")
    mm: NonNegative = Field(description="least distance, mm")


class Touching(Strict):
    """Meets the named structures along one surface, without overlap and without a cleft."""

    to: Names = Field(description="earlier structures; all copies of each")
    fillet: NonNegative = Field(4.0, description="mm; clefts narrower than half of it are filled")


class Press(Strict):
    """Is pressed by the named structures: gives way where they are, and bulges elsewhere."""

    against: Names = Field(description="earlier structures; all copies of each")
    yields: bool = Field(True, description="bulge so that the volume is kept; false only cuts away what overlaps")
    bulge_mm: list[Annotated[float, Field(ge=0)]] | None = Field(
        None,
        description="how far each copy's surface moves out, mm; found when the scene is drawn",
        json_schema_extra=NOT_TYPED,
    )


#: Relations of a structure, and the field of each that names others.
RELATIONS = {"gap": "to", "touching": "to", "press": "against"}


class StructureFields(Placed):
    """A node as a structure of the scene."""

    label: int | None = Field(
        None, ge=1, le=MOST_LABELS, description="value in label maps; the next free one if left out"
    )
    group: str | None = Field(None, description="name that the label stands for; the structure's own if left out")
    material: Name = Field(description="a tissue of the table or one of the scene's materials")
    color: str | None = Field(None, pattern="^#[0-9a-fA-F]{6}$", description="#rrggbb")
    inside: str | None = Field(None, description="an earlier structure that clips this one and becomes its parent")
    probability: Fraction = Field(1.0, description="how often it is there")
    repeat: Repeat | None = None
    mirror: Mirror | None = None
    scatter: Scatter | None = None
    gap: Gap | None = Field(None, description="keep a distance to earlier structures")
    touching: Touching | None = Field(None, description="meet earlier structures without overlap and without a cleft")
    press: Press | None = Field(None, description="give way to earlier structures, and bulge elsewhere")


class Blend(Strict):
    """Several parts joined into one shape, in order, with `smooth` mm of fillet between them."""

    kind: Literal["blend"] = "blend"
    smooth: NonNegative = 0.0
    parts: list[Part] = Field(min_length=1)


def _kinds(fields: type[Placed], suffix: str) -> list[type[BaseModel]]:
    """One model for each shape, and one for blends, with `fields` added."""
    bases: list[Any] = [cls for _, cls in sorted(nodes.SHAPES.items())]
    return [create_model(cls.__name__ + suffix, __base__=(cls, fields), __doc__=cls.__doc__) for cls in [*bases, Blend]]


def _union(models: list[Any]) -> Any:
    return reduce(or_, models)


PARTS = _kinds(PartFields, "Part")
STRUCTURES = _kinds(StructureFields, "Structure")
KINDS = (*sorted(nodes.SHAPES), "blend")
Part: Any = Annotated[_union(PARTS), Field(discriminator="kind")]
Plain: Any = Annotated[_union(STRUCTURES), Field(discriminator="kind")]


class Variants(Strict):
    """One of several structures, chosen when the scene is drawn."""

    choice: list[Plain] = Field(min_length=1)
    weights: list[Annotated[float, Field(ge=0)]] | None = Field(None, description="how often each comes up")

    @model_validator(mode="after")
    def _weighted(self):
        if self.weights is not None and (len(self.weights) != len(self.choice) or sum(self.weights) <= 0):
            raise ValueError(f"weights needs {len(self.choice)} numbers, one for each variant, not all of them 0")
        return self


def _structure_tag(value: Any) -> str | None:
    get = value.get if isinstance(value, dict) else lambda key: getattr(value, key, None)
    return "choice" if get("choice") is not None else get("kind")


_TAGGED: list[Any] = [(Variants, "choice"), *((model, model.model_fields["kind"].default) for model in STRUCTURES)]
Structure: Any = Annotated[
    _union([Annotated[model, Tag(tag)] for model, tag in _TAGGED]),
    Discriminator(_structure_tag),
]

_models: list[Any] = [Blend, *PARTS, *STRUCTURES, Variants]
for _model in _models:
    _model.model_rebuild(_types_namespace={"Part": Part})


def _modality_tag(value: Any) -> str | None:
    value = resolved(value)
    return value.get("modality") if isinstance(value, dict) else getattr(value, "modality", None)


Protocol: Any = Annotated[
    _union([Annotated[model, Tag(modality)] for modality, model in PROTOCOLS.items()]), Discriminator(_modality_tag)
]


class GridSpec(Strict):
    """The scene's own grid; its centre is the scene's origin."""

    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = Field(
        description="voxels along x, y, z"
    )
    spacing: PositiveVec3 = Field(description="mm between voxels along x, y, z")

    def grid(self, longest: int | None = None, spacing: float | None = None) -> Grid:
        """The scene's grid, or one made from it.

        Args:
            longest: voxels along the longest axis; the field of view stays the same.
            spacing: mm between voxels along every axis; the number of voxels stays the same.
        """
        own = Grid.centred(self.size, self.spacing)
        if longest is not None and longest != max(self.size):
            own = own.resized(longest)
        return own if spacing is None else Grid.centred(own.size, (spacing, spacing, spacing))


class Scene(Strict):
    """A scene: structures in painting order (later wins where they overlap), what varies, and how to image it."""

    viscera: Literal[1] = Field(description="version of the scene language")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", description="used in file names")
    description: str = Field("", description="what it shows, in words")
    seed: int = Field(0, description="of the draws, unless a command gives another")
    drawn: bool = Field(
        False,
        description="written by sampling: nothing varies any more, `seed` makes the images' noise",
        json_schema_extra=NOT_TYPED,
    )
    include: list[str] = Field([], description="files whose materials, vars and structures are added")
    grid: GridSpec = Field(description="voxels, and mm between them; its centre is the scene's origin")
    background: Name = Field("air", description="tissue of voxels outside every structure")
    vars: dict[str, Number] = Field({}, description="drawn once per scene, used as $name")
    materials: dict[str, Material] = Field({}, description="tissues of the scene's own, by name")
    vary: NonNegative = Field(
        0.0, description="how many of the table's spreads tissues differ by from draw to draw; 0: none, 1: as in people"
    )
    structures: dict[str, Structure] = Field(
        min_length=1, description="by name, in painting order: later wins where they overlap"
    )
    motion: list[Move] = Field([], description="what moves the world through a cycle, the first acts first")
    phase: float = Field(0.0, ge=0, lt=1, description="where in the cycle it is; at 0 the scene is as drawn")
    acquire: list[Protocol] = Field([], description="protocols; of several for one modality each draw takes one")

    def __reduce__(self) -> tuple:
        """Scenes travel between processes as plain data: classes made from the node registry have no import path."""
        return Scene.model_validate, (self.model_dump(exclude_unset=True, exclude_none=True),)

    @classmethod
    def load(cls, path: str | Path) -> Scene:
        """The scene in a YAML file; raises SceneError with every mistake located."""
        from engine.scene.load import load

        return load(path)

    def sample(self, seed: int | None = None, index: int = 0) -> Scene:
        """One draw: a scene without distributions, a pure function of (scene, seed, index)."""
        from engine.scene.sample import sample

        return sample(self, self.seed if seed is None else seed, index)

    def using(self, protocols: Sequence[str]) -> Scene:
        """The same scene with named protocols in place of its own for their modalities; several for one take turns."""
        given = [PROTOCOLS[preset(name).fields["modality"]].model_validate({"protocol": name}) for name in protocols]
        taken = {preset(name).fields["modality"] for name in protocols}
        return self.model_copy(update={"acquire": [p for p in self.acquire if p.modality not in taken] + given})

    def at(self, phase: float) -> Scene:
        """The same scene at `phase`, in [0, 1)."""
        return self.model_copy(update={"phase": phase})

    def dump(self) -> str:
        """The scene as YAML; loading it gives the same scene."""
        from engine.scene.dump import dump

        return dump(self)

    def labels(self) -> dict[str, int]:
        """Every group that a draw of this scene may hold, and its label, in painting order."""
        from engine.scene.labels import labels

        return labels(self)
