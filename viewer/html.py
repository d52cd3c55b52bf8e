"""A subject as one HTML file that a double click opens: no server and no network, NiiVue draws it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from engine.atomic import write_text
from engine.errors import UserError
from engine.picture import TITLES, rgb_of
from viewer.desk import KEYS, MOUSE
from viewer.legend import ordered
from viewer.meshes import surfaces
from viewer.packed import packed_image, packed_labels, packed_surface
from viewer.readout import UNITS
from viewer.stage import opacity_of
from viewer.state import Position, View, first_view
from viewer.subject import Subject

_ASSETS = Path(__file__).with_name("assets")
_SCRIPTS = (
    "niivue/niivue.min.js",
    "html/readout.js",
    "html/marks.js",
    "html/places.js",
    "html/panes.js",
    "html/panel.js",
)
_STYLES = ("page.css", "html/html.css")
#: NiiVue draws labels of one byte.
_MOST_LABELS = 255


def write_html(
    subject: Subject, path: str | Path, modality: str | None = None, point_mm: Position | None = None
) -> Path:
    """Write a page that shows a subject: linked slices, organs in 3-D, a panel, what lies under the mouse.

    Images are stored in steps too small to be seen: 1 HU, a grey of ultrasound, 1/1000 of the default window.

    Args:
        subject: what to show.
        path: an .html file, written whole or not at all.
        modality: the only image in it; all of them unless given.
        point_mm: where the three planes cross at first, LPS+ mm; where most structures are to be seen unless given.

    Raises:
        UserError: the path is no .html file or cannot be written, there is no such image, or more than 255 structures.
    """
    return write_text(html_path(path), page_of(subject.only(modality), point_mm))


def html_path(path: str | Path) -> Path:
    """The path of a page, if it is one.

    Raises:
        UserError: it ends otherwise.
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{path}: pages are written as HTML; name the file .html")
    return path


def page_of(subject: Subject, point_mm: Position | None = None) -> str:
    """The page as text; arguments as in `write_html`."""
    styles = "\n".join(_asset(name) for name in _STYLES)
    scripts = [_asset(name) for name in _SCRIPTS]
    return Template(_asset("html/page.html")).substitute(
        policy=_policy(scripts, [styles]),
        title=html.escape(f"{subject.name} - Viscera" if subject.name else "Viscera"),
        licence=_asset("niivue/LICENSE"),
        style=styles,
        subject=_embedded(_facts(subject, first_view(subject, point_mm=point_mm))),
        shader=_asset("html/slice.frag"),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _policy(scripts: Iterable[str], styles: Iterable[str]) -> str:
    """What the browser may load and run: these scripts and styles, pictures within the page, and nothing else."""
    return f"default-src 'none'; script-src {_hashes(scripts)}; style-src {_hashes(styles)}; img-src data:"


def _hashes(texts: Iterable[str]) -> str:
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def _embedded(facts: dict[str, Any]) -> str:
    """JSON that stays inside its script element, whatever the names in it say."""
    return json.dumps(facts, separators=(",", ":")).replace("<", "\\u003c")


def _facts(subject: Subject, view: View) -> dict[str, Any]:
    """All that the page knows; structures are numbered in the order of their list, from 1."""
    rows = ordered(subject)
    if len(rows) > _MOST_LABELS:
        raise UserError(
            f"{subject.name}: a page shows {_MOST_LABELS} structures at most, here are {len(rows)}; use --screenshot"
        )
    number = {label: i for i, (label, _) in enumerate(rows, start=1)}
    grid = subject.grid
    return {
        "name": subject.name,
        "measures": " of ".join(subject.measures),
        "notes": subject.notes,
        "places": [
            {"kind": one.kind, "points": grid.to_index(np.asarray(one.points)).tolist()} for one in subject.marks
        ],
        "grid": {"size": grid.size, "axes": grid.axes.tolist(), "origin": grid.origin},
        "images": [_image(subject, modality) for modality in subject.images],
        "labels": _labels(subject, number),
        "structures": _structures(subject, view, number),
        "shown": view.modality,
        "cursor": view.cursor,
        "opacity": view.opacity,
        "zoom": view.zoom,
        "keys": [{"names": key.names, "title": key.title, "says": key.says} for key in KEYS],
        "mouse": [{"title": what, "says": says} for what, says in MOUSE],
    }


def _image(subject: Subject, modality: str) -> dict[str, Any]:
    presets = subject.presets[modality]
    return {
        "name": modality,
        "title": TITLES.get(modality, modality.upper()),
        "unit": UNITS.get(modality, ""),
        "windows": [[name, *window] for name, window in presets.items()],
        "data": packed_image(subject.images[modality], subject.grid, modality, next(iter(presets.values()))),
    }


def _labels(subject: Subject, number: Mapping[int, int]) -> str | None:
    if subject.labels is None:
        return None
    values, place = np.unique(subject.labels, return_inverse=True)
    shown = [[number[label] for label in subject.at(int(value)) if label in number] for value in values]
    numbers = np.array([of_value[0] if of_value else 0 for of_value in shown])
    return packed_labels(numbers[place].reshape(subject.labels.shape), subject.grid)


def _structures(subject: Subject, view: View, number: Mapping[int, int]) -> list[dict[str, Any]]:
    """Names, places in the list and surfaces; of the wraps around all others the outermost has one, its far side."""
    organs = surfaces(subject, frozenset(subject.wraps[1:])) if number else {}
    organs = {label: mesh.flip_faces() if label in subject.wraps else mesh for label, mesh in organs.items()}
    return [
        {
            "name": subject.names[label].replace("_", " "),
            "color": "#{:02x}{:02x}{:02x}".format(*rgb_of(subject.colors[label])),
            "depth": depth,
            "parent": number.get(subject.parents.get(label, 0), 0),
            "bare": label in view.bare,
            "surface": packed_surface(organs[label], subject.grid) if label in organs else None,
            "opacity": opacity_of(subject, label),
        }
        for label, depth in ordered(subject)
    ]
