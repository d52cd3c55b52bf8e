"""Scores and what they say: means with intervals by structure, set and modality, tests against baselines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

from trainer.baselines import BASELINES, COPY
from trainer.metrics import TOLERANCE
from trainer.protocols import PROTOCOLS
from trainer.statistics import by_case, holm, interval, signed_rank

MODEL, RIVAL, UNTRAINED = "model", "baseline model", "untrained model"
#: Of a score, what is averaged: on the prompted slice and in the volume.
FIGURES = tuple(f"{where}_{what}" for where in ("slice", "volume") for what in ("dice", "iou", "nsd", "hd95"))
#: Figures that the model is tested on.
TESTED = ("slice_dice", "volume_dice")
#: What scores are gathered by, the finest first.
LEVELS = ("structure", "dataset", "modality")
#: A group's name for what it does not tell apart.
ALL = "all"

_METHODS = (MODEL, RIVAL, UNTRAINED, *BASELINES)


@dataclass(frozen=True)
class Score:
    """How well one method found one structure of one case.

    Args:
        expert: whether the truth counts for headline figures.
        unit: of `slice_hd95` and `volume_hd95`, and of NSD's tolerance: `mm` or `px`.
        slice_dice: and the other `slice_` figures: on the prompted slice.
        volume_dice: and the other `volume_` figures: of the mask carried through the whole volume.
        seconds: from the image to the volume's mask.
    """

    case: str
    modality: str
    structure: str
    protocol: str
    method: str
    slice_dice: float
    slice_iou: float
    slice_nsd: float
    slice_hd95: float
    volume_dice: float
    volume_iou: float
    volume_nsd: float
    volume_hd95: float
    seconds: float
    dataset: str = ""
    expert: bool = True
    unit: str = "mm"


@dataclass(frozen=True)
class Group:
    """What scores are gathered under; `all` where it does not matter."""

    level: str
    expert: bool
    modality: str
    dataset: str
    structure: str

    @classmethod
    def of(cls, score: Score, level: str) -> Group:
        """The group of a score at one of the `LEVELS`."""
        dataset = ALL if level == "modality" else score.dataset
        return cls(level, score.expert, score.modality, dataset, score.structure if level == "structure" else ALL)


@dataclass(frozen=True)
class Row:
    """One method's means over a group.

    Args:
        unit: of HD95 and of NSD's tolerance. Where some scores of the group are in mm and some in pixels, these means
            are of those in mm.
        figures: mean and 95 % interval (None where there is one case) by figure.
        seconds: the median.
    """

    group: Group
    protocol: str
    method: str
    cases: int
    unit: str
    figures: dict[str, tuple[float, tuple[float, float] | None]]
    seconds: float

    def flat(self) -> dict[str, Any]:
        """As one level of JSON: `slice_dice`, `slice_dice_low`, `slice_dice_high` and so on."""
        out: dict[str, Any] = {**asdict(self.group), "protocol": self.protocol, "method": self.method}
        out |= {"cases": self.cases, "unit": self.unit, "seconds": round(self.seconds, 3)}
        for name, (mean, ends) in self.figures.items():
            low, high = ends or (None, None)
            values = {name: mean, f"{name}_low": low, f"{name}_high": high}
            out |= {key: None if value is None else round(value, 4) for key, value in values.items()}
        return out


@dataclass(frozen=True)
class Comparison:
    """The model against one method, over the same cases of a group.

    Args:
        difference: mean over cases of the model's figure less the other's, a case's structures averaged before.
        p: of the signed-rank test.
        corrected: after Holm, for all comparisons of the group by this figure.
    """

    group: Group
    protocol: str
    against: str
    figure: str
    cases: int
    difference: float
    p: float
    corrected: float

    def flat(self) -> dict[str, Any]:
        """As one level of JSON."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "group"}
        return {**asdict(self.group), **own}


@dataclass(frozen=True)
class Report:
    """Everything an evaluation found.

    Args:
        scores: one for each case, structure, protocol and method.
        skipped: what could not be scored, and why.
        tolerance: of NSD.
    """

    scores: tuple[Score, ...]
    skipped: tuple[str, ...] = ()
    tolerance: float = field(default=TOLERANCE)

    @cached_property
    def rows(self) -> list[Row]:
        """Means by structure, then by set, then by modality; within a group by protocol and method."""
        return [
            _row(group, protocol, method, scores)
            for group, members in self._groups
            for (protocol, method), scores in _attempts(members).items()
        ]

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """Of the model with every other method, in the same order."""
        return [c for group, members in self._groups for figure in TESTED for c in _compared(group, members, figure)]

    @cached_property
    def _groups(self) -> list[tuple[Group, list[Score]]]:
        groups: dict[Group, list[Score]] = {}
        for level in LEVELS:
            for score in self.scores:
                groups.setdefault(Group.of(score, level), []).append(score)
        return list(groups.items())


def _row(group: Group, protocol: str, method: str, scores: list[Score]) -> Row:
    unit = "mm" if any(score.unit == "mm" for score in scores) else "px"
    figures = {}
    for name in FIGURES:
        overlaps = name.endswith(("dice", "iou"))
        counted = [score for score in scores if overlaps or score.unit == unit]
        values = [getattr(score, name) for score in counted]
        figures[name] = float(np.mean(values)), interval(values, [_case(score) for score in counted])
    cases = len({_case(score) for score in scores})
    return Row(group, protocol, method, cases, unit, figures, float(np.median([score.seconds for score in scores])))


def _compared(group: Group, scores: list[Score], figure: str) -> list[Comparison]:
    """The model with every other method that was given the same prompts."""
    found: list[tuple[str, str, list[float]]] = []
    for (protocol, method), others in _attempts(scores).items():
        if figure.startswith("slice") and PROTOCOLS[protocol].baseline == COPY:
            continue  # the slice's mask is what is shown
        own = {_subject(s): getattr(s, figure) for s in scores if (s.protocol, s.method) == (protocol, MODEL)}
        pairs = [s for s in others if _subject(s) in own]
        if method != MODEL and pairs:
            differences = [own[_subject(s)] - getattr(s, figure) for s in pairs]
            found.append((protocol, method, by_case(differences, [_case(s) for s in pairs])))
    ps = [signed_rank(differences) for *_, differences in found]
    return [
        Comparison(group, protocol, method, figure, len(differences), float(np.mean(differences)), p, corrected)
        for (protocol, method, differences), p, corrected in zip(found, ps, holm(ps), strict=True)
    ]


def _case(score: Score) -> tuple[str, str]:
    return score.dataset, score.case


def _subject(score: Score) -> tuple[str, str, str]:
    return score.dataset, score.case, score.structure


def _rank(key: tuple[str, str]) -> tuple[int, int]:
    protocol, method = key
    return list(PROTOCOLS).index(protocol), _METHODS.index(method)


def _attempts(scores: Iterable[Score]) -> dict[tuple[str, str], list[Score]]:
    """Scores by protocol and method, in the order of the tables of these."""
    groups: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        groups.setdefault((score.protocol, score.method), []).append(score)
    return {key: groups[key] for key in sorted(groups, key=_rank)}
