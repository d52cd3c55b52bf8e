"""One sample: a drawn scene, its labelled volume, and its images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from engine.errors import UserError
from engine.grid import Grid
from engine.random import Stream
from engine.render.protocol import Protocol
from engine.render.protocols import PROTOCOLS
from engine.scene import Scene
from engine.scene.sample import Scattered
from engine.scene.sample import draw as draw_scene
from engine.volume import Image, Volume
from engine.voxelize import voxelize

MODALITIES = tuple(PROTOCOLS)


@dataclass(frozen=True)
class Sample:
    """What one draw of a scene gives.

    Args:
        name: file name without an ending, `SCENE_0007`.
        scene: the drawn scene; `draw` of it gives this sample again.
        volume: labels and coverage.
        images: by modality, on the volume's grid.
        scattered: how many copies of scattered structures found a place.
        variables: values of the scene's `vars`; none where the scene was drawn already.
    """

    name: str
    scene: Scene
    volume: Volume
    images: dict[str, Image]
    scattered: tuple[Scattered, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)


def draw(
    scene: Scene, seed: int, index: int, modalities: Sequence[str] = MODALITIES, grid: Grid | None = None
) -> Sample:
    """Sample number `index` of `scene` under `seed`: a pure function of its arguments.

    Args:
        scene: as loaded, or already drawn (then `seed` and `index` change nothing but the name).
        modalities: which images to make, of `ct`, `mr`, `us`; may be empty.
        grid: the grid to use instead of the scene's own.
    """
    drawing = draw_scene(scene, seed, index)
    drawn = drawing.scene
    volume = voxelize(drawn, grid)
    if volume.displacement is not None:
        volume = replace(volume, rest=partial(voxelize, drawn.at(0.0), grid))
    images = _scan(drawn, volume, modalities)
    return Sample(f"{scene.name}_{index:04d}", drawn, volume, images, drawing.scattered, drawing.variables)


def imaged(sample: Sample, modalities: Sequence[str]) -> Sample:
    """`sample` with images of `modalities` as well: what `draw` gives when it is asked for them at once."""
    missing = [name for name in modalities if name not in sample.images]
    return replace(sample, images={**sample.images, **_scan(sample.scene, sample.volume, missing)})


def moved(sample: Sample, phase: float) -> Sample:
    """`sample` at another phase of its scene's motion, in [0, 1): what `draw` of that moment gives."""
    drawn, still = sample.scene.at(phase), sample.volume.still
    volume = replace(voxelize(drawn, still.grid), rest=lambda: still)
    return replace(sample, scene=drawn, volume=volume, images=_scan(drawn, volume, tuple(sample.images)))


def noiseless(sample: Sample) -> dict[str, Image]:
    """The sample's images without the receiver's noise; all else is the same bit for bit."""
    drawn, volume = sample.scene, sample.volume
    return {name: protocol_of(drawn, name).noiseless().render(volume, _stream(drawn, name)) for name in sample.images}


def _scan(drawn: Scene, volume: Volume, modalities: Sequence[str]) -> dict[str, Image]:
    return {name: protocol_of(drawn, name).render(volume, _stream(drawn, name)) for name in modalities}


def _stream(drawn: Scene, modality: str) -> Stream:
    """Of an image's randomness."""
    return Stream.of(drawn.seed, "image", modality)


def protocol_of(drawn: Scene, modality: str) -> Protocol:
    """The drawn scene's protocol for `modality`, or the modality's default one."""
    if modality not in PROTOCOLS:
        raise UserError(f"modality '{modality}' is unknown; use {', '.join(PROTOCOLS)}")
    listed = (p for p in drawn.acquire if p.modality == modality)
    return next(listed, None) or PROTOCOLS[modality]()
