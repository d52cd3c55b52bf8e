"""What a user does to a view: pure functions from one view to the next, shared by windows and pages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.picture import PLANES, WINDOWS, Axis
from viewer.panes import Cell, pane, voxel_at
from viewer.state import OWN, Kind, Position, View, first_view
from viewer.subject import Subject

_ZOOMS = (1.0, 16.0)
_LEAST_WIDTH = 1e-3  # of a window, as a share of its image's default one


def scroll(subject: Subject, view: View, plane: Axis, steps: int, around: bool = False) -> View:
    """`steps` slices further along a plane's normal, to the volume's end; past it begins again if `around`."""
    along, (x, y, z) = 2 - PLANES.index(plane), view.cursor
    count, moved = subject.grid.size[along], view.cursor[along] + steps
    new = moved % count if around else min(max(moved, 0), count - 1)
    return replace(view, cursor=((new, y, z), (x, new, z), (x, y, new))[along])


def point(subject: Subject, view: View, cell: Cell, x: float, y: float) -> View:
    """The cursor at a pixel of a cell that shows a plane."""
    if cell.kind == "3d":
        return view
    shown = pane(subject, view, cell.kind, cell.box[2:])
    return replace(view, cursor=voxel_at(subject, view, shown, x, y))


def turn_to(subject: Subject, view: View, modality: str) -> View:
    """Another of the subject's images."""
    return replace(view, modality=modality) if modality in subject.images else view


def next_modality(subject: Subject, view: View) -> View:
    """The next of the subject's images, the first after the last."""
    known = list(subject.images)
    if not known:
        return view
    after = known.index(view.modality) + 1 if view.modality in known else 0
    return replace(view, modality=known[after % len(known)])


def presets(subject: Subject, view: View) -> list[str]:
    """Names of the windows of the image shown."""
    return list(subject.presets[view.modality]) if view.modality else []


def take_preset(subject: Subject, view: View, name: str) -> View:
    """One of the image's windows by its name; the view as it is where there is no such window."""
    known = subject.presets[view.modality] if view.modality else {}
    return view.windowed(name, known[name]) if name in known else view


def adjust_window(subject: Subject, view: View, wider: float, higher: float) -> View:
    """A window of the user's own: width and level changed by shares of the default window's width."""
    if view.modality is None:
        return view
    first, last = next(iter(subject.presets[view.modality].values()))
    unit = last - first
    low, high = view.window
    width = max(high - low + wider * unit, _LEAST_WIDTH * unit)
    level = 0.5 * (low + high) + higher * unit
    return view.windowed(OWN, (level - 0.5 * width, level + 0.5 * width))


def toggle(view: View, label: int) -> View:
    """A label hidden, or shown again."""
    return replace(view, hidden=view.hidden ^ {label})


def show_only(subject: Subject, view: View, label: int) -> View:
    """One label alone; all of them again where it is alone already."""
    others = frozenset(subject.names) - {label}
    return replace(view, hidden=frozenset() if view.hidden == others else others)


def fade(view: View, opacity: float) -> View:
    """Labels more or less opaque, 0..1."""
    return replace(view, opacity=min(max(opacity, 0.0), 1.0))


def magnify(view: View, factor: float) -> View:
    """Closer to the cursor, or further away; at least all of a slice is seen."""
    return replace(view, zoom=min(max(view.zoom * factor, _ZOOMS[0]), _ZOOMS[1]))


def maximise(view: View, kind: Kind) -> View:
    """One pane alone; all of them again where it is alone already."""
    return replace(view, alone=None if view.alone == kind else kind)


def measure(view: View, position: Position) -> View:
    """The ruler's next end: a third one starts a new ruler."""
    return replace(view, ruler=(*view.ruler, position) if len(view.ruler) == 1 else (position,))


def reset(subject: Subject, view: View) -> View:
    """How the subject was first shown, in the image that is shown now."""
    return first_view(subject, view.modality)


def follow(subject: Subject, view: View, before: Subject) -> View:
    """The same view of another subject: its own place or the same in mm, image and windows as far as it has them."""
    x, y, z = map(float, before.grid.to_world(np.asarray(view.cursor, float)))
    fresh = first_view(subject, view.modality if view.modality in subject.images else None, subject.focus or (x, y, z))
    kept = {
        name: shown
        for name, shown in view.windows.items()
        if name in subject.images and (name in WINDOWS or shown[0] == OWN)  # others follow the image's own values
    }
    named = {label for label in view.hidden if subject.names.get(label) == before.names.get(label)}
    return replace(
        view,
        cursor=fresh.cursor,
        zoom=fresh.zoom if subject.focus else view.zoom,
        modality=fresh.modality,
        windows={**fresh.windows, **kept},
        bare=fresh.bare,
        hidden=frozenset(named),
    )
