"""Desktop and off-screen previews of scenes, datasets and scans.

Importing this package is cheap: VTK is loaded when something is drawn in 3-D.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UserError

if TYPE_CHECKING:
    from engine.generate import Sample
    from engine.picture import Axis
    from engine.volume import Volume
    from viewer.subject import Subject

__all__ = ["view"]


def view(
    target: str | Path | Sample | Volume | Subject,
    screenshot: str | Path | None = None,
    modality: str | None = None,
    size: int | None = None,
    seed: int | None = None,
    labels: str | Path | None = None,
    point_mm: tuple[float, float, float] | None = None,
    width: int = 1600,
    device: str = "auto",
    web: str | None = None,
    html: str | Path | None = None,
    cine: str | Path | None = None,
    plane: Axis = "axial",
) -> Path | None:
    """Show a scene, a dataset's case or a scan: in a window, in a browser, in a picture, or in a page to give away.

    Args:
        target: path of a scene, a dataset, an image or a DICOM folder, or what is already in memory. In a window a
            scene is drawn anew whenever its file changes.
        screenshot: .png file to write instead of opening a window; needs neither display nor GPU.
        modality: the image to show; all there are unless given.
        size: voxels along the longest axis of a scene; unless given the scene's own, in a window 96 at most.
        seed: of a scene's draw; the scene's own unless given.
        labels: file with the labels of an image; found beside it unless given.
        point_mm: where the three planes cross, LPS+ mm.
        width: of the picture in pixels.
        device: where a scene is drawn: `auto`, `cpu` or `cuda`.
        web: `host:port` to serve a page at instead of opening a window.
        html: .html file to write instead of opening a window: images, labels and viewer in it, for any browser.
        cine: .gif or .mp4 file to write instead of opening a window: a film through the slices of `plane`.
        plane: that the film pages through.

    Returns:
        The path of the picture or file, or None after the window was closed or the page stopped.

    Raises:
        UserError: the target cannot be read, or the system lacks what drawing needs.
    """
    from viewer.system import require_display, require_offscreen

    def subject() -> Subject:
        from engine.device import start
        from viewer.opening import open_subject

        start(device)
        return open_subject(target, modality, size, seed, labels)

    _one_of({"--screenshot": screenshot, "--cine": cine, "--web": web, "--html": html})
    # what cannot be drawn or written is said before the scene is rendered
    if html is not None:
        from viewer.html import html_path, write_html

        page = html_path(html)
        return write_html(subject(), page, modality, point_mm)
    if screenshot is not None:
        from viewer.screenshot import screenshot as write

        require_offscreen()
        return write(subject(), screenshot, modality, point_mm, width)
    if cine is not None:
        from viewer.cine import film_path, write_cine

        require_offscreen()
        film = film_path(cine)
        return write_cine(subject(), film, modality, plane, point_mm)
    from viewer.desk import Desk
    from viewer.opening import open_source

    require_display() if web is None else require_offscreen()
    desk = Desk(open_source(target, modality, size, seed, labels, device), modality, point_mm)
    if web is None:
        from viewer.window import open_window

        open_window(desk)
    else:
        from viewer.page import serve

        serve(desk, web)
    return None


def _one_of(outputs: dict[str, object]) -> None:
    given = [option for option, value in outputs.items() if value is not None]
    if len(given) > 1:
        raise UserError(f"view: {' and '.join(given)} exclude each other; give one of them")
