"""A small picture of everything that is registered, for the reference in docs/authoring.md.

`python -m viewer.nodes docs` draws them into docs/images/nodes and writes the reference into docs/authoring.md: run it
after adding a node.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from engine import nodes
from engine.atomic import write_bytes, write_text
from engine.compile import compile_scene
from engine.generate import draw
from engine.picture import BACKGROUND, grey, rgb_of, slice_of, window_of
from engine.scene import Scene
from engine.volume import Volume
from engine.voxelize import voxelize
from viewer.meshes import surfaces
from viewer.reference import Document, Entry, entries, with_reference
from viewer.stage import render
from viewer.subject import Subject

TILE = 160
#: Of the first body or what is as it was, of the second one, and of the result.
_BEFORE, _OTHER, _AFTER = "#8d99a6", "#5b8fb9", "#e0a458"
#: mm between two bodies side by side.
_APART = 44.0
_SPACING = 0.6
_COLOURS = 256

#: What deformers act on, and how it is turned for one that acts along the line of sight.
_BAR: Document = {"kind": "box", "size": [16, 24, 32], "round": 4}
_TURNED = {"sag": [-90, 0, 0]}


def picture(entry: Entry) -> Image.Image:
    """The picture of an entry, `TILE` pixels high and once or twice as wide."""
    return _PAINTERS[entry.section](entry)


def _shape(entry: Entry) -> Image.Image:
    body = nodes.SHAPES[entry.name].example()
    half = min(body.ball().reach, 22.0) + 2.0
    return _organs({"organ": _body(body.model_dump(exclude_none=True), _AFTER)}, (half, half, half))


def _deformer(entry: Entry) -> Image.Image:
    before = {**_BAR, "rotate": _TURNED.get(entry.name, [0, 0, 0])}
    after = {**before, **entry.example}
    if _is_hollow(after):  # cut open
        notch = {"kind": "box", "op": "subtract", "at": [8, -12, 12], "size": [22, 24, 24]}
        after = {"kind": "blend", "parts": [after, notch]}
    return _pair({"before": _body(before, _BEFORE)}, {"after": _body(after, _AFTER)})


def _is_hollow(body: Document) -> bool:
    program, _ = compile_scene(_scene({"body": _body(body, _AFTER)}, (20, 20, 20)))
    return bool(program.evaluate(np.zeros((1, 3)), 0)[0] > 0)


def _combination(entry: Entry) -> Image.Image:
    first, second = entry.example["parts"]
    second = {key: value for key, value in second.items() if key != "op"}
    parts = {"first": _body(first, _BEFORE), "second": _body(second, _OTHER)}
    return _pair(parts, {"blend": _body(entry.example, _AFTER)})


def _placed(entry: Entry) -> Image.Image:
    colors = [_AFTER, _OTHER]
    bodies = {name: _body(body, color) for (name, body), color in zip(entry.example.items(), colors, strict=False)}
    return _organs(bodies, (24, 24, 24))


def _related(entry: Entry) -> Image.Image:
    """A slice through two neighbours, each voxel a mixture of colours by coverage."""
    first, second = entry.example.items()
    bodies = {first[0]: _body(first[1], _OTHER), second[0]: _body(second[1], _AFTER)}
    alone = {key: value for key, value in bodies[second[0]].items() if key != entry.name}
    scenes = [_scene({**bodies, second[0]: body}, (24, 24, 0.2), 0.3) for body in (alone, bodies[second[0]])]
    return _side_by_side([_coloured(voxelize(scene), "axial") for scene in scenes])


def _moved(entry: Entry) -> Image.Image:
    """A sagittal slice through a lattice of lines and a ball that the motion carries along."""
    (motion,) = (move[entry.name] for move in entry.example["motion"])
    node = nodes.MOTIONS[entry.name].model_validate(motion)
    x, y, z = motion["centre"]
    plate = {"kind": "slab", "thickness": 0.9}
    row = {"count": 20, "centred": True}
    bodies = {
        "ball": _body({"kind": "sphere", "radius": 11, "at": [x, y, z]}, _AFTER),
        "rows": _body({**plate, "axis": "z", "repeat": {**row, "step": [0, 0, 6]}}, _BEFORE),
        "columns": _body({**plate, "axis": "y", "repeat": {**row, "step": [0, 6, 0]}}, _BEFORE),
    }
    scene = _scene(bodies, (0.3, 42, 42), 0.525, motion=entry.example["motion"])
    farthest = max(range(100), key=lambda percent: node.stroke(percent / 100)) / 100
    return _side_by_side([_coloured(voxelize(scene.at(phase)), "sagittal") for phase in (0.0, farthest)])


def _pattern(entry: Entry) -> Image.Image:
    protocol = {"modality": "mr", "noise_percent": 0, "bias": 0}
    bodies = {"tissue": {"kind": "box", "size": [99, 99, 99], "material": "mine"}}
    scene = _scene(bodies, (25, 25, 25), 0.5, **entry.example, acquire=[protocol])
    image = draw(scene, 0, 0, ("mr",)).images["mr"].data.cpu().numpy()
    middle = slice_of(image, "sagittal", image.shape[2] // 2)
    return Image.fromarray(grey(middle, window_of(image, "mr"))).convert("RGB").resize((TILE, TILE))


_PAINTERS: dict[str, Callable[[Entry], Image.Image]] = {
    "shapes": _shape,
    "combine": _combination,
    "deform": _deformer,
    "placement": _placed,
    "relations": _related,
    "motion": _moved,
    "patterns": _pattern,
}


#: Fields of structures that parts of blends lack.
_LOOK = ("material", "color")


def _body(node: Document, color: str) -> Document:
    return {"material": "liver", **node, "color": color}


def _scene(bodies: Document, half: tuple[float, float, float], spacing: float = _SPACING, **more: Any) -> Scene:
    """A drawn scene of `bodies` on a grid that reaches `half` mm to each side."""
    size = [max(1, round(2 * length / spacing)) for length in half]
    grid = {"size": size, "spacing": [spacing] * 3}
    document = {"viscera": 1, "name": "picture", "grid": grid, "structures": bodies, **more}
    return Scene.model_validate(document).sample()


def _organs(bodies: Document, half: tuple[float, float, float], width: int = TILE) -> Image.Image:
    subject = Subject.from_volume(voxelize(_scene(bodies, half)))
    return render(subject, surfaces(subject), (width, TILE))


def _pair(left: Document, right: Document) -> Image.Image:
    """Two groups of bodies side by side, at one scale."""
    shifted = {
        name: {
            "kind": "blend",
            "parts": [{k: v for k, v in body.items() if k not in _LOOK}],
            "at": [side * _APART / 2, 0, 0],
            **{k: body[k] for k in _LOOK},
        }
        for side, bodies in ((-1, left), (1, right))
        for name, body in bodies.items()
    }
    return _organs(shifted, (_APART, 24, 24), 2 * TILE)


def _coloured(volume: Volume, plane: Any) -> Image.Image:
    colors = [BACKGROUND, *(rgb_of(row.color) for row in volume.structures[1:])]
    channels = [volume.mix([float(color[c]) for color in colors]).cpu().numpy() for c in range(3)]
    pixels = np.stack([slice_of(channel, plane, 0) for channel in channels], axis=-1)
    return Image.fromarray(np.rint(pixels).astype(np.uint8)).resize((TILE, TILE), Image.Resampling.LANCZOS)


def _side_by_side(tiles: list[Image.Image], gap: int = 4) -> Image.Image:
    sheet = Image.new("RGB", (len(tiles) * (TILE + gap) - gap, TILE), (255, 255, 255))
    for i, tile in enumerate(tiles):
        sheet.paste(tile, (i * (TILE + gap), 0))
    return sheet


def _png(image: Image.Image) -> bytes:
    """The picture as PNG with a palette: a third of the size, and nothing is seen of it."""
    out = io.BytesIO()
    image.quantize(_COLOURS, kmeans=1, dither=Image.Dither.NONE).save(out, format="PNG", optimize=True)
    return out.getvalue()


@click.command()
@click.argument("docs", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(docs: Path) -> None:
    """Draw every picture of the reference and write its text into DOCS/authoring.md."""
    for entry in entries():
        write_bytes(docs / "images" / "nodes" / entry.picture, _png(picture(entry)))
    page = docs / "authoring.md"
    write_text(page, with_reference(page.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
