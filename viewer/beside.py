"""Real scans beside ours: histograms, spectra and texture, for docs/physics.md.

`python -m viewer.beside REAL docs` measures both and writes the table into docs/physics.md and curves with our images
into docs/images; `--out FOLDER` also writes sheets that show real slices, which their licences keep out of docs.
Every figure stands as the median and, in brackets, the range of a set's scans or of our draws.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from PIL import Image
from scipy import ndimage

from engine.atomic import write_bytes, write_text
from engine.errors import UserError
from engine.picture import TITLES, grey, square
from viewer import texture
from viewer.counterpart import COUNTERPARTS, Counterpart, Slices

BEGIN, END = "<!-- beside: written by python -m viewer.beside -->", "<!-- end of beside -->"
_REAL, _OURS = "#8d99a6", "#d55e00"
#: Decibels that fully developed speckle varies by (Goodman): 10 pi / (ln 10 sqrt 6).
_SPECKLE_DB = 5.57
#: Frequencies, cycles a pixel, between which a whole slice's spectrum is fitted.
_BAND = (0.04, 0.4)
_COLOURS = 128

Figures = Mapping[str, float]


def measured(slices: Slices, of: Counterpart) -> Figures:
    """The figures of a stack of slices, by name; see `_MEANINGS`."""
    values, pixel = slices.values, slices.pixel
    inside = texture.within(values, *of.tissue)
    parts = texture.patches(values, inside, of.patch)
    spread = texture.deviations(parts)
    unit = 1.0 if of.modality != "mr" else 100.0
    out: dict[str, float] = {"noise": np.nan, "texture": np.nan, "centroid": np.nan, "down": np.nan, "across": np.nan}
    if len(parts) >= 4:
        calm = texture.quiet(parts)
        down, across = texture.correlation_lengths(calm)
        out = {
            "noise": unit * float(np.quantile(spread, 0.1)),
            "texture": unit * float(np.median(spread)),
            "centroid": texture.centroid(*texture.spectrum(calm, pixel), max(pixel)),
            "down": down * pixel[0],
            "across": across * pixel[1],
        }
    out["edge"] = texture.edge_width(values) * float(np.mean(pixel))
    frequency, power = texture.spectrum(values, pixel)
    out["slope"] = texture.slope(frequency, power, *(f / max(pixel) for f in _BAND))
    out["entropy"] = texture.entropy(values[inside], of.shown)
    return {**out, **_PARTICULARS[of.modality](values, inside, pixel, out)}


def _of_ct(values: np.ndarray, inside: np.ndarray, _pixel: tuple[float, float], _out: Figures) -> Figures:
    blurred = ndimage.gaussian_filter(values, (0.0, 1.0, 1.0))  # noise would hide the peaks
    return {"fat": texture.mode(blurred, -180, -40), "soft": texture.mode(blurred, 0, 90)}


def _of_mr(values: np.ndarray, inside: np.ndarray, _pixel: tuple[float, float], _out: Figures) -> Figures:
    signal = values[values > 0.03]
    return {"median": 100.0 * float(np.median(signal)), "dark": 100.0 * float((signal < 0.2).mean())}


def _of_us(values: np.ndarray, inside: np.ndarray, pixel: tuple[float, float], out: Figures) -> Figures:
    rows = values.mean((0, 2))
    depth_cm = 0.1 * pixel[0] * np.arange(len(rows))
    return {
        "grey": float(np.median(values)),
        "range": float(np.subtract(*np.quantile(values, (0.95, 0.05)))),
        "decay": float(np.polyfit(depth_cm, rows, 1)[0]),
        "decibels": 255.0 * _SPECKLE_DB / out["texture"],
    }


_PARTICULARS: dict[str, Callable[[np.ndarray, np.ndarray, tuple[float, float], Figures], Figures]] = {
    "ct": _of_ct,
    "mr": _of_mr,
    "us": _of_us,
}

#: Columns of each modality's table, and how they are written.
_COLUMNS: dict[str, dict[str, tuple[str, str]]] = {
    "ct": {
        "noise": ("quiet sd, HU", "{:.0f}"),
        "texture": ("median sd, HU", "{:.0f}"),
        "centroid": ("noise centroid, cycles a pixel", "{:.2f}"),
        "across": ("grain, mm", "{:.1f}"),
        "edge": ("edge 10-90 %, mm", "{:.1f}"),
        "slope": ("spectrum's slope", "{:.1f}"),
        "entropy": ("entropy, bits", "{:.1f}"),
        "fat": ("fat, HU", "{:.0f}"),
        "soft": ("muscle, HU", "{:.0f}"),
    },
    "mr": {
        "noise": ("quiet sd, %", "{:.1f}"),
        "texture": ("median sd, %", "{:.1f}"),
        "centroid": ("noise centroid, cycles a pixel", "{:.2f}"),
        "across": ("grain, mm", "{:.1f}"),
        "edge": ("edge 10-90 %, mm", "{:.1f}"),
        "slope": ("spectrum's slope", "{:.1f}"),
        "entropy": ("entropy, bits", "{:.1f}"),
        "median": ("median signal, %", "{:.0f}"),
        "dark": ("darker than 20 %, %", "{:.0f}"),
    },
    "us": {
        "noise": ("quiet sd", "{:.0f}"),
        "texture": ("median sd", "{:.0f}"),
        "decibels": ("dB in 255 levels", "{:.0f}"),
        "down": ("grain axial, mm", "{:.2f}"),
        "across": ("lateral, mm", "{:.2f}"),
        "slope": ("spectrum's slope", "{:.1f}"),
        "grey": ("median grey", "{:.0f}"),
        "range": ("5-95 % range", "{:.0f}"),
        "decay": ("grey a cm", "{:.0f}"),
    },
}


@dataclass(frozen=True)
class Compared:
    """Real scans and ours, measured."""

    of: Counterpart
    real: Sequence[Slices]
    ours: Sequence[Slices]

    def rows(self) -> list[str]:
        """Two rows of the table."""
        return [self._row("real", self.real), self._row("ours", self.ours)]

    def _row(self, whose: str, stacks: Sequence[Slices]) -> str:
        found = [measured(stack, self.of) for stack in stacks]
        cells = [_cell([f[key] for f in found], form) for key, (_, form) in _COLUMNS[self.of.modality].items()]
        return f"| {self.of.title}, {whose} ({len(stacks)}) | " + " | ".join(cells) + " |"


def _cell(values: Sequence[float], form: str) -> str:
    known = [v for v in values if np.isfinite(v)]
    if not known:
        return "-"
    middle, low, high = (form.format(f(known) + 0.0) for f in (np.median, min, max))
    return middle if low == high else f"{middle} ({low} to {high})"


def compare(folder: Path, counterparts: Sequence[Counterpart] = COUNTERPARTS) -> list[Compared]:
    """Every counterpart with its real scans below `folder`."""
    return [Compared(one, one.real(folder), one.ours()) for one in counterparts]


def tables(found: Sequence[Compared]) -> str:
    """A Markdown table for each modality."""
    out = []
    for modality, columns in _COLUMNS.items():
        rows = [row for one in found if one.of.modality == modality for row in one.rows()]
        if rows:
            heads = " | ".join(head for head, _ in columns.values())
            picture = f"![{TITLES[modality]}: ours, and both as curves](images/{_picture(modality)})"
            out.append("\n".join([f"| {TITLES[modality]} | {heads} |", "|---" * (len(columns) + 1) + "|", *rows]))
            out.append(picture)
    return "\n\n".join(out)


def _picture(modality: str) -> str:
    return f"beside_{modality}.png"


def with_tables(page: str, text: str) -> str:
    """`page` with `text` between its marks; a UserError where it has none."""
    if BEGIN not in page or END not in page:
        raise UserError(f"the page lacks the lines '{BEGIN}' and '{END}' that the tables are written between")
    head, rest = page.split(BEGIN, 1)
    return f"{head}{BEGIN}\n\n{text}\n\n{END}{rest.split(END, 1)[1]}"


def sheet(found: Sequence[Compared], with_real: bool) -> Figure:
    """A row for each counterpart: images at one window, histogram, spectrum of whole slices and of quiet tissue."""
    pictures = 4 if with_real else 2
    width = [1.0] * pictures + [1.25] * 3
    figure = Figure(figsize=(2.3 * sum(width), 2.5 * len(found)), layout="constrained")
    grid = np.atleast_2d(figure.subplots(len(found), len(width), width_ratios=width, squeeze=False))
    for row, one in zip(grid, found, strict=True):
        shown = [("ours", stack) for stack in one.ours[:2]]
        if with_real:
            shown = [("real", one.real[k]) for k in _ends(len(one.real))] + shown
        for axes in row[:pictures]:
            axes.axis("off")
        for axes, (whose, stack) in zip(row, shown, strict=False):
            _show(axes, stack, one.of.shown, f"{one.of.title}, {whose}")
        _curves(row[pictures:], one)
    return figure


def _ends(count: int) -> list[int]:
    return [0] if count == 1 else [0, count // 2]


def _show(axes: Axes, stack: Slices, window: tuple[float, float], title: str) -> None:
    middle = square(stack.values[len(stack.values) // 2], stack.pixel)
    axes.imshow(grey(middle, window), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_title(title, fontsize=7)


def _curves(row: Sequence[Axes], one: Compared) -> None:
    histogram, whole, noise = row
    for stacks, color, name in ((one.real, _REAL, "real"), (one.ours, _OURS, "ours")):
        for k, stack in enumerate(stacks):
            look: dict[str, Any] = {"color": color, "lw": 0.8, "alpha": 0.8, "label": name if k == 0 else None}
            values = stack.values[stack.values > one.of.shown[0] + 0.01 * (one.of.shown[1] - one.of.shown[0])]
            histogram.plot(*texture.density(values, one.of.shown), **look)
            frequency, power = texture.spectrum(stack.values, stack.pixel)
            whole.loglog(frequency, power / stack.values.var(), **look)
            parts = texture.patches(stack.values, texture.within(stack.values, *one.of.tissue), one.of.patch)
            if len(parts) >= 4:
                noise.plot(*texture.spectrum(texture.quiet(parts), stack.pixel), **look)
    for axes, title in zip(row, ("histogram", "power / variance, slices", "power, quiet tissue"), strict=True):
        axes.set_title(title, fontsize=7)
        axes.tick_params(labelsize=6)
    noise.set_ylim(bottom=0)
    histogram.set_yticks([])
    whole.xaxis.set_minor_formatter(NullFormatter())
    for axes in (whole, noise):
        axes.set_xlabel("cycles/mm", fontsize=6)
    histogram.legend(fontsize=6, frameon=False)


def _png(figure: Figure, dpi: int = 80) -> bytes:
    raw, out = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, dpi=dpi, format="png")
    image = Image.open(raw).convert("RGB")
    image.quantize(_COLOURS, kmeans=1, dither=Image.Dither.NONE).save(out, format="PNG", optimize=True)
    return out.getvalue()


@click.command()
@click.argument("real", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("docs", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="also write sheets that show real slices, into this folder"
)
@click.option("--only", default="", help="counterparts whose title holds this; docs stay as they are")
def main(real: Path, docs: Path, out: Path | None, only: str) -> None:
    """Compare the real scans below REAL with ours, and write what is found into DOCS/physics.md."""
    found = compare(real, [one for one in COUNTERPARTS if only in one.title])
    text = tables(found)
    click.echo(text)
    for modality in dict.fromkeys(one.of.modality for one in found):
        chosen = [one for one in found if one.of.modality == modality]
        if out is not None:
            write_bytes(out / _picture(modality), _png(sheet(chosen, with_real=True), 110))
        if not only:
            write_bytes(docs / "images" / _picture(modality), _png(sheet(chosen, with_real=False)))
    if not only:
        page = docs / "physics.md"
        write_text(page, with_tables(page.read_text(encoding="utf-8"), text))


if __name__ == "__main__":
    main()
