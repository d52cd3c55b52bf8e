"""The `viscera` command: the one front door to the engine, the trainer and the viewer.

Exit codes: 0 done, 2 the user's input is wrong (said plainly), 130 stopped by the user, 1 anything else.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from engine.atomic import write_text
from engine.errors import UserError
from engine.numbers import numbers_of

SCENES = Path(__file__).parent / "scenes"
_BENCHMARKS = ("voxelize", "render", "generate", "train", "view")
TEMPLATES = SCENES / "templates"


def scene_path(name: str) -> Path:
    """The scene file called `name`: a path, or a scene of the gallery by its bare name."""
    path = Path(name)
    if path.exists() or path.suffix:
        return path
    gallery = SCENES / f"{name}.yaml"
    if gallery.is_file():
        return gallery
    known = ", ".join(sorted(p.stem for p in SCENES.glob("*.yaml")))
    raise UserError(f"scene '{name}': no such file, and the gallery has no such scene; it has: {known}")


def _words(_context: Any, _option: Any, text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _numbers(_context: Any, option: Any, text: str | None) -> tuple[float, ...] | None:
    return None if text is None else numbers_of(option.name, text, option.metavar)


_DEVICE = click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="where kernels run")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="viscera", prog_name="viscera")
def cli() -> None:
    """Anatomy written as a scene, imaged as a scanner would, to train promptable segmentation."""


@cli.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--template",
    type=click.Choice(sorted(file.stem for file in TEMPLATES.glob("*.yaml"))),
    default="lesion",
    show_default=True,
    help="what to start from",
)
def new(path: Path, template: str) -> None:
    """Start a scene at PATH from a template, with the editor's schema line."""
    if path.exists():
        raise UserError(f"{path}: exists already; choose another name")
    if path.suffix not in (".yaml", ".yml"):
        raise UserError(f"{path}: a scene's file name ends in .yaml")
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", path.stem).lstrip("_-") or template
    text = (TEMPLATES / f"{template}.yaml").read_text(encoding="utf-8")
    beside = path.with_name("viscera.schema.json")
    write_text(beside, json.dumps(_schema()))
    write_text(path, text.replace(f"name: {template}\n", f"name: {name}\n", 1))
    click.echo(f"{path} written, and {beside}, by which editors complete and check it")
    file, picture = shlex.quote(str(path)), shlex.quote(str(path.with_suffix(".png")))
    click.echo(f"look at it with: viscera view {file} (without a window: --screenshot {picture})")


def _schema() -> dict[str, Any]:
    from engine.scene.schema import schema

    return schema()


@cli.command()
@click.argument("scenes", nargs=-1, required=True)
def validate(scenes: tuple[str, ...]) -> None:
    """Check scene files: 0 = valid, 2 = errors, located. Says where scattered copies find no place."""
    from engine.scene import Scene
    from engine.scene.sample import draw

    wrong = 0
    for name in scenes:
        try:
            scene = Scene.load(scene_path(name))
            unplaced = draw(scene, scene.seed).unplaced if _scatters(scene) else ()
        except UserError as error:
            click.echo(error, err=True)
            wrong += 1
        else:
            click.echo(f"{name}: valid; {len(scene.structures)} structures, {len(scene.labels())} labels")
            for one in unplaced:
                click.echo(f"warning: {name}: {one}", err=True)
    if wrong:
        sys.exit(2)


def _scatters(scene: Any) -> bool:
    """Whether a scene places copies at random; only drawing it shows whether there is room for them."""
    from engine.scene.labels import variants

    return any(variant.scatter is not None for body in scene.structures.values() for variant in variants(body))


@cli.command()
def schema() -> None:
    """Print the scene language's JSON Schema."""
    click.echo(json.dumps(_schema(), indent=1))


@cli.command()
@click.argument("word", required=False)
@click.option("--picture", type=click.Path(path_type=Path), help="PNG of what a shape, deformer or other node does")
def explain(word: str | None, picture: Path | None) -> None:
    """Say what a WORD of the scene language means; without one, list them all."""
    from viewer import explain as reference

    if word is None:
        if picture is not None:
            raise UserError("--picture: of which word? Name one, as in: viscera explain blob --picture blob.png")
        for kind, names in reference.words().items():
            click.echo(f"{kind}\n  {', '.join(names)}")
        return
    click.echo(reference.explain(word))
    if picture is not None:
        from engine.picture import write_png
        from viewer.system import require_offscreen

        require_offscreen()
        click.echo(f"\n{write_png(picture, reference.picture(word))} written")


