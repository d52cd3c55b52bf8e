"""The gallery: a row for each scene, the same slice in every modality, its labels and its organs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.generate import draw
from engine.picture import Axis, write_png
from engine.scene import Scene
from viewer.sheet import contact_sheet, row_of
from viewer.subject import Subject
from viewer.system import require_offscreen


def gallery(
    scenes: Sequence[Scene],
    path: str | Path,
    seed: int | None = None,
    size: int | None = None,
    plane: Axis = "axial",
    tile: int = 320,
) -> Path:
    """Draw every scene once and write the contact sheet, a PNG.

    Args:
        seed: of the draws; each scene's own by default.
        size: voxels along the longest axis; each scene's own by default.
        plane: of the slices.
        tile: width of a column in pixels.

    Raises:
        UserError: the system lacks what off-screen drawing needs, or a scene cannot be drawn.
    """
    require_offscreen()
    rows = []
    for scene in scenes:
        sample = draw(scene, scene.seed if seed is None else seed, 0, grid=scene.grid.grid(longest=size))
        rows.append((scene.name, row_of(Subject.from_sample(sample), plane, tile, organs=True)))
    return write_png(path, contact_sheet(rows, tile))
