"""Evaluation: prompts from true masks, the model beside baselines, on whatever datasets there are.

What is prompted is in `protocols`, what is measured in `metrics`, what is concluded in `scores`. Slices are across z.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from engine.errors import UserError
from engine.random import Stream
from trainer import folders, results, tables
from trainer.baselines import BASELINES
from trainer.cases import Case, Folder
from trainer.findings import Finding, Findings
from trainer.metrics import TOLERANCE, dice, iou, surfaces
from trainer.model import Model, build
from trainer.overlays import Album, Snapshot, snapshot
from trainer.prompts import Prompt
from trainer.protocols import PROTOCOLS, Protocol, correction, prompt_of, protocol_of
from trainer.results import Result, result_of
from trainer.scores import MODEL, RIVAL, UNTRAINED, Report, Score
from trainer.segmenter import Segmenter, Session

_SEED = 0  # of what protocols draw, and of the untrained model


@dataclass(frozen=True)
class Attempt:
    """What one method made of a prompt.

    Args:
        prompt: corrections included.
        on_slice: boolean `[y, x]` of the prompted slice.
        volume: boolean `[z, y, x]`.
        seconds: it took.
    """

    method: str
    prompt: Prompt
    on_slice: np.ndarray
    volume: np.ndarray
    seconds: float


def evaluate(
    model: Model,
    data: str | Path | Iterable[Case],
    protocols: Sequence[str] = ("box", "click"),
    out: str | Path | None = None,
    baselines: bool = True,
    untrained: Model | None = None,
    rival: Model | None = None,
    tolerance: float = TOLERANCE,
    keep_all: bool = False,
) -> Report:
    """Score a model on a dataset, on a folder of datasets or on cases.

    A case that cannot be read is said on standard error and skipped. Ctrl-C writes what was found until then; after it,
    or after a kill, the same call goes on where it stopped.

    Args:
        protocols: names of `PROTOCOLS`.
        out: folder for scores.json, scores.csv, table.md, pictures and results to view; None writes nothing.
        baselines: score what needs no learning and the untrained model as well.
        untrained: the model before training; one of the same size with fresh weights if left out.
        rival: another model to score on the same prompts.
        tolerance: of NSD, in mm (in pixels where millimetres are not known).
        keep_all: keep every result to view instead of the best, the median and the worst of each set and protocol.

    Raises:
        UserError: where a protocol is unknown, or nothing can be scored.
    """
    asked = [protocol_of(name) for name in dict.fromkeys(protocols)]
    if not asked:
        raise UserError(f"protocols: name at least one of {', '.join(PROTOCOLS)}")
    if not tolerance > 0:
        raise UserError(f"tolerance: must be more than 0, got {tolerance:g}")
    models = {MODEL: model} | ({RIVAL: rival} if rival is not None else {})
    if baselines:
        models[UNTRAINED] = untrained or fresh(model)
    identity = [version("viscera"), {name: _digest(each) for name, each in models.items()}, protocols, tolerance]
    findings = Findings(None if out is None else Path(out), json.dumps(identity))
    run = _Run({name: Segmenter(each) for name, each in models.items()}, asked, baselines, tolerance, keep_all)
    try:
        run.go(data, findings)
    except KeyboardInterrupt:
        run.skipped.append("everything after this: stopped by the user")
        if run.scores and out is not None:
            run.write(Path(out))
        raise
    if not run.scores:
        raise UserError("nothing to evaluate: " + ("; ".join(run.skipped[:5]) or "there is no case with a structure"))
    if out is not None:
        run.write(Path(out))
    findings.finish()
    return run.report


def fresh(model: Model) -> Model:
    """A model of the same size and shape that has learnt nothing; always the same one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        made = build(model.spec.size, model.spec.image_size)
    made.network.to(model.network.device)
    return made


def _digest(model: Model) -> str:
    """Of a model's weights."""
    found = hashlib.blake2b(digest_size=8)
    for tensor in model.network.state_dict().values():
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


