"""Drawing a scene: every distribution, reference, variant and scatter becomes plain numbers.

Each parameter's stream is keyed by its path, so adding a structure changes no other structure's draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import ValidationError

from engine import vary
from engine.errors import UserError
from engine.nodes import DEFORMERS, SHAPES
from engine.random import Stream
from engine.scene.labels import label_table, owners
from engine.scene.model import RELATIONS, Region, Scene
from engine.scene.people import person

#: Places tried for one scattered copy before it is given up.
_TRIES = 400
#: Shapes and deformers that grow from a seed.
_SEEDED = {kind for kind, shape in SHAPES.items() if "seed" in shape.model_fields}
_SEEDED_DEFORMERS = {name for name, deformer in DEFORMERS.items() if "seed" in deformer.model_fields}


@dataclass(frozen=True)
class Scattered:
    """Copies of a scattered structure: `placed` of `asked` found a place."""

    structure: str
    placed: int
    asked: int

    def __str__(self) -> str:
        return (
            f"'{self.structure}': {self.placed} of {self.asked} copies found a place; ask for fewer or smaller ones, "
            "a larger region, or less margin and gap"
        )


@dataclass(frozen=True)
class Drawing:
    """A drawn scene, how many copies of what it scatters found a place, and the values of the scene's variables."""

    scene: Scene
    scattered: tuple[Scattered, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)

    @property
    def unplaced(self) -> tuple[Scattered, ...]:
        """Those of which copies are missing."""
        return tuple(each for each in self.scattered if each.placed < each.asked)


def sample(scene: Scene, seed: int, index: int = 0) -> Scene:
    """Draw number `index` of `scene` under `seed`: a scene of plain numbers that makes the same volume by itself."""
    return draw(scene, seed, index).scene


def draw(scene: Scene, seed: int, index: int = 0) -> Drawing:
    """`sample`, with the counts of what is scattered."""
    if scene.drawn:
        return Drawing(scene)
    draw = _Draw(scene, Stream.of(seed, index))
    try:
        return Drawing(draw.scene(), tuple(draw.scattered), draw.variables)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(k) for k in first["loc"])
        raise UserError(
            f"scene '{scene.name}', seed {seed}, index {index}: {where}: {first['msg']} (drew {first['input']!r}); "
            "add clip: [low, high] to what it is drawn from"
        ) from None
    except (ArithmeticError, ValueError) as error:
        raise UserError(f"scene '{scene.name}', seed {seed}, index {index}: {error}") from None


