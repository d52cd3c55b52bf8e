"""The panel of a page: what it shows of a desk, and its elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trame.widgets import html

from engine.picture import TITLES
from viewer import actions
from viewer.desk import Desk
from viewer.legend import ordered

Deed = Callable[..., None]


def facts(desk: Desk) -> dict[str, Any]:
    """All that the panel shows of a desk, as the page's state takes it."""
    subject, view = desk.shown, desk.view
    low, high = view.window
    return {
        "name": subject.name,
        "size": " of ".join(subject.measures),
        "notes": subject.notes,
        "place": desk.source.place,
        "images": [
            {"name": m, "title": TITLES.get(m, m.upper()), "on": m == view.modality and not view.beside}
            for m in subject.images
        ],
        "beside": view.beside,
        "presets": [{"name": name, "on": name == view.preset} for name in actions.presets(subject, view)],
        "window": f"window {high - low:.0f}   level {(low + high) / 2:.0f}" if view.modality else "",
        "opacity": round(100 * view.opacity),
        "flags": [
            {"key": key, "title": title, "on": on}
            for key, title, on in (
                ("g", "labels", view.labelled),
                ("o", "outlines", view.outline),
                ("l", "lines", view.lines),
                *([("p", "scanner", view.beams)] if subject.beams else []),
                ("d", "measure", desk.measuring),
                (" ", "cine", desk.playing),
            )
        ],
        "structures": [
            {
                "label": label,
                "name": subject.names[label].replace("_", " "),
                "drawn": subject.names[label],
                "color": subject.colors[label],
                "depth": depth,
                "off": label in view.hidden,
            }
            for label, depth in ordered(subject)
        ],
        "phase": None if desk.phase is None else round(desk.phase, 3),
        **_scene(desk),
    }


def _scene(desk: Desk) -> dict[str, Any]:
    source = desk.draws
    if source is None:
        return {"seed": None, "sliders": [], "left_out": []}
    return {
        "seed": source.seed,
        "sliders": [
            {
                "name": one.name,
                "low": one.low,
                "high": one.high,
                "value": one.value,
                "shown": one.shown,
                "step": 1 if one.whole else (one.high - one.low) / 200,
            }
            for one in source.sliders
        ],
        "left_out": source.left_out,
    }


def build(key: Deed, take: Deed, vary: Deed) -> None:
    """The panel's elements, within the layout that is being built; `panel` is their state.

    Args:
        key: gets the name of a key.
        take: gets what was chosen, and its value.
        vary: gets a variable's name and value.
    """
    html.H1("{{ panel.name }}")
    html.P("{{ panel.size }}")
    html.Div("{{ note }}", v_for="note in panel.notes", key="note", classes="note")
    with html.Div(classes="row", v_if="panel.place", id="place"):
        html.Span("{{ panel.place }}")
        _steps(key)
    with html.Div(classes="row"):
        _choices("{{ one.title }}", "one in panel.images", "one.name", (take, "['image', one.name]"))
        html.Button("all", classes=("panel.beside ? 'on' : ''",), click=(key, "['c']"), v_if="panel.images.length > 1")
    with html.Div(classes="row"):
        _choices("{{ i + 1 }} {{ one.name }}", "(one, i) in panel.presets", "one.name", (take, "['preset', one.name]"))
    html.P("{{ panel.window }}")
    with html.Label(classes="slider"):
        html.Span("labels")
        html.Input(
            type="range",
            min=0,
            max=100,
            value=("panel.opacity",),
            input=(take, "['opacity', $event.target.value]"),
            id="opacity",
        )
        html.Span("{{ panel.opacity }} %")
    with html.Div(classes="row"):
        _choices("{{ one.title }}", "one in panel.flags", "one.key", (key, "[one.key]"))
    with html.Div(classes="row", v_if="panel.seed !== null"):
        html.Span("seed {{ panel.seed }}", id="seed")
        _steps(key)
        html.Button("save", click=(key, "['s']"), title="write this sample as a scene of its own")
    with html.Label(classes="slider", v_for="one in panel.sliders", key="one.name"):
        html.Span("{{ one.name }}")
        html.Input(
            type="range",
            min=("one.low",),
            max=("one.high",),
            step=("one.step",),
            value=("one.value",),
            input=(vary, "[one.name, $event.target.value]"),
            id=("'vary-' + one.name",),
        )
        html.Span("{{ one.shown }}")
    with html.Label(classes="slider", v_if="panel.phase !== null"):
        html.Span("phase")
        html.Input(
            type="range",
            min=0,
            max=0.99,
            step=0.01,
            value=("panel.phase",),
            input=(take, "['phase', $event.target.value]"),
            id="phase",
        )
        html.Span("{{ panel.phase }}")
    with html.Ul(id="structures"), html.Li(v_for="one in panel.structures", key="one.label"):
        with html.Span(
            classes=("one.off ? 'off' : ''",),
            style=("{ paddingLeft: one.depth * 12 + 'px' }",),
            click=(take, "['structure', one.label]"),
            dblclick=(take, "['alone', one.label]"),
        ):
            html.I(style=("{ background: one.off ? 'transparent' : one.color, borderColor: one.color }",))
            html.Span("{{ one.name }}")
        html.Button(
            "×",
            v_if="panel.seed !== null",
            click=(take, "['leave out', one.drawn]"),
            title="draw the scene without it",
        )
    with html.Div(classes="row", v_if="panel.left_out.length", id="left-out"):
        html.Span("without")
        html.Button("{{ name }}", v_for="name in panel.left_out", key="name", click=(take, "['leave out', name]"))


def _choices(title: str, each: str, name: str, click: tuple[Deed, str]) -> None:
    """A button for each of several, lit where it is `on`."""
    html.Button(title, v_for=each, key=name, classes=("one.on ? 'on' : ''",), click=click)


def _steps(key: Deed) -> None:
    html.Button("next", click=(key, "['n']"), classes="next")
    html.Button("previous", click=(key, "['[']"))
