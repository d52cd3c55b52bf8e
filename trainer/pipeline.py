"""The whole path in one command: generate, train, evaluate before and after, try real scans, report.

Each step leaves a stamp with a digest of everything that decides its result; a step whose stamp still fits is skipped.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from engine.atomic import write_text
from engine.dataset import Request, generate
from engine.errors import UserError
from engine.io import write_image
from engine.scene import Scene
from trainer import config, journal, places, real, report, strict_yaml, weights
from trainer.baselines import seed_of
from trainer.cases import Case, Folder
from trainer.config import Data, TrainConfig
from trainer.evaluate import evaluate
from trainer.loop import train
from trainer.model import Model, build
from trainer.plan import Pipeline
from trainer.protocols import prompt_of
from trainer.results import FOLDER
from trainer.scores import UNTRAINED
from trainer.tables import SCORES

#: As `data.dataset` of a training configuration: the dataset that the pipeline generates.
GENERATED = "generated"
#: Added to the seed for volumes that are never trained on.
_HELD_OUT_SEED = 1_000_000_007


def run(path: str | Path, out: str | Path | None = None) -> Path:
    """Do what is not done yet of the pipeline in the file `path`; returns the report.

    Args:
        out: folder of everything that is written, instead of the file's own.

    Raises:
        UserError: where a file is wrong or `out` holds another pipeline's work.
        KeyboardInterrupt: on Ctrl-C; the same call goes on.
    """
    path = Path(path)
    pipeline = strict_yaml.read(path, Pipeline)
    return _Run(pipeline, path.parent, Path(out or pipeline.out)).go()


@dataclass(frozen=True)
class Done:
    """A finished step.

    Args:
        digest: of everything that decided its result.
        seconds: it took when it was done.
        result: JSON-serialisable.
    """

    digest: str
    seconds: float
    result: Any


class _Run:
    """One call of `run`, its parts at hand."""

    def __init__(self, pipeline: Pipeline, folder: Path, out: Path) -> None:
        self.pipeline, self.folder, self.out = pipeline, folder, out
        self.console = Console(stderr=True)
        scenes = tuple(Scene.load(places.scene(folder, name)) for name in pipeline.generate.scenes)
        self.training = self._request(scenes, "dataset", pipeline.generate.count, 0)
        self.held_out = self._request(scenes, "held-out", pipeline.generate.held_out, _HELD_OUT_SEED)
        self.config = self._train_config()
        self._check_structures()

    def go(self) -> Path:
        """Every step, then the report."""
        made = self._step("generate", {"asked": [self.training.settings, self.held_out.settings]}, self._generate)
        trained = self._step("train", {"config": self.config.model_dump(), "data": made.digest}, self._train)
        threads = torch.get_num_threads()
        torch.set_num_threads(self.config.threads or threads)  # small models are slower on many threads
        scoring = {**self.pipeline.evaluate.model_dump(), "leaves": [SCORES, FOLDER]}
        judged = {"evaluate": scoring, "data": made.digest, "model": trained.digest}
        scores = self._step("evaluate", judged, self._evaluate)
        scans = self._step("scans", {"evaluate": scoring, "model": trained.digest}, self._scans)
        torch.set_num_threads(threads)
        steps = {"generate": made, "train": trained, "evaluate": scores, "scans": scans}
        return report.write(self.out, self._facts(steps), journal.read(self.config.out))

    def _step(self, name: str, inputs: dict[str, Any], work: Callable[[], Any]) -> Done:
        """The stamp's result where it fits `inputs`, else that of `work`."""
        decided = json.dumps([version("viscera"), inputs], sort_keys=True)
        digest = hashlib.blake2b(decided.encode(), digest_size=8).hexdigest()
        stamp = self.out / "steps" / f"{name}.json"
        if stamp.is_file():
            done = Done(**json.loads(stamp.read_text(encoding="utf-8")))
            if done.digest == digest:
                return done
        if self.console.is_terminal:
            self.console.print(f"{name} ...")
        began = time.perf_counter()
        result = work()
        done = Done(digest, round(time.perf_counter() - began, 2), result)
        write_text(stamp, json.dumps(asdict(done), indent=1) + "\n")
        return done

    def _generate(self) -> dict[str, int]:
        asked = {"training": self.training, "held_out": self.held_out}
        for request in asked.values():
            if request.count:
                generate(request)
        return {name: request.count * len(request.scenes) for name, request in asked.items()}

    def _train(self) -> dict[str, Any]:
        done = train(self.config)
        if not done.finished:
            raise KeyboardInterrupt(f"stopped after training step {done.step}; run the same command again to go on")
        return {"model": str(done.model), "steps": done.step}

    def _evaluate(self) -> dict[str, Any]:
        return self._compare(self._held_out_cases, self.out / "evaluate")

    def _scans(self) -> dict[str, Any]:
        cases = self._real_cases()
        if not cases:
            return {}
        structure = next(iter(cases[0].structures))
        z, y, x = seed_of(prompt_of(cases[0].mask(structure), "click"))
        example = {"scan": str(cases[0].file), "structure": structure, "point": [x, y, z]}
        return {**self._compare(lambda: cases, self.out / "scans"), "example": example}

    def _compare(self, cases: Callable[[], Iterable[Case]], out: Path) -> dict[str, Any]:
        """Scores of the untrained and the trained model, the latter beside the baselines, and what was skipped."""
        trained = weights.load(Path(self.config.out) / "model")
        found = evaluate(trained, cases(), self.pipeline.evaluate.protocols, out, untrained=self._untrained())
        return {
            "before": [asdict(score) for score in found.scores if score.method == UNTRAINED],
            "after": [asdict(score) for score in found.scores if score.method != UNTRAINED],
            "skipped": list(found.skipped),
        }

    def _untrained(self) -> Model:
        """The model as training found it."""
        start, size = self.config.start, self.config.image_size
        if start != "scratch":
            return weights.load(start, image_size=size, size=self.config.model)
        torch.manual_seed(self.config.seed)
        return build(self.config.model, size)

    def _held_out_cases(self) -> Iterable[Case]:
        wanted = self.pipeline.evaluate.structures
        for case in Folder(self.held_out.out):
            names = [name for name in wanted or case.structures if case.mask(name).any()]
            yield replace(case, structures={name: case.structures[name] for name in names})

    def _real_cases(self) -> list[Case]:
        asked = self.pipeline.evaluate
        pairs = [
            real.pair(places.beside(self.folder, p.image), places.beside(self.folder, p.labels), p.modality, p.names)
            for p in asked.pairs
        ]
        return [self._written(real.mni152()), *pairs] if asked.mni152 else pairs

    def _written(self, case: Case) -> Case:
        """A case that has no file of its own, in one."""
        file = write_image(self.out / "scans" / f"{case.name}.nii.gz", case.image, case.grid)
        return replace(case, file=file)

    def _request(self, scenes: tuple[Scene, ...], name: str, count: int, seed: int) -> Request:
        asked = self.pipeline.generate
        return Request(
            scenes,
            self.out / name,
            count=count,
            seed=asked.seed + seed,
            modalities=asked.modalities,
            size=asked.size,
            workers=asked.workers,
        )

    def _train_config(self) -> TrainConfig:
        asked = self.pipeline.train
        changes = [f"{key}={json.dumps(value)}" for key, value in asked.set.items()]
        given = config.load(places.config(self.folder, asked.config), changes)
        phases = tuple(p.model_copy(update={"data": p.data and self._filled(p.data)}) for p in given.phases)
        return given.model_copy(
            update={"data": self._filled(given.data), "phases": phases, "out": str(self.out / "train")}
        )

    def _filled(self, data: Data) -> Data:
        if data.dataset != GENERATED:
            return data
        if not self.training.count:
            raise UserError(f"pipeline: training on '{GENERATED}' data needs generate.count of 1 or more")
        return data.model_copy(update={"dataset": str(self.training.out)})

    def _check_structures(self) -> None:
        known = self.held_out.table.colors
        if unknown := [name for name in self.pipeline.evaluate.structures if name not in known]:
            listed = f"'{', '.join(unknown)}'; they have {', '.join(known)}"
            raise UserError(f"pipeline: evaluate.structures: the scenes have no {listed}")

    def _facts(self, steps: dict[str, Done]) -> report.Facts:
        return report.Facts(
            scenes=tuple(scene.name for scene in self.training.scenes),
            seeds={
                "volumes": self.pipeline.generate.seed,
                "held-out volumes": self.pipeline.generate.seed + _HELD_OUT_SEED,
                "training": self.config.seed,
            },
            config=self.config.model_dump(mode="json"),
            seconds={name: done.seconds for name, done in steps.items()},
            volumes=steps["generate"].result,
            model=Path(self.config.out) / "model",
            held_out=steps["evaluate"].result,
            scans=steps["scans"].result,
        )
