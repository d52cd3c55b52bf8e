"""The report of a pipeline: Markdown, pictures beside it, and the same figures as JSON."""

from __future__ import annotations

import itertools
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from engine.atomic import replacing, write_text
from trainer.scores import MODEL

REPORT, RESULTS, CURVE = "report.md", "results.json", "training.png"
_PACKAGES = "viscera torch taichi sam2 numpy simpleitk".split()
_SMOOTH = 20  # steps that the drawn curves are averaged over
_BLUE, _ORANGE, _GREEN = "#0072b2", "#d55e00", "#009e73"


@dataclass(frozen=True)
class Facts:
    """Everything that a pipeline found.

    Args:
        scenes: names.
        seeds: by what they decide.
        config: the training configuration.
        seconds: by step.
        volumes: generated, by use.
        model: folder of the trained model.
        held_out, scans: `before` and `after` (lists of scores, as dictionaries) and `skipped`; `scans` has an `example`
            of a click too, or is empty where no scan was tried.
    """

    scenes: tuple[str, ...]
    seeds: dict[str, int]
    config: dict[str, Any]
    seconds: dict[str, float]
    volumes: dict[str, int]
    model: Path
    held_out: dict[str, Any]
    scans: dict[str, Any]


def write(out: Path, facts: Facts, records: Sequence[dict[str, Any]]) -> Path:
    """Write report.md, results.json and the training curve into `out`; returns the report.

    Args:
        records: of the training's journal.
    """
    steps = [r for r in records if "loss" in r]
    trained = sum(r["seconds"] for r in steps)
    seconds = {**facts.seconds, "train": round(trained, 1)}  # a resumed training counts whole
    draw_curve(out / CURVE, records)
    results = {
        "versions": versions(),
        "machine": machine(),
        "seeds": facts.seeds,
        "seconds": seconds,
        "volumes": facts.volumes,
        "training": {"config": facts.config, **_training(steps)},
        "held_out": {"table": compare(facts.held_out), **facts.held_out},
        "scans": {"table": compare(facts.scans), **facts.scans} if facts.scans else {},
    }
    write_text(out / RESULTS, json.dumps(results, indent=1) + "\n")
    return write_text(out / REPORT, "\n".join(_markdown(out, facts, results)) + "\n")


