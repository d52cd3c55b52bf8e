"""Mesh: any closed surface from a file, as the trilinear interpolant F of its signed distances on a lattice.

Outside the lattice's box, q being the box's point nearest to p, f(p) = sqrt(F(q)^2 + |p - q|^2): no more than the true
distance, since the box is convex and holds the surface.

Lipschitz max(1, the steepest slope of F).
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import taichi as ti
from pydantic import Field, ValidationInfo, field_validator, model_validator

from engine.nodes import ORIGIN, Ball, Shape, register
from engine.source import source
from engine.strict import NOT_TYPED
from engine.surface.digest import digest_of
from engine.vary import Choice, Name, Positive

if TYPE_CHECKING:
    from engine.surface.distancegrid import DistanceGrid

_EXAMPLE = Path(__file__).with_name("kidney.ply")
_HEAD = 7  # nodes along x, y, z; mm between them; position of the first


@register("mesh")
class Mesh(Shape):
    """The closed surface in a mesh file (STL, OBJ, PLY, OFF, GLB, ...).

    `file` is sought from the folder of the scene file that names it. A drawn scene keeps its whole path and its
    content's `digest`, so that a file which has changed since is noticed. Coordinates are taken as LPS mm unless
    `unit_mm` says how long their unit is (1000 for metres); `rotate` turns other axes. The middle of the surface's box
    comes to the local origin; `centre: false` keeps the file's own origin, for organs that belong together. `part`
    takes one body of a file that holds several. Details finer than the longest edge / `resolution` are lost.
    """

    kind: Literal["mesh"] = "mesh"
    unit_mm: Annotated[Positive, Field(description="mm for each unit of the file")] = 1.0
    centre: Annotated[bool, Field(description="put the middle of the surface's box at the local origin")] = True
    resolution: Annotated[int, Field(ge=16, le=256, description="samples of the distance along the longest edge")] = 128
    part: Annotated[str | None, Field(description="name of one body of the file; all of them if left out")] = None
    digest: Annotated[
        str | None,
        Field(description="of the file's content, written when the scene is loaded", json_schema_extra=NOT_TYPED),
    ] = None
    file: Annotated[Name, Field(description="path of the mesh, from the scene file's folder")]

    @staticmethod
    @ti.func
    def distance(p, params: ti.template(), o: ti.i32) -> ti.f32:
        size = ti.math.vec3(params[o], params[o + 1], params[o + 2])
        step = params[o + 3]
        q = (p - ti.math.vec3(params[o + 4], params[o + 5], params[o + 6])) / step
        inner = ti.math.clamp(q, 0.0, size - 1.0)
        cell = ti.min(ti.floor(inner), size - 2.0)
        t = inner - cell
        nx, ny = int(size.x), int(size.y)
        first = o + _HEAD + (int(cell.z) * ny + int(cell.y)) * nx + int(cell.x)
        value = 0.0
        for k in ti.static(range(8)):
            x, y, z = ti.static(k & 1, k >> 1 & 1, k >> 2)
            weight = (t.x if x else 1.0 - t.x) * (t.y if y else 1.0 - t.y) * (t.z if z else 1.0 - t.z)
            value += weight * params[first + (z * ny + y) * nx + x]
        away = (q - inner).norm() * step
        if away > 0.0:
            value = ti.sqrt(value * value + away * away)
        return value

    @model_validator(mode="before")
    @classmethod
    def _anchored(cls, data: Any) -> Any:
        """The same fields with whole paths, and the digest where there is one file."""
        if not isinstance(data, Mapping):
            return data
        home = source(data)
        folder = home.parent if home else Path()
        match data.get("file"):
            case str(name) if not name.startswith("$"):
                path = _found(folder, name)
                fields = {**data, "file": str(path)}
                if data.get("digest") is None and path.is_file():
                    fields["digest"] = digest_of(path)
                return fields
            case {"choice": list(names), **rest}:
                paths = [str(_found(folder, name)) if isinstance(name, str) else name for name in names]
                return {**data, "file": {"choice": paths, **rest}}
        return data

    @field_validator("file")
    @classmethod
    def _readable(cls, file: Any, info: ValidationInfo) -> Any:
        from engine.surface.solid import solid

        for name in file.choice if isinstance(file, Choice) else [file]:
            if not isinstance(name, str):
                continue
            digest = digest_of(Path(name))
            if info.data.get("digest") not in (None, digest) and not isinstance(file, Choice):
                raise ValueError(
                    f"mesh file '{name}' is not the one that the scene was drawn with (its digest is {digest}, was "
                    f"{info.data['digest']}); bring that one back, or remove 'digest' to take this one"
                )
            solid(Path(name), digest, info.data.get("part"))
        return file

    def _grid(self) -> "DistanceGrid":
        from engine.surface.distancegrid import distance_grid

        path = Path(self.file)
        return distance_grid(path, self.digest or digest_of(path), self.part, self.resolution)

    def pack(self) -> np.ndarray:
        grid = self._grid()
        origin = grid.origin - grid.centre if self.centre else grid.origin
        head = [*grid.values.shape[::-1], self.unit_mm * grid.step, *(self.unit_mm * origin)]
        values = np.float32(self.unit_mm) * grid.values.ravel()
        return np.concatenate([np.array(head, np.float32), values])

    def ball(self) -> Ball:
        grid = self._grid()
        x, y, z = ORIGIN if self.centre else (self.unit_mm * grid.centre).tolist()
        return Ball((x, y, z), self.unit_mm * grid.radius, math.sqrt(0.5))  # |(F, |p - q|)| over F + |p - q|

    def lipschitz(self) -> float:
        return max(self._grid().lipschitz, 1.0)

    @classmethod
    def example(cls) -> "Mesh":
        return cls(file=str(_EXAMPLE), unit_mm=0.25, resolution=40)


def _found(folder: Path, name: str) -> Path:
    """The whole path of a file named in `folder`; one that has moved along with its scene is found beside it."""
    path = (folder / name).absolute()
    beside = folder.absolute() / path.name
    return beside if not path.exists() and beside.is_file() else path
