"""A film through a subject's slices, with the organs turning beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from PIL import Image
from rich.progress import track

from engine.atomic import replacing
from engine.errors import UserError
from engine.picture import PLANES, Axis
from viewer import actions
from viewer.desk import Desk
from viewer.orbit import Orbit
from viewer.panes import draw_panes
from viewer.slices import extent_mm
from viewer.sources import Still
from viewer.state import Position
from viewer.subject import Subject

_A_SECOND = 12  # slices
_WIDTHS = (200, 4000)  # pixels


def write_cine(
    subject: Subject,
    path: str | Path,
    modality: str | None = None,
    plane: Axis = "axial",
    point_mm: Position | None = None,
    width: int = 800,
) -> Path:
    """Write a film that pages through all slices of a plane, 12 a second.

    Args:
        subject: what to show.
        path: a .gif or .mp4 (H.264) file, written whole or not at all.
        modality: the image to show, with the organs turning once; all of them, in rows, unless given.
        plane: that is paged through; the others stay.
        point_mm: where the others lie, LPS+ mm; where most structures are to be seen unless given.
        width: of the film in pixels.

    Raises:
        UserError: another suffix, a width nobody could play, or an image that is not there.
    """
    path = film_path(path)
    write = _gif if path.suffix.lower() == ".gif" else _mp4
    if not _WIDTHS[0] <= width <= _WIDTHS[1]:
        raise UserError(f"cine: a film {width} px wide cannot be made; use {_WIDTHS[0]} to {_WIDTHS[1]} px")
    if modality is not None and modality not in subject.images:
        known = ", ".join(subject.images) or "none"
        raise UserError(f"{subject.name}: there is no '{modality}' image; it has: {known}")
    with replacing(path) as partial:
        write(_frames(subject, modality, plane, point_mm, width), partial)
    return path


def film_path(path: str | Path) -> Path:
    """The path of a film, if its suffix is one of a film."""
    if Path(path).suffix.lower() not in (".gif", ".mp4"):
        raise UserError(f"{path}: a film is written as GIF or MP4; name the file .gif or .mp4")
    return Path(path)


def _frames(
    subject: Subject, modality: str | None, plane: Axis, point_mm: Position | None, width: int
) -> Iterator[Image.Image]:
    desk = Desk(Still(subject), modality, point_mm)
    desk.poll()
    beside = modality is None and len(subject.images) > 1
    size = _size(subject, width, len(subject.images) if beside else 0)
    along = 2 - PLANES.index(plane)
    count = subject.grid.size[along]
    desk.view = actions.scroll(subject, replace(desk.view, beside=beside), plane, -count)
    orbit = None if beside else Orbit(desk)
    try:
        for _ in track(range(count), f"film of {subject.name}", transient=True):
            yield draw_panes(subject, desk.view, size, orbit.picture if orbit else None)
            desk.view = actions.scroll(subject, desk.view, plane, 1)
            if orbit:
                orbit.turn(360 / count, 0.0)
    finally:
        if orbit:
            orbit.close()


def _size(subject: Subject, width: int, rows: int) -> tuple[int, int]:
    """(width, height), even as H.264 wants them, in which slices of the subject leave little black."""
    (deep, wide), (high, _), _ = (extent_mm(subject, plane) for plane in PLANES)
    height = width * (rows * max(deep, high) / (2 * wide + deep) if rows else (deep + high) / (wide + max(wide, deep)))
    return 2 * (width // 2), 2 * int(min(max(height, 0.4 * width), 1.5 * width) / 2)


def _gif(frames: Iterator[Image.Image], path: Path) -> None:
    """One palette for all frames, of a few of them: palettes of their own would flicker."""
    shown = list(frames)
    some = np.concatenate([np.asarray(frame) for frame in shown[:: max(1, len(shown) // 5)]])
    palette = Image.fromarray(some).quantize(256, dither=Image.Dither.NONE)
    first, *rest = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in shown)
    first.save(path, format="GIF", save_all=True, append_images=rest, duration=round(1000 / _A_SECOND), loop=0)


def _mp4(frames: Iterator[Image.Image], path: Path) -> None:
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as film:
        stream = None
        for frame in frames:
            if stream is None:
                stream = film.add_stream("libx264", rate=_A_SECOND, options={"crf": "20"})
                stream.width, stream.height, stream.pix_fmt = *frame.size, "yuv420p"
            film.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(frame), format="rgb24")))
        if stream is not None:
            film.mux(stream.encode())
