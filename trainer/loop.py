"""The training loop: SAM 2 on clips, with losses of its own package, resumable at any step.

Everything random at a step depends on (seed, step, process) alone, so a resumed run repeats an unbroken one.
"""

from __future__ import annotations

import contextlib
import io
import signal
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from ruamel.yaml import YAML

from engine.atomic import write_text
from engine.errors import UserError
from trainer import checkpoint, weights
from trainer.average import Average
from trainer.cases import open_dataset
from trainer.clips import Clip, Cut, batch_of
from trainer.compat import CORE_LOSS_KEY, BatchedVideoDatapoint, MultiStepMultiMasksAndIous
from trainer.config import Data, Loss, Phase, TrainConfig
from trainer.feed import Feed
from trainer.journal import Journal
from trainer.metrics import dice_of_pictures
from trainer.model import Model, adapted, build, prompt_with
from trainer.parts import freeze, renew
from trainer.presence import balance
from trainer.schedule import locate, rate
from trainer.sources import DiskSource, GeneratedSource, Source, StreamSource, load_scene

#: In a run's folder, what it is a run of.
CONFIG = "train.yaml"
_HELD_OUT = 32  # clips of the held-out set
_HELD_OUT_STILLS, _HELD_OUT_VIDEOS = 999, 998  # their places in a run's seeds; phases have those from 0
_UNSEEN = 6  # held-out slice videos of a volume
_BETAS = (0.9, 0.98)  # short runs: the second moment must forget the first steps


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Args:
        model: folder of the trained model, or of the checkpoint where it was stopped.
        step: steps done.
        finished: False where Ctrl-C stopped it; the same command goes on from there.
    """

    model: Path
    step: int
    finished: bool


def train(config: TrainConfig) -> Result:
    """Run a configuration to its end, or go on with it where it stopped.

    Raises:
        UserError: where `out` holds another run, data or start are unusable, or the loss is no longer finite.
    """
    run = Path(config.out)
    for number in range(len(config.phases)):
        source_of(config, number)  # mistakes in data show before anything is written
    if config.threads:
        torch.set_num_threads(config.threads)
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(),  # else several processes without a GPU would not find each other
        # still pictures leave the memory's parameters without gradients
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    torch.manual_seed(config.seed)
    model = _start(config)
    _claim(run, config)
    optimizer = torch.optim.AdamW(
        [p for p in model.network.parameters() if p.requires_grad],
        config.learning_rate,
        betas=_BETAS,
        weight_decay=config.weight_decay,
        fused=True,
    )
    model.network.to(accelerator.device)
    average = Average(model.network, config.average) if config.average else None
    found = checkpoint.latest(run)
    step = checkpoint.restore(found, model, optimizer, average) if found else 0
    return _Run(config, run, accelerator, model, optimizer, average).go(step)


class _Run:
    """One call of `train`, its parts at hand."""

    def __init__(
        self,
        config: TrainConfig,
        run: Path,
        accelerator: Accelerator,
        model: Model,
        optimizer: torch.optim.Optimizer,
        average: Average | None,
    ) -> None:
        self.config, self.run, self.accelerator, self.model, self.optimizer = config, run, accelerator, model, optimizer
        self.average = average
        self.network, self.stepper = accelerator.prepare(model.network, optimizer)
        self.held_out: list[BatchedVideoDatapoint] = []

    def go(self, start: int) -> Result:
        """Train from step `start` to the end of the last phase, or to a Ctrl-C."""
        config, main = self.config, self.accelerator.is_main_process
        with (
            Journal(self.run, start, config.steps, config.tensorboard) if main else contextlib.nullcontext() as journal,
            _interrupts() as interrupted,
            contextlib.closing(self._steps(start)) as steps,
        ):
            for step, values in steps:
                if journal:
                    journal.write(step, values)
                    if config.eval_every and step % config.eval_every == 0:
                        journal.write(step, self.evaluate())
                if self._anywhere(interrupted()):
                    return self._stop(step, finished=step == config.steps)
                if config.checkpoint_every and step % config.checkpoint_every == 0 and main:
                    checkpoint.save(self.run, step, self.model, self.optimizer, self.average)
        return self._stop(config.steps, finished=True)

    def _anywhere(self, here: bool) -> bool:
        """Whether something is so in any of the processes, which have to stop together."""
        if self.accelerator.num_processes == 1:
            return here
        total = self.accelerator.reduce(torch.tensor(float(here), device=self.accelerator.device))
        return bool(total.item() > 0)

    def _stop(self, step: int, finished: bool) -> Result:
        folder = self.run / "model"
        if self.accelerator.is_main_process:
            saved = checkpoint.save(self.run, step, self.model, self.optimizer, self.average)
            with self._averaged():
                made = {"step": step, "device": _device(self.accelerator)}
                folder = weights.save(self.model, folder, made | self._balanced()) if finished else saved
        self.accelerator.wait_for_everyone()
        return Result(folder, step, finished)

    def _steps(self, step: int) -> Generator[tuple[int, dict[str, Any]], None, None]:
        """Train on from `step`; after each step its number (from 1) and what is to be recorded."""
        while step < self.config.steps:
            number, within = locate(self.config, step)
            phase = self.config.phases[number]
            source = source_of(self.config, number)
            prompt_with(self.model, phase.prompts or self.config.prompts)
            loss = _loss(self.config.loss, phase.frames)
            processes, rank = self.accelerator.num_processes, self.accelerator.process_index
            workers = (phase.data or self.config.data).workers
            with Feed(source, phase.batch, workers, rank=rank, ranks=processes, place=self.accelerator.device) as feed:
                batches = feed.batches(within)
                for _ in range(phase.steps - within):
                    began = time.perf_counter()
                    clips = next(batches)
                    waited = time.perf_counter() - began
                    values = self._step(step, clips, loss)
                    seconds = time.perf_counter() - began
                    step += 1
                    yield (
                        step,
                        {
                            **values,
                            "phase": number,
                            "seconds": round(seconds, 4),
                            "wait_share": round(waited / seconds, 4),
                        },
                    )

    def _step(self, step: int, clips: list[Clip], loss_of: MultiStepMultiMasksAndIous) -> dict[str, float]:
        config = self.config
        torch.manual_seed((config.seed * 1_000_003 + step) * 1009 + self.accelerator.process_index)
        self.model.network.rng = np.random.default_rng([config.seed, step])  # the same choices in every process
        for group in self.optimizer.param_groups:
            group["lr"] = rate(config, step)
        self.network.train()
        batch = batch_of(clips).to(self.accelerator.device)  # frames [T, B, 3, S, S], masks [T, O, S, S]
        outputs = self.network(batch)
        losses = loss_of(outputs, batch.masks)
        loss = losses[CORE_LOSS_KEY] / batch.num_frames
        if not torch.isfinite(loss):
            origins = "; ".join(clip.origin for clip in clips)
            raise UserError(f"step {step + 1}: the loss is {float(loss)}; clips (seed {config.seed}): {origins}")
        self.stepper.zero_grad()
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.network.parameters(), config.clip_grad)
        self.stepper.step()
        if self.average:
            self.average.update()
        masks = torch.stack([out["pred_masks_high_res"][:, 0] > 0 for out in outputs])  # [T, O, S, S]
        return {
            "loss": float(loss.detach()),
            "dice": float(dice_of_pictures(masks[0], batch.masks[0]).mean()),
            "lr": rate(config, step),
        }

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Dice on held-out still pictures of the last phase's data, from the central click and from a jittered box."""
        if not self.held_out:
            source = source_of(self.config, len(self.config.phases) - 1, held_out=True)
            with Feed(source, _HELD_OUT) as feed:
                clips = next(feed.batches())
            self.held_out = [batch_of(clips[i : i + 8]).to(self.accelerator.device) for i in range(0, _HELD_OUT, 8)]
        network = self.model.network.eval()
        scores = {}
        with self._averaged():
            for name, boxes in (("held_out_click", 0.0), ("held_out_box", 1.0)):
                network.prob_to_use_box_input_for_eval = boxes
                torch.manual_seed(self.config.seed)
                pairs = [
                    (network(batch)[0]["multistep_pred_masks_high_res"][:, 0] > 0, batch.masks[0])
                    for batch in self.held_out
                ]
                scores[name] = float(torch.cat([dice_of_pictures(*pair) for pair in pairs]).mean())
        return scores

    def _balanced(self) -> dict[str, float]:
        """Balance what is said of an object that is gone; by how much, where that was asked for and can be."""
        config = self.config
        videos = [number for number, phase in enumerate(config.phases) if phase.frames > 1]
        if not (config.balance and videos and config.loss.presence) or "mask_decoder" in config.freeze:
            return {}
        phase = config.phases[videos[-1]]
        data = (phase.data or config.data).model_copy(update={"clips_per_volume": _UNSEEN})
        source = _source(config, phase, data, _HELD_OUT_VIDEOS, phase.frames, phase.objects)
        with Feed(source, config.balance) as feed:
            clips = next(feed.batches())
        prompt_with(self.model, phase.prompts or config.prompts)
        return {"presence_moved": round(balance(self.model, clips, config.seed), 4)}

    def _averaged(self) -> contextlib.AbstractContextManager[None]:
        return self.average.applied() if self.average else contextlib.nullcontext()