class _Run:
    """One call of `evaluate`: what is asked for, and what was found so far."""

    def __init__(
        self,
        segmenters: Mapping[str, Segmenter],
        protocols: Sequence[Protocol],
        baselines: bool,
        tolerance: float,
        keep_all: bool,
    ) -> None:
        self.segmenters, self.protocols, self.baselines, self.tolerance = segmenters, protocols, baselines, tolerance
        self.keep_all = keep_all
        self.console = Console(stderr=True)
        self.scores: list[Score] = []
        self.skipped: list[str] = []
        self.album = Album()
        self.results: list[Result] = []

    @property
    def report(self) -> Report:
        """Of what was found so far."""
        return Report(tuple(self.scores), tuple(self.skipped), self.tolerance)

    def write(self, out: Path) -> None:
        """Write tables, pictures and results of what was found so far."""
        tables.write(self.report, out)
        self.album.write(out)
        results.write(out / results.FOLDER, self.results, self.keep_all)

    def go(self, data: str | Path | Iterable[Case], findings: Findings) -> None:
        """Score every structure of every case that has no score yet, with a bar of progress."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as bar:
            task = bar.add_task("reading", total=None)
            for case, total in self._cases(data):
                bar.update(task, total=total)
                for structure in case.structures:
                    bar.update(task, description=f"{case.dataset} {case.name}: {structure}"[:60])
                    with self._skipping(f"{case.name}, {structure}"):
                        key = case.dataset, case.name, structure
                        if key not in findings.known:
                            findings.add(key, self.score(case, structure))
                        self._take(findings.known[key])
                bar.advance(task)

    def _cases(self, data: str | Path | Iterable[Case]) -> Iterator[tuple[Case, int | None]]:
        """Cases that can be read, each with how many there are, where that is known."""
        if not isinstance(data, (str, Path)):
            yield from ((case, None) for case in data)
            return
        places: list[tuple[Folder, int]] = []
        for dataset in folders.find(data):
            with self._skipping(dataset.path.name):
                places += [(dataset, number) for number in range(len(dataset))]
        for dataset, number in places:
            case = None
            with self._skipping(dataset.path.name):
                case = dataset[number]
            if case is not None:
                yield case, len(places)

    @contextmanager
    def _skipping(self, what: str) -> Iterator[None]:
        """Say what fails, and go on."""
        try:
            yield
        except (UserError, OSError, MemoryError) as error:
            self.skipped.append(f"{what}: {str(error) or type(error).__name__}")
            self.console.print(f"skipped: {self.skipped[-1]}", markup=False, highlight=False, soft_wrap=True)

    def score(self, case: Case, structure: str) -> Finding:
        """Try every protocol on one structure."""
        truth = case.mask(structure)
        if not truth.any():
            return Finding((), (f"{case.name}: '{structure}' is empty",), (), ())
        scores: list[Score] = []
        notes: list[str] = []
        snapshots: list[Snapshot] = []
        kept: list[Result | None] = []
        known: dict[object, tuple[Attempt, dict[str, float]]] = {}
        for protocol in self.protocols:
            stream = Stream.of(_SEED, protocol.name, case.dataset, case.name, structure)
            prompt = prompt_of(truth, protocol.name, stream=stream)
            if case.flat and (prompt.mask is not None or protocol.ends):
                notes.append(f"{case.dataset}: of single slices, so '{protocol.name}' leaves nothing to find")
                continue
            for method, segmenter in self.segmenters.items():
                attempt = _asked(segmenter, method, case, truth, protocol, prompt)
                scores.append(_score(case, structure, protocol, attempt, self._figures(case, truth, attempt)))
                if method == MODEL:
                    made = case, truth, attempt.volume, attempt.prompt, scores[-1]
                    snapshots.append(snapshot(*made))
                    kept.append(result_of(*made))
            if self.baselines:
                key = protocol.baseline, prompt.box, prompt.clicks[:1]
                if key not in known:
                    attempt = _without_learning(protocol.baseline, case, truth, prompt)
                    known[key] = attempt, self._figures(case, truth, attempt)
                scores.append(_score(case, structure, protocol, *known[key]))
        return Finding(tuple(scores), tuple(notes), tuple(snapshots), tuple(one for one in kept if one))

    def _take(self, finding: Finding) -> None:
        self.scores += finding.scores
        self.skipped += [note for note in dict.fromkeys(finding.notes) if note not in self.skipped]
        for taken in finding.snapshots:
            self.album.keep(taken)
        self.results += finding.results

    def _figures(self, case: Case, truth: np.ndarray, attempt: Attempt) -> dict[str, float]:
        shown = truth[attempt.prompt.index]
        figures = {f"slice_{k}": v for k, v in self._agreement(attempt.on_slice, shown, case.spacing[1:]).items()}
        whole = self._agreement(attempt.volume, truth, case.spacing) if not case.flat else None
        return figures | {
            f"volume_{k}": whole[k] if whole else figures[f"slice_{k}"] for k in ("dice", "iou", "nsd", "hd95")
        }

    def _agreement(self, found: np.ndarray, truth: np.ndarray, spacing: tuple[float, ...]) -> dict[str, float]:
        nsd, hd95 = surfaces(found, truth, spacing, self.tolerance)
        return {"dice": dice(found, truth), "iou": iou(found, truth), "nsd": nsd, "hd95": hd95}


def _score(case: Case, structure: str, protocol: Protocol, attempt: Attempt, figures: dict[str, float]) -> Score:
    return Score(
        case=case.name,
        modality=case.modality,
        structure=structure,
        protocol=protocol.name,
        method=attempt.method,
        seconds=attempt.seconds,
        dataset=case.dataset,
        expert=case.expert,
        unit=case.unit,
        **{name: round(float(value), 6) for name, value in figures.items()},
    )


def _asked(
    segmenter: Segmenter, method: str, case: Case, truth: np.ndarray, protocol: Protocol, prompt: Prompt
) -> Attempt:
    """A model's attempt: the prompt, corrections while there are errors, then the volume."""
    began = time.perf_counter()
    session = segmenter.open(case.image, case.grid, case.modality, prompt)
    corrected(session, truth[prompt.index], protocol.corrections)
    volume = session.propagate()
    return Attempt(method, session.prompt, session.shown, volume, time.perf_counter() - began)


def corrected(session: Session, truth: np.ndarray, clicks: int) -> None:
    """Correct what is shown `[y, x]` up to `clicks` times, each time where it is most wrong."""
    for _ in range(clicks):
        click = correction(truth, session.shown)
        if click is None:
            return
        session.correct(*click)


def _without_learning(name: str, case: Case, truth: np.ndarray, prompt: Prompt) -> Attempt:
    began = time.perf_counter()
    on_slice, volume = BASELINES[name](case.image, truth, prompt)
    return Attempt(name, prompt, on_slice, volume, time.perf_counter() - began)
