"""An evaluation's tables in files: scores.json, scores.csv and table.md."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.atomic import write_text
from engine.errors import UserError
from trainer.protocols import PROTOCOLS
from trainer.scores import ALL, FIGURES, LEVELS, TESTED, Comparison, Group, Report, Row, Score

#: The file with everything.
SCORES = "scores.json"
_SAID = {"structure": "set and structure", "dataset": "set", "modality": "modality"}


def markdown(report: Report, levels: Sequence[str] = LEVELS) -> str:
    """The tables of some `LEVELS`; sets whose masks no expert made are apart."""
    lines = ["# Scores", "", *_explained(report.tolerance)]
    for expert in (True, False):
        if any(score.expert == expert for score in report.scores):
            lines += [] if expert else ["", "# Masks that are not an expert's", "", "Kept out of all figures above."]
            lines += _section(report, expert, levels)
    if report.skipped:
        lines += ["", "## Skipped", "", *(f"- {note}" for note in report.skipped)]
    return "\n".join(lines) + "\n"


def write(report: Report, out: Path) -> None:
    """Write scores.json, scores.csv and table.md into a folder."""
    rows = [asdict(score) for score in report.scores]
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    used = dict.fromkeys(score.protocol for score in report.scores)
    content = {
        "protocols": {name: PROTOCOLS[name].says for name in used},
        "tolerance": report.tolerance,
        "table": [row.flat() for row in report.rows],
        "comparisons": [c.flat() for c in report.comparisons],
        "scores": rows,
        "skipped": list(report.skipped),
    }
    write_text(out / SCORES, json.dumps(content, indent=1, allow_nan=False) + "\n")
    write_text(out / "scores.csv", table.getvalue())
    write_text(out / "table.md", markdown(report))


def read(out: Path) -> Report:
    """The report that `write` wrote into a folder.

    Raises:
        UserError: where there is none.
    """
    file = out / SCORES
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        scores = tuple(Score(**row) for row in content["scores"])
        return Report(scores, tuple(content["skipped"]), content["tolerance"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file}: no evaluation's scores ({error}); make them with viscera evaluate") from None


def _section(report: Report, expert: bool, levels: Sequence[str]) -> list[str]:
    rows = [row for row in report.rows if row.group.expert == expert]
    tests: dict[tuple[Group, str, str], dict[str, Comparison]] = {}
    for c in report.comparisons:
        if c.group.expert == expert and c.cases > 1:
            tests.setdefault((c.group, c.protocol, c.against), {})[c.figure] = c
    lines: list[str] = []
    for level in levels:
        if level == "structure" or level == "modality" or len({row.group.structure for row in rows}) > 2:
            shown = [row for row in rows if row.group.level == level]
            lines += ["", f"## By {_SAID[level]}", "", *_table(_MEANS, shown)]
    for level in reversed(levels):
        compared = [pair for (group, *_), pair in tests.items() if group.level == level]
        if compared and level != "structure":
            lines += ["", f"## The model against the others, by {_SAID[level]}", "", *_table(_TESTS, compared)]
    return lines


def _explained(tolerance: float) -> list[str]:
    return [
        "Each structure is prompted on its largest slice; `slice` is measured there, `volume` after the mask was",
        "carried to both ends. Means over structures of all cases; [95 % interval], cases bootstrapped. NSD within",
        f"{tolerance:g}, HD95 in mm, or in pixels (unit px) where the spacing is not known. s is the median time for",
        "a volume. p is of Wilcoxon's signed-rank test over cases, corrected after Holm within each group and figure.",
        "The ellipse knows the structure's true extent along every axis, the copied slice that across slices.",
    ]


def _mean(name: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        mean, ends = row.figures[name]
        digits = 1 if name.endswith("hd95") else 3
        shown = f"{mean:.{digits}f}"
        return shown if ends is None or not name.endswith("dice") else f"{shown} [{ends[0]:.3f}, {ends[1]:.3f}]"

    return cell


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _difference(figure: str) -> Callable[[dict[str, Comparison]], str]:
    def cell(pair: dict[str, Comparison]) -> str:
        return f"{pair[figure].difference:+.3f} (p {_p(pair[figure].corrected)})" if figure in pair else ""

    return cell


def _one(pair: dict[str, Comparison]) -> Comparison:
    return next(iter(pair.values()))


_GROUP: dict[str, Callable[[Any], str]] = {
    "set": lambda row: row.group.dataset,
    "structure": lambda row: row.group.structure,
    "modality": lambda row: row.group.modality,
    "protocol": lambda row: row.protocol,
}
_MEANS: dict[str, Callable[[Any], str]] = {
    **_GROUP,
    "method": lambda row: row.method,
    "cases": lambda row: str(row.cases),
    **{name.replace("_", " "): _mean(name) for name in FIGURES},
    "unit": lambda row: row.unit,
    "s": lambda row: f"{row.seconds:.2f}",
}
#: Of the comparisons with one method by their figure.
_TESTS: dict[str, Callable[[Any], str]] = {
    **{name: lambda pair, cell=cell: cell(_one(pair)) for name, cell in _GROUP.items()},  # type: ignore[misc]
    "against": lambda pair: _one(pair).against,
    "cases": lambda pair: str(_one(pair).cases),
    **{figure.replace("_", " "): _difference(figure) for figure in TESTED},
}


def _table(columns: dict[str, Callable[[Any], str]], items: Sequence[Any]) -> list[str]:
    """A Markdown table, without columns that say the same thing of no importance in every row."""
    cells = {name: [cell(item) for item in items] for name, cell in columns.items()}
    shown = {name: values for name, values in cells.items() if set(values) - {ALL, ""}}
    lines = ["| " + " | ".join(shown) + " |", "|" + " --- |" * len(shown)]
    return lines + ["| " + " | ".join(row) + " |" for row in zip(*shown.values(), strict=True)]