class _Draw:
    """One draw under way."""

    def __init__(self, scene: Scene, stream: Stream) -> None:
        self.given = scene
        self.stream = stream
        self.variables: dict[str, Any] = {}
        self.structures: dict[str, dict[str, Any]] = {}
        self.copies: dict[str, list[str]] = {}  # of scattered structures
        self.scattered: list[Scattered] = []

    def scene(self) -> Scene:
        document = self.given.model_dump(exclude_unset=True, exclude_none=True)
        for name, value in document.pop("vars", {}).items():
            self.variables[name] = self.resolve(value, ("vars", name))
        bodies = document.pop("structures")
        table, self.owners = label_table(self.given), owners(self.given)
        rest = {key: self.resolve(value, (key,)) for key, value in document.items() if key != "include"}
        rest |= {"seed": self.stream.integer(), "drawn": True, "acquire": self.protocols(rest.get("acquire", []))}
        self.base = {key: value for key, value in rest.items() if key not in ("motion", "phase")}
        for name, body in bodies.items():
            self.add(name, body, table[name][0])
        used = [rest.get("background", "air"), *(body["material"] for body in self.structures.values())]
        materials = person(rest.get("materials", {}), used, rest.pop("vary", 0.0), self.stream)
        rest |= {"materials": materials} if materials else {}
        return Scene.model_validate({**rest, "structures": self.structures})

    def resolve(self, value: Any, path: tuple[str | int, ...]) -> Any:
        """`value` with everything in it that varies drawn."""
        drawn = vary.parse(value) if isinstance(value, (str, Mapping)) else None
        if drawn is not None:
            chosen = drawn.draw(self.stream.child(*path).generator(), self.variables)
            return self.resolve(chosen, (*path, "chosen")) if isinstance(chosen, (str, Mapping, list)) else chosen
        if isinstance(value, Mapping):
            return {key: self.resolve(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.resolve(item, (*path, i)) for i, item in enumerate(value)]
        return value

    def protocols(self, drawn: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """One protocol for each modality: where a scene lists several, each draw takes one of them."""
        by_modality: dict[str, list[dict[str, Any]]] = {}
        for protocol in drawn:
            by_modality.setdefault(protocol["modality"], []).append(protocol)
        return [
            several[int(self.stream.child("acquire", modality).generator().integers(len(several)))]
            for modality, several in by_modality.items()
        ]

    def add(self, name: str, body: Any, entry: Any) -> None:
        """Draw one structure, or its scattered copies."""
        path = ("structures", name)
        if "choice" in body:
            body = vary.Choice.model_validate(body).draw(self.stream.child(*path, "choice").generator(), {})
        there = self.resolve(body.get("probability", 1.0), (*path, "probability"))
        if self.stream.child(*path, "there").generator().random() >= there or self._orphan(body):
            return
        body = {key: value for key, value in body.items() if key != "probability"}
        if "scatter" not in body:
            drawn = self.seeded(self.resolve(body, path), path)
            if "mirror" not in drawn or "labels" not in drawn["mirror"]:
                drawn |= {"label": entry.label, "group": entry.group}
            self.put(name, drawn)
            return
        scatter = self.resolve(body.pop("scatter"), (*path, "scatter"))
        rng = self.stream.child(*path, "places").generator()
        region = _Places(self, scatter, rng)
        for i in range(scatter["count"]):
            drawn = self.seeded(self.resolve(body, (*path, i)), (*path, i))
            place = region.place(drawn)
            if place is not None:
                drawn |= {"at": place, "label": entry.label, "group": entry.group}
                self.copies.setdefault(name, []).append(f"{name}.{i + 1}")
                self.put(f"{name}.{i + 1}", drawn)
        self.scattered.append(Scattered(name, len(self.copies.get(name, ())), scatter["count"]))

    def put(self, name: str, drawn: dict[str, Any]) -> None:
        """Add a drawn structure: its relations name what this draw holds, and it bulges where it is pressed."""
        for relation, names in RELATIONS.items():
            if relation in drawn:
                present = [copy for word in drawn[relation][names] for copy in self.present(word)]
                if present:
                    drawn[relation] = {**drawn[relation], names: present}
                else:
                    del drawn[relation]
        self.structures[name] = drawn
        press = drawn.get("press")
        if press is not None and press.get("yields", True) and press.get("bulge_mm") is None:
            from engine.scene.press import bulges  # it needs this package

            drawn["press"] = {**press, "bulge_mm": bulges(self.so_far(), name)}

    def present(self, word: str) -> list[str]:
        """The names in the drawn scene of what `word` stands for; none where this draw left it out."""
        owner = self.owners[word]
        return [word] if owner in self.structures else self.copies.get(owner, [])

    def so_far(self) -> Scene:
        """A scene of what is drawn already."""
        return Scene.model_validate({**self.base, "structures": self.structures})

    def _orphan(self, body: Mapping[str, Any]) -> bool:
        """Whether the structure lies in one that this draw left out."""
        parent = body.get("inside")
        region = body.get("scatter", {}).get("region")
        needed = [self.owners[name] for name in (parent, region) if isinstance(name, str)]
        return any(name not in self.structures for name in needed)

    def seeded(self, body: Any, path: tuple[str | int, ...]) -> Any:
        """`body` with a seed for every node that grows from one and names none."""
        if isinstance(body, Mapping):
            filled = {key: self.seeded(item, (*path, key)) for key, item in body.items()}
            deformer = path[-1] if path[-3:-2] == ("deform",) else None
            if (body.get("kind") in _SEEDED or deformer in _SEEDED_DEFORMERS) and body.get("seed") is None:
                filled["seed"] = self.stream.child(*path, "seed").integer()
            return filled
        if isinstance(body, list):
            return [self.seeded(item, (*path, i)) for i, item in enumerate(body)]
        return body

    def alone(self, body: Mapping[str, Any]) -> Scene:
        """A scene of one structure, to ask for its ball or its field."""
        loose = {key: value for key, value in body.items() if key not in ("inside", *RELATIONS)}
        return Scene.model_validate({**self.base, "structures": {"it": loose}})


class _Places:
    """Random places in a region that keep a margin to its surface and a gap to each other."""

    def __init__(self, draw: _Draw, scatter: dict[str, Any], rng: np.random.Generator) -> None:
        from engine.compile import compile_region, compile_scene  # they need this package

        self.draw, self.rng = draw, rng
        self.compile = compile_scene
        self.margin, self.gap = scatter.get("margin", 0.0), scatter.get("gap", 0.0)
        self.taken: list[tuple[np.ndarray, float]] = []
        region = scatter["region"]
        if isinstance(region, str):
            self.program = compile_region(draw.so_far(), region)
        else:
            shape = Region.model_validate(region)
            body = {"kind": "ellipsoid", "material": "water", "at": shape.centre, "radii": shape.radii}
            self.program = compile_region(draw.alone(body), "it")
        if any(not np.isfinite(span.ball.radius) for span in self.program.spans):
            raise ValueError(f"scatter: region '{region}' has no end")

    def place(self, body: dict[str, Any]) -> list[float] | None:
        """A position for `body`, or None where none was found."""
        if not self.program.spans:
            return None
        ball = self.compile(self.draw.alone({**body, "at": [0, 0, 0]}))[0].spans[0].ball
        for candidates in np.split(self._candidates(), 4):
            clearance = self._depth(candidates + ball.centre) - ball.radius - self.margin
            for point in candidates[clearance >= 0]:
                middle = point + ball.centre
                if all(np.linalg.norm(middle - c) >= ball.radius + r + self.gap for c, r in self.taken):
                    self.taken.append((middle, ball.radius))
                    return point.tolist()
        return None

    def _candidates(self) -> np.ndarray:
        balls = [span.ball for span in self.program.spans]
        which = self.rng.integers(len(balls), size=_TRIES)
        centres = np.array([b.centre for b in balls])[which]
        radii = np.array([b.radius for b in balls])[which, None]
        return np.round(centres + radii * self.rng.uniform(-1, 1, (_TRIES, 3)), 3)

    def _depth(self, points: np.ndarray) -> np.ndarray:
        """A lower bound of each point's distance (mm) to the region's surface; negative outside."""
        fields = [-self.program.evaluate(points, i) / span.lipschitz for i, span in enumerate(self.program.spans)]
        return np.max(fields, axis=0)