@cli.command()
def protocols() -> None:
    """List the protocols that scenes and `generate --protocol` know by name."""
    from engine.render.preset import PRESETS, preset

    for name in PRESETS:
        click.echo(f"{name:26s} {preset(name).description}")


@cli.command()
@click.argument("scenes", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="folder of the dataset")
@click.option("--count", type=click.IntRange(min=1), default=1, show_default=True, help="volumes of each scene")
@click.option("--seed", type=int, help="of all draws; each scene's own by default")
@click.option("--size", type=click.IntRange(min=8), help="voxels along the longest axis; the field of view stays")
@click.option("--spacing", type=float, help="mm between voxels")
@click.option("--modalities", callback=_words, default="ct,mr,us", show_default=True)
@click.option("--protocol", "protocols", multiple=True, help="in place of the scenes' own; see viscera protocols")
@click.option("--format", "layout", type=click.Choice(["nnunet", "sam2"]), default="nnunet", show_default=True)
@click.option("--truth", callback=_words, default="", help="also write: coverage,organs,distance,normals,noiseless")
@click.option("--phases", type=click.IntRange(min=2), help="phases of the scene's motion, written as 4-D files")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="processes")
@_DEVICE
def generate(scenes: tuple[str, ...], phases: int | None, protocols: tuple[str, ...], **options: Any) -> None:
    """Write a dataset of labelled volumes. A second run with the same arguments goes on where the first stopped."""
    from engine.dataset import Request
    from engine.dataset import generate as write
    from engine.scene import Scene

    loaded = tuple(Scene.load(scene_path(name)).using(protocols) for name in scenes)
    done = write(Request(loaded, phases=phases or 0, **options))
    kept = f", {len(done.kept)} were there already" if done.kept else ""
    click.echo(f"{done.out}: {len(done.made)} volumes written{kept}")
    for scene, unplaced in done.unplaced.items():
        for one in unplaced:
            click.echo(f"warning: {scene}: {one}", err=True)


@cli.command()
@click.argument("target")
@click.option("--screenshot", type=click.Path(path_type=Path), help="write a PNG instead of opening a window")
@click.option("--html", type=click.Path(path_type=Path), help="write a page with everything in it, for any browser")
@click.option(
    "--web",
    is_flag=False,
    flag_value="127.0.0.1:8080",
    metavar="[HOST:]PORT",
    help="serve a page instead of opening a window; at 127.0.0.1:8080 by default",
)
@click.option("--cine", type=click.Path(path_type=Path), help="write a film through the slices, GIF or MP4")
@click.option(
    "--plane",
    type=click.Choice(["axial", "coronal", "sagittal"]),
    default="axial",
    show_default=True,
    help="that the film pages through",
)
@click.option("--labels", type=click.Path(path_type=Path), help="label map of an image file")
@click.option("--modality", help="the image to show; all there are by default")
@click.option("--seed", type=int, help="of a scene's draw; the scene's own by default")
@click.option("--point", "point_mm", callback=_numbers, metavar="X,Y,Z", help="where the planes cross, mm LPS+")
@click.option("--size", type=click.IntRange(min=8), help="voxels along the longest axis of a scene's volume")
@_DEVICE
def view(target: str, **options: Any) -> None:
    """Show a SCENE, a VOLUME or RESULTS: linked slices with labels, and the organs in 3-D.

    A scene is drawn anew whenever its file changes. RESULTS are what evaluate, run or segment wrote.
    Press h in the window for its keys.
    """
    from viewer import view as show

    path = Path(target)
    if path.suffix in (".yaml", ".yml") or not path.exists():
        path = scene_path(target)
    show(path, **options)


@cli.command()
@click.argument("target")
@click.option("--meshes", "folder", type=click.Path(path_type=Path), required=True, help="folder to write to")
@click.option("--format", "form", type=click.Choice(["glb", "stl", "ply"]), default="glb", show_default=True)
@click.option("--structures", callback=_words, default="", help="names of those to write; all by default")
@click.option("--seed", type=int, help="of a scene's draw; the scene's own by default")
@click.option("--size", type=click.IntRange(min=8), help="voxels along the longest axis of a scene's volume")
@_DEVICE
def export(
    target: str, folder: Path, form: str, structures: tuple[str, ...], seed: int | None, size: int | None, device: str
) -> None:
    """Write the organs of a SCENE, a dataset's case or a label map as closed surfaces, LPS+ mm.

    GLB is one file with a named, coloured node for each structure; STL and PLY are a file for each. Every structure
    holds what lies in it. The shape `mesh` reads the files back.
    """
    from engine.device import start
    from viewer.export import export_meshes
    from viewer.opening import open_anatomy

    start(device)
    path = Path(target)
    if path.suffix in (".yaml", ".yml") or not path.exists():
        path = scene_path(target)
    done = export_meshes(open_anatomy(path, size, seed), folder, form, structures)
    for name, file in done.files.items():
        click.echo(f"{file}: {name}, {done.volumes_ml[name]:.4g} mL")
    for name, why in done.skipped.items():
        click.echo(f"{name}: skipped, {why}", err=True)


