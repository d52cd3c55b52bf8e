"""What a pipeline file may hold."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from engine.strict import Strict
from trainer.protocols import PROTOCOLS

Modality = Literal["ct", "mr", "us"]


class Generate(Strict):
    """Volumes to write.

    Args:
        scenes: files, relative to the pipeline's, or bare names of scenes that come with Viscera.
        count: volumes of each scene to train on; 0 where training draws its own.
        held_out: further volumes of each scene, with another seed, to evaluate on.
        size: voxels along the longest axis.
        workers: processes.
    """

    scenes: tuple[str, ...] = Field(min_length=1)
    count: int = Field(0, ge=0)
    held_out: int = Field(1, ge=1)
    size: int | None = Field(None, ge=8)
    modalities: tuple[Modality, ...] = Field(("ct", "mr", "us"), min_length=1)
    seed: int = Field(0, ge=0)
    workers: int = Field(1, ge=1)


class Train(Strict):
    """A training configuration (a file, relative to the pipeline's, or the bare name of one that comes with Viscera),
    and values to change in it, by dotted key."""

    config: str
    set: dict[str, Any] = Field(default_factory=dict)


class Pair(Strict):
    """A real scan and its label map, relative to the pipeline's file; `names` of the labels to score, all if empty."""

    image: str
    labels: str
    modality: Modality
    names: dict[int, str] = Field(default_factory=dict)


class Evaluate(Strict):
    """What to score.

    Args:
        protocols: names of `trainer.protocols.PROTOCOLS`.
        structures: of the generated volumes; all of them if empty.
        mni152: try the MNI152 brain.
        pairs: try these scans.
    """

    protocols: Annotated[tuple[str, ...], Field(min_length=1)] = ("box", "click")
    structures: tuple[str, ...] = ()
    mni152: bool = False
    pairs: tuple[Pair, ...] = ()

    @field_validator("protocols")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in value if name not in PROTOCOLS]:
            raise ValueError(f"unknown {', '.join(unknown)}; known: {', '.join(PROTOCOLS)}")
        return value


class Pipeline(Strict):
    """A pipeline file. `out` is relative to the working directory."""

    generate: Generate
    train: Train
    evaluate: Evaluate = Evaluate()
    out: str = "out/pipeline"