def source_of(config: TrainConfig, number: int, held_out: bool = False) -> Source:
    """The source of a phase's clips, or of others of the same kind that it never trains on."""
    phase = config.phases[number]
    data = phase.data or config.data
    if held_out:
        return _source(config, phase, data, _HELD_OUT_STILLS, 1, 1)
    return _source(config, phase, data, number, phase.frames, phase.objects)


def _source(config: TrainConfig, phase: Phase, data: Data, place: int, frames: int, objects: int) -> Source:
    """A source of a phase's kind of clips; `place` tells a run's sources apart."""
    cut = Cut(image_size=config.image_size, frames=frames, objects=objects, crops=phase.crops)
    return make_source(data, config.seed * 1000 + place, cut)


def make_source(data: Data, seed: int, cut: Cut) -> Source:
    """The source that a configuration's `data` describes."""
    if data.dataset is not None:
        # mistakes show here, not in a worker
        return DiskSource(seed, cut, data.clips_per_volume, open_dataset(data.dataset))
    if data.generator is not None:
        return GeneratedSource(seed, cut, data.clips_per_volume, data.generator)
    scenes = tuple(Path(name) for name in data.scenes)
    for scene in scenes:
        load_scene(scene)  # likewise
    return StreamSource(seed, cut, data.clips_per_volume, scenes, data.modalities, data.voxels, data.close_ups)


