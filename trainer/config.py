"""The training configuration: a strict YAML file; every mistake in it is located and shown at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from engine.strict import Strict
from trainer import places, strict_yaml
from trainer.model import Prompting
from trainer.parts import PARTS, Part
from trainer.sizes import Size, Spec

Weight = Annotated[float, Field(ge=0)]


class Data(Strict):
    """What to train on: scenes, drawn without end, a dataset folder, or a generator after a published system.

    Paths are taken from the folder of the file that names them, if they are there, else from the working folder; a bare
    name is that of a scene that comes with Viscera.

    Args:
        dataset: a folder in nnU-Net's layout, of SAM 2's frame folders or of MedSAM2's NPZ files.
        modalities: of the images of drawn scenes, in turn.
        voxels: along the longest axis of a drawn volume; the scene's own number if left out.
        close_ups: share of CT and MR volumes that are scans of one structure, in planes of their own, of `voxels` x
            `voxels` pixels (96 if left out), instead of the whole scene; ultrasound needs the skin.
        clips_per_volume: cut from each volume before the next is made.
        workers: processes that make clips; 0 makes them in the trainer's own.
    """

    scenes: tuple[str, ...] = ()
    dataset: str | None = None
    generator: Literal["synthfm", "synthfm3d"] | None = None
    modalities: tuple[Literal["ct", "mr", "us"], ...] = Field(("ct", "mr", "us"), min_length=1)
    voxels: int | None = Field(None, ge=16, le=1024)
    close_ups: float = Field(0.0, ge=0, le=1)
    clips_per_volume: int = Field(16, ge=1)
    workers: int = Field(1, ge=0)

    @model_validator(mode="after")
    def _one_source(self) -> Data:
        if sum(map(bool, (self.scenes, self.dataset, self.generator))) != 1:
            raise ValueError("give one of 'scenes', 'dataset' and 'generator'")
        return self


class Phase(Strict):
    """A stretch of training with one kind of clip.

    Args:
        steps: optimiser steps.
        frames: slices a clip; 1 trains on still pictures.
        objects: at most so many a clip.
        crops: share of clips that show a square about their first object instead of whole slices.
        batch: clips a step (and process).
        data: what to train on in this phase, instead of the configuration's own.
        prompts: what the model is shown, likewise.
    """

    steps: int = Field(ge=1)
    frames: int = Field(1, ge=1, le=32)
    objects: int = Field(1, ge=1, le=16)
    crops: float = Field(0.0, ge=0, le=1)
    batch: int = Field(8, ge=1)
    data: Data | None = None
    prompts: Prompting | None = None


class Loss(Strict):
    """Weights of SAM 2's losses; from scratch, focal loss far above Dice collapses to empty masks.

    Args:
        presence: of the score that says whether a slice shows the object; learnt from slice videos.
        iou_l1: take the absolute error of the predicted IoU, as SAM 2 does; else the squared one.
    """

    focal: Weight = 4.0
    dice: Weight = 4.0
    iou: Weight = 1.0
    presence: Weight = 1.0
    iou_l1: bool = True


class TrainConfig(Strict):
    """Everything that decides a training run.

    Args:
        start: `scratch`, or a model to start from (our folder, or an official SAM 2.1 `.pt` file).
        phases: one after the other: a curriculum.
        adapters: put SAM-Med2D's adapters into the image encoder; they learn even where it is frozen.
        freeze: parts that do not learn, of `image_encoder`, `prompt_encoder`, `mask_decoder`, `memory`.
        fresh: parts that start anew instead of from `start`.
        learning_rate: at its highest; it rises over `warmup` steps and falls to 2 % of that along a line.
        average: decay of the running average of the weights, which is what is kept; 0 keeps the last step's.
        balance: slice videos on which the score that says whether a slice shows the object is balanced at the end; 0
            leaves it as it was learnt. Without slice videos, or where that score does not learn, it stays as it is.
        clip_grad: largest norm of the gradient.
        out: the run's folder.
        checkpoint_every, eval_every: steps; 0 for never (a run always saves its end).
        threads: of torch on the CPU; 0 leaves it to torch.
    """

    model: Size = "nano"
    image_size: int = 128
    start: str = "scratch"
    adapters: bool = False
    freeze: tuple[Part, ...] = ()
    fresh: tuple[Part, ...] = ()
    data: Data
    phases: tuple[Phase, ...] = Field(min_length=1)
    prompts: Prompting = Prompting()
    loss: Loss = Loss()
    learning_rate: float = Field(5e-4, gt=0, le=1)
    warmup: int = Field(50, ge=0)
    weight_decay: float = Field(0.05, ge=0)
    clip_grad: float = Field(1.0, gt=0)
    average: float = Field(0.999, ge=0, lt=1)
    balance: int = Field(96, ge=0)
    seed: int = Field(0, ge=0, lt=2**31)
    out: str = "out/train"
    checkpoint_every: int = Field(200, ge=0)
    eval_every: int = Field(0, ge=0)
    threads: int = Field(0, ge=0)
    tensorboard: bool = False

    @model_validator(mode="after")
    def _possible(self) -> TrainConfig:
        Spec(size=self.model, image_size=self.image_size)
        if set(self.freeze) == set(PARTS) and not self.adapters:
            raise ValueError("freeze leaves nothing that learns; leave a part out of it")
        if self.start == "scratch" and self.freeze and not set(self.freeze) <= {"memory"}:
            raise ValueError("freeze keeps parts as 'start' has them, and a model from scratch knows nothing yet")
        return self

    @property
    def steps(self) -> int:
        """Optimiser steps of all phases."""
        return sum(phase.steps for phase in self.phases)


def load(path: str | Path, changes: Sequence[str] = ()) -> TrainConfig:
    """The configuration in a YAML file.

    Args:
        changes: `key=value`, each replacing a value of the file; dots go deeper (`data.workers=2`, `phases.0.steps=5`).

    Raises:
        UserError: with every mistake in the file, located.
    """
    path = Path(path)
    return _anchored(strict_yaml.read(path, TrainConfig, changes), path.parent)


def _anchored(config: TrainConfig, folder: Path) -> TrainConfig:
    """The configuration with the files it names taken from its own folder, where they are there."""

    def data(values: Data) -> Data:
        scenes = tuple(str(places.scene(folder, name)) for name in values.scenes)
        dataset = values.dataset and str(places.beside(folder, values.dataset))
        return values.model_copy(update={"scenes": scenes, "dataset": dataset})

    phases = tuple(p.model_copy(update={"data": p.data and data(p.data)}) for p in config.phases)
    start = config.start if config.start == "scratch" else str(places.beside(folder, config.start))
    return config.model_copy(update={"data": data(config.data), "phases": phases, "start": start})