@cli.command()
@click.argument("scenes", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="PNG to write")
@click.option("--seed", type=int, help="of the draws; each scene's own by default")
@click.option("--size", type=click.IntRange(min=8), help="voxels along the longest axis")
@click.option("--plane", type=click.Choice(["axial", "coronal", "sagittal"]), default="axial", show_default=True)
@_DEVICE
def gallery(scenes: tuple[str, ...], out: Path, device: str, **options: Any) -> None:
    """Draw SCENES (the whole gallery by default) in every modality, with labels and organs, on one sheet."""
    from engine.device import start
    from engine.scene import Scene
    from viewer.gallery import gallery as write

    start(device)
    names = scenes or sorted(path.stem for path in SCENES.glob("*.yaml"))
    click.echo(write([Scene.load(scene_path(name)) for name in names], out, **options))


@cli.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="change one value of the configuration")
def train(config: Path, overrides: tuple[str, ...]) -> None:
    """Train a model as CONFIG says; a second run resumes where the first stopped."""
    from trainer.config import load
    from trainer.loop import train as run

    done = run(load(config, overrides))
    if not done.finished:
        raise KeyboardInterrupt(f"stopped after step {done.step}; run the same command again to go on")
    click.echo(f"model: {done.model} (step {done.step})")


def _list_protocols(context: click.Context, _option: Any, asked: bool) -> None:
    if not asked or context.resilient_parsing:
        return
    from trainer.protocols import PROTOCOLS

    click.echo("\n".join(f"{name:18}{p.says}; beside it: {p.baseline}" for name, p in PROTOCOLS.items()))
    context.exit()


@cli.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--protocol",
    "names",
    callback=_words,
    default="box,click",
    show_default=True,
    help="names from --protocols, or all",
)
@click.option(
    "--protocols", is_flag=True, is_eager=True, expose_value=False, callback=_list_protocols, help="list them"
)
@click.option("--baseline", type=click.Path(path_type=Path), help="another model (SAM 2), scored on the same prompts")
@click.option("--keep-all", is_flag=True, help="every result to view, not best, median and worst alone")
@click.option("--tolerance", type=float, default=2.0, show_default=True, help="of NSD, in mm or pixels")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="where models run")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="folder for tables and pictures")
def evaluate(
    model: Path, data: Path, names: tuple[str, ...], baseline: Path | None, device: str, out: Path, **options: Any
) -> None:
    """Score MODEL on DATA.

    DATA is a dataset as generate writes it, a set of scans (images/, labels/, dataset.json), or a folder of these.
    """
    import torch

    from trainer import weights
    from trainer.evaluate import evaluate as run
    from trainer.protocols import PROTOCOLS
    from trainer.tables import markdown

    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: this machine has none; use cpu")
    place = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    models = [weights.load(path) for path in (model, baseline) if path is not None]
    for one in models:
        one.network.to(place)
    rival = models[1] if baseline else None
    found = run(models[0], data, tuple(PROTOCOLS) if names == ("all",) else names, out, rival=rival, **options)
    click.echo(markdown(found, ("modality",)))
    click.echo(f"{out}: all tables and pictures; look at the results with: viscera view {out}")