def compare(scores: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows by structure, modality and protocol, each with the mean `[slice Dice, volume Dice]` of every method."""
    groups: dict[tuple[str, str, str], dict[str, list[Any]]] = {}
    runs = [("untrained", s) for s in scores.get("before", [])]
    runs += [("trained" if s["method"] == MODEL else s["method"], s) for s in scores.get("after", [])]
    for method, s in runs:
        methods = groups.setdefault((s["structure"], s["modality"], s["protocol"]), {})
        methods.setdefault(method, []).append((s["slice_dice"], s["volume_dice"]))
    return [
        {
            "structure": structure,
            "modality": modality,
            "protocol": protocol,
            "cases": len(methods["trained"]),
            "dice": {method: np.mean(pairs, axis=0).round(4).tolist() for method, pairs in methods.items()},
        }
        for (structure, modality, protocol), methods in sorted(groups.items())
    ]


def draw_curve(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """Loss, Dice on training clips and, where it was measured, on held-out ones, over steps."""
    steps = [r for r in records if "loss" in r]
    figure = Figure(figsize=(7.5, 3.2), layout="constrained")
    for axes, key, color in zip(figure.subplots(1, 2), ("loss", "dice"), (_BLUE, _ORANGE), strict=True):
        values = np.array([r[key] for r in steps])
        numbers = np.array([r["step"] for r in steps])
        axes.plot(numbers, values, color=color, alpha=0.2, linewidth=0.7)
        width = min(_SMOOTH, len(values))
        if width:
            smooth = np.convolve(values, np.full(width, 1 / width), "valid")
            axes.plot(numbers[width - 1 :], smooth, color=color, linewidth=1.6, label="training clips")
        for first, second in itertools.pairwise(steps):
            if first["phase"] != second["phase"]:
                axes.axvline(second["step"], color="0.7", linewidth=0.8, linestyle=":")
        axes.set(xlabel="step", ylabel={"loss": "loss", "dice": "Dice"}[key])
        axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylim(0, 1)
    for key, color in (("held_out_click", _GREEN), ("held_out_box", _BLUE)):
        held = [(r["step"], r[key]) for r in records if key in r]
        if held:
            axes.plot(*zip(*held, strict=True), "o-", color=color, markersize=3, label=key.replace("_", " "))
    axes.legend(frameon=False, fontsize=8)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=130)


def versions() -> dict[str, str]:
    """Of what decides the results."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def machine() -> dict[str, Any]:
    """Where the times were measured."""
    return {"system": platform.platform(), "processor": platform.machine(), "cpus": os.cpu_count()}


def _training(steps: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if not steps:
        return {"steps": 0}
    last = steps[-_SMOOTH:]
    return {
        "steps": steps[-1]["step"],
        "seconds_per_step": round(float(np.mean([r["seconds"] for r in steps])), 4),
        "wait_share": round(sum(r["wait_share"] * r["seconds"] for r in steps) / sum(r["seconds"] for r in steps), 4),
        "last_loss": round(float(np.mean([r["loss"] for r in last])), 4),
        "last_dice": round(float(np.mean([r["dice"] for r in last])), 4),
    }


def _markdown(out: Path, facts: Facts, results: dict[str, Any]) -> list[str]:
    training, config = results["training"], facts.config
    volumes = f"{facts.volumes['training']} volumes written for training, {facts.volumes['held_out']} held out"
    lines = [
        "# Report",
        "",
        f"Scenes: {', '.join(facts.scenes)}; {volumes}. Model: {config['model']} at {config['image_size']} px, started "
        f"from {config['start']}, {training['steps']} steps. No real scan was trained on.",
        "",
        "## Training",
        "",
        f"![loss and Dice over steps]({CURVE})",
        "",
        f"{training['steps']} steps of {training.get('seconds_per_step', 0):.2f} s on average, "
        f"{training.get('wait_share', 0):.0%} of it waiting for data; over the last {_SMOOTH} steps loss "
        f"{training.get('last_loss', 0):.3f}, Dice on training clips {training.get('last_dice', 0):.3f}.",
        "",
        "## Held-out volumes, before and after",
        "",
        *_section(out, "evaluate", results["held_out"]),
    ]
    if results["scans"]:
        lines += ["## Real scans", "", *_section(out, "scans", results["scans"]), *_try_it(out, facts)]
    return [*lines, *_provenance(facts, results)]


def _section(out: Path, folder: str, scores: dict[str, Any]) -> list[str]:
    """A table of scores, with its legend, pictures and what was skipped."""
    table = scores["table"]
    methods = list(dict.fromkeys(method for row in table for method in row["dice"]))
    keys = ("structure", "modality", "protocol", "cases")
    lines = [
        "Dice on the prompted slice / in the whole volume. Each structure is prompted once, on its largest slice; the "
        "baselines need no learning (the ellipse knows the structure's true extent along every axis; region growing is "
        "SimpleITK's ConfidenceConnected from the click). Pictures: best, median and worst by the volume's Dice.",
        "",
        f"| {' | '.join((*keys, *methods))} |",
        "|" + " --- |" * (len(keys) + len(methods)),
    ]
    for row in table:
        cells = [str(row[key]) for key in keys] + [_cell(row["dice"].get(method)) for method in methods]
        lines.append(f"| {' | '.join(cells)} |")
    if (out / folder / "overlays.png").is_file():
        lines += [
            "",
            f"![truth in orange, model in blue]({folder}/overlays.png)",
            "",
            f"Truth in orange, model in blue. Leaf through them in 3-D: `viscera view {out}`.",
        ]
    if scores["skipped"]:
        lines += ["", f"Not scored: {'; '.join(scores['skipped'])}."]
    return [*lines, ""]


def _cell(pair: list[float] | None) -> str:
    return "" if pair is None else f"{pair[0]:.3f} / {pair[1]:.3f}"


def _try_it(out: Path, facts: Facts) -> list[str]:
    example = facts.scans["example"]
    point = ",".join(map(str, example["point"]))
    return [
        f"The {example['structure']} again, from a click on a voxel:",
        "",
        f"    viscera segment {facts.model} {example['scan']} --point {point} --out mask.nii.gz",
        "",
    ]


def _provenance(facts: Facts, results: dict[str, Any]) -> list[str]:
    place = results["machine"]
    return [
        "## Where it came from",
        "",
        "| what | value |",
        "| --- | --- |",
        *(f"| seed of {what} | {seed} |" for what, seed in facts.seeds.items()),
        *(f"| {step}: wall time | {seconds:.1f} s |" for step, seconds in results["seconds"].items()),
        *(f"| {name} | {number} |" for name, number in results["versions"].items()),
        f"| machine | {place['system']}, {place['cpus']} CPUs |",
        "",
        f"All figures are in [{RESULTS}]({RESULTS}).",
    ]