def _start(config: TrainConfig) -> Model:
    if config.start == "scratch":
        model = build(config.model, config.image_size, config.adapters)
    else:
        model = weights.load(config.start, image_size=config.image_size, size=config.model)
        model = adapted(model) if config.adapters else model
    renew(model, config.fresh)
    freeze(model, config.freeze)
    return model


def _loss(loss: Loss, frames: int) -> MultiStepMultiMasksAndIous:
    """SAM 2's loss of clips of so many frames.

    Still pictures all show their object: a score of its presence would only rise, so far that slice videos take
    thousands of steps to bring it down again.
    """
    presence = loss.presence if frames > 1 else 0.0
    names = {"loss_mask": loss.focal, "loss_dice": loss.dice, "loss_iou": loss.iou, "loss_class": presence}
    return MultiStepMultiMasksAndIous(
        names,
        supervise_all_iou=True,
        iou_use_l1_loss=loss.iou_l1,
        pred_obj_scores=True,
        focal_gamma_obj_score=0.0,
        focal_alpha_obj_score=-1.0,
    )


def claimed(config: TrainConfig) -> dict[str, Any]:
    """What decides a run's result, as in its `CONFIG`."""
    return config.model_dump(mode="json", exclude={"out", "threads", "tensorboard", "checkpoint_every", "eval_every"})


def _claim(run: Path, config: TrainConfig) -> None:
    """Note in the run's folder what it is a run of, or check that it is this one's that is gone on with."""
    file = run / CONFIG
    wanted = claimed(config)
    yaml = YAML(typ="safe")
    if checkpoint.latest(run) and file.exists() and yaml.load(file.read_text(encoding="utf-8")) != wanted:
        raise UserError(f"{run}: holds a run of another configuration ({file}); use another 'out', or delete it")
    text = io.StringIO()
    yaml.dump(wanted, text)
    write_text(file, text.getvalue())


def _device(accelerator: Accelerator) -> str:
    """What trains, in words."""
    one = torch.cuda.get_device_name(accelerator.device) if accelerator.device.type == "cuda" else "CPU"
    threads = "" if accelerator.device.type == "cuda" else f", {torch.get_num_threads()} thread(s)"
    return f"{accelerator.num_processes} x {one}{threads}"


@contextlib.contextmanager
def _interrupts() -> Iterator[Any]:
    """Turn Ctrl-C into a question asked after each step; a second Ctrl-C stops at once."""
    seen: list[int] = []

    def note(number: int, frame: Any) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread: somebody else handles signals
        yield lambda: False
        return
    try:
        yield lambda: bool(seen)
    finally:
        signal.signal(signal.SIGINT, before)
