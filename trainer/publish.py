"""Making a trained model ready to be shipped: half precision, and a card that says where it comes from.

    python -m trainer.publish RECIPE RUN SCORES OUT

RECIPE is the run's configuration file, RUN its folder, SCORES the folder of an evaluation of its model, OUT the folder
to write, e.g. trainer/models/nano.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from engine.atomic import write_text
from engine.errors import UserError
from trainer import config, journal, tables, weights
from trainer.config import Data, TrainConfig
from trainer.loop import CONFIG, claimed
from trainer.scores import Report

CARD = "README.md"


def publish(recipe: Path, run: Path, scores: Path, out: Path) -> Path:
    """Write a run's model in half precision into `out`, with its card; returns the card.

    Raises:
        UserError: where the run is not finished, or is not of the recipe.
    """
    wanted = config.load(recipe)
    _check(recipe, wanted, run)
    report = tables.read(scores)
    model = weights.load(run / "model")
    made = json.loads((run / "model" / weights.CONFIG).read_text(encoding="utf-8"))
    records = [r for r in journal.read(run) if "loss" in r]
    model.network.half()
    weights.save(model, out, {key: made[key] for key in ("step", "device") if key in made})
    facts = {
        "parameters": model.count(),
        "bytes": (out / weights.WEIGHTS).stat().st_size,
        "hours": sum(r["seconds"] for r in records) / 3600,
        "device": made.get("device", "not recorded"),
    }
    return write_text(out / CARD, "\n".join(_card(out.name, recipe, wanted, facts, report)) + "\n")


def _check(recipe: Path, wanted: TrainConfig, run: Path) -> None:
    if not (run / "model").is_dir():
        raise UserError(f"{run}: has no model yet; let the training finish")
    found = YAML(typ="safe").load((run / CONFIG).read_text(encoding="utf-8"))
    if _placeless(found) != _placeless(claimed(wanted)):
        raise UserError(f"{run}: is not a run of {recipe} (see {run / CONFIG})")


def _placeless(values: Any) -> Any:
    """A configuration with the names of files in place of their paths."""
    if isinstance(values, dict):
        return {key: _placeless(value) for key, value in values.items()}
    if isinstance(values, list):
        return [_placeless(value) for value in values]
    return Path(values).name if isinstance(values, str) else values


def _card(name: str, recipe: Path, wanted: TrainConfig, facts: dict[str, Any], report: Report) -> list[str]:
    shown = sum(phase.steps * phase.batch * phase.frames for phase in wanted.phases)
    phases = [
        f"{p.steps} steps of {p.batch} {f'clips of {p.frames} slices' if p.frames > 1 else 'still pictures'}"
        + (f", {p.prompts.corrections} correction clicks" if p.prompts and p.prompts.corrections else "")
        for p in wanted.phases
    ]
    return [
        f"# {name}",
        "",
        "A promptable segmenter of CT, MR and ultrasound, trained on synthetic volumes alone: it has never seen a",
        "patient. Shown an object by a click, a box or a mask on one slice, it outlines it there and follows it",
        "through the volume. It comes with Viscera: `viscera segment scan.nii.gz --point X,Y,Z --out mask.nii.gz`.",
        "",
        "For research. It is no medical device; look at what it outlines.",
        "",
        "| | |",
        "| --- | --- |",
        f"| architecture | SAM 2.1, {wanted.model}: {facts['parameters'] / 1e6:.1f} M parameters,"
        f" pictures of {wanted.image_size} x {wanted.image_size} pixels |",
        f"| file | safetensors, half precision, {facts['bytes'] / 1e6:.1f} MB |",
        f"| training data | {_data(wanted.data)} |",
        f"| seed | {wanted.seed} |",
        f"| training | {'; then '.join(phases)}: {shown} pictures |",
        f"| time and device | {facts['hours']:.1f} h on {facts['device']}, data included |",
        f"| command | `viscera train {recipe.as_posix()}` |",
        "| licence | Apache 2.0 |",
        "",
        *_lowered(tables.markdown(report, ("dataset", "modality")).splitlines()),
    ]


def _data(data: Data) -> str:
    if data.generator:
        return f"images of the generator {data.generator}"
    scenes = ", ".join(dict.fromkeys(Path(name).stem for name in data.scenes))
    return f"drawn anew from the scenes {scenes}, as {', '.join(data.modalities)}"


def _lowered(lines: Sequence[str]) -> list[str]:
    """Headings a level down."""
    return [f"#{line}" if line.startswith("#") else line for line in lines]


def main(arguments: Sequence[str]) -> int:
    """The command line; returns its exit code."""
    if len(arguments) != 4:
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    try:
        print(publish(*map(Path, arguments)))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