@cli.command()
@click.argument("files", nargs=-1, required=True, metavar="[MODEL] IMAGE", type=click.Path(path_type=Path))
@click.option("--point", "points", multiple=True, metavar="[NAME=]X,Y,Z", help="on an object, voxel indices from 0")
@click.option("--not", "outside", multiple=True, metavar="[NAME=]X,Y,Z", help="off it")
@click.option("--box", "boxes", multiple=True, metavar="[NAME=]X,Y,Z,X,Y,Z", help="two opposite corners around it")
@click.option("--mask", "masks", multiple=True, metavar="[NAME=]FILE", help="it on one slice, as a label file")
@click.option("--slices", multiple=True, metavar="[NAME=]FIRST,LAST", help="its first and last slice, from 0")
@click.option("--world", is_flag=True, help="positions are mm on LPS+ axes instead of voxel indices")
@click.option(
    "--axis", type=click.Choice(["x", "y", "z"]), default="z", show_default=True, help="slices are cut across it"
)
@click.option("--modality", type=click.Choice(["ct", "mr", "us"]), help="guessed from the grey values by default")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="label map to write")
@click.option("--picture", type=click.Path(path_type=Path), help="PNG of what was found")
def segment(
    files: tuple[Path, ...],
    out: Path,
    points: tuple[str, ...],
    outside: tuple[str, ...],
    boxes: tuple[str, ...],
    masks: tuple[str, ...],
    slices: tuple[str, ...],
    **options: Any,
) -> None:
    """Segment structures of a scan (NIfTI, NRRD, MHA, DICOM folder, PNG).

    Show each by points, a box or a mask; options without a NAME are of one object. Points on other slices than the
    first correct it there. Every object is carried through the volume, both ways, to the ends of a box in space or of
    --slices where they are given. MODEL is a folder that train wrote, an official SAM 2.1 file, or a published model's
    name; nano, which comes with Viscera, if left out.
    """
    from trainer.segment import segment_file, targets_of
    from trainer.zoo import DEFAULT

    if len(files) > 2:
        raise UserError(f"segment takes a model and one image, got {len(files)} files: {', '.join(map(str, files))}")
    model, image = files if len(files) == 2 else (Path(DEFAULT), files[0])
    targets = targets_of(points, outside, boxes, masks, slices)
    labels = segment_file(model, image, out, targets, **options)
    for number, target in enumerate(targets, start=1):
        click.echo(f"{out}: {target.name}, {int((labels == number).sum())} voxels (label {number})")


@cli.command()
@click.argument("pipeline", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="folder, instead of the pipeline's own")
def run(pipeline: Path, out: Path | None) -> None:
    """Generate, train, evaluate and report, as PIPELINE says; resumable."""
    from trainer.pipeline import run as start

    report = start(pipeline, out)
    click.echo(f"report: {report}; look at the results with: viscera view {report.parent}")


@cli.command()
@click.argument("what", type=click.Choice(["all", *_BENCHMARKS]), default="all")
@click.option("--json", "as_json", is_flag=True, help="machine-readable")
def bench(what: str, as_json: bool) -> None:
    """Measure this machine: ratios between ways to do the same work, in one run."""
    from engine.bench import bench_render, bench_voxelize, machine, table
    from engine.dataset.bench import bench_generate
    from trainer.bench import bench_train
    from viewer.bench import bench_view

    measures = (bench_voxelize, bench_render, bench_generate, bench_train, bench_view)
    known = dict(zip(_BENCHMARKS, measures, strict=True))
    results = {name: measure() for name, measure in known.items() if what in ("all", name)}
    if as_json:
        click.echo(json.dumps(results, indent=1))
        return
    click.echo(f"# Benchmarks\n\n{machine()}. Medians after a warm-up run; compilation is not counted.\n")
    click.echo("\n\n".join(table(name, rows) for name, rows in results.items()))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="machine-readable")
def info(as_json: bool) -> None:
    """Versions, devices, and what is installed."""
    import os
    import platform
    from importlib.metadata import PackageNotFoundError, version

    import psutil
    import torch

    names = "viscera numpy scipy taichi torch torchvision sam2 pydantic trimesh libigl pyvista opensimplex simpleitk"
    facts: dict[str, Any] = {"python": platform.python_version(), "system": platform.platform()}
    for name in names.split():
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            facts[name] = None
    facts["cpus"] = os.cpu_count()
    facts["memory_gib"] = round(psutil.virtual_memory().total / 2**30, 1)
    facts["cuda"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    facts["scenes"] = sorted(p.stem for p in SCENES.glob("*.yaml"))
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    for name, value in facts.items():
        shown = (
            ", ".join(value) or "none" if isinstance(value, list) else value if value is not None else "not installed"
        )
        click.echo(f"{name:12} {shown}")


def main() -> None:
    """Run the command; turn what the user can cause into one message and exit code 2."""
    try:
        cli(standalone_mode=False)
    except UserError as error:
        click.echo(f"error: {error}" if not str(error).startswith("error") else str(error), err=True)
        sys.exit(2)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt) as stop:
        click.echo(str(stop) or "stopped; run the same command again to go on", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)


if __name__ == "__main__":
    main()
