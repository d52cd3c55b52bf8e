"""The organs seen from anywhere, drawn without a window: what a page shows in 3-D."""

from __future__ import annotations

import numpy as np
import pyvista as pv

from viewer.desk import Desk
from viewer.later import Later
from viewer.organs import Organs
from viewer.system import offscreen_windows

_STEEPEST = 20.0  # degrees at a time


class Orbit:
    """A camera about a desk's organs. Close it when done.

    Attributes:
        version: grows when the camera moves.
        later: whether a picture has been put off.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk, self.version = desk, 0
        with offscreen_windows():
            self.plotter = pv.Plotter(off_screen=True, window_size=[64, 64], lighting="none")
        self.organs, self.later = Organs(self.plotter), Later()
        self._drawn: tuple | None = None
        self._picture = np.zeros((1, 1, 3), np.uint8)

    def turn(self, right: float, down: float) -> None:
        """Turn by degrees, as a drag to the right and down does."""
        camera = self.plotter.camera
        camera.Azimuth(-right)
        camera.Elevation(min(max(down, -_STEEPEST), _STEEPEST))
        camera.OrthogonalizeViewUp()
        self.version += 1

    def closer(self, factor: float) -> None:
        """Move the camera in (above 1) or out."""
        self.plotter.camera.Dolly(factor)
        self.version += 1

    def picture(self, size: tuple[int, int]) -> np.ndarray:
        """The organs in `size` (width, height) pixels, uint8 `[h, w, 3]`; drawn anew only where something changed.

        Where the CPU draws them and the camera stands still, the picture before is given until the user rests; `later`
        tells when to ask again.
        """
        view = self.desk.view
        seen = self.version, size
        state = (self.desk.anatomy, view.cursor, view.modality, view.beams)
        if (seen, state) != self._drawn:
            if self._drawn is not None and self._drawn[0] == seen and self.organs.software and not self.later.due:
                self.later.put_off()
                return self._picture
            self.later.done()
            self._drawn = seen, state
            if self.plotter.window_size != list(size):
                self.plotter.window_size = list(size)
            self.organs.update(self.desk, size[0] / size[1])
            self.plotter.render()  # a screenshot takes what was drawn last
            self._picture = np.asarray(self.plotter.screenshot(return_img=True))[..., :3]
        return self._picture

    def close(self) -> None:
        """Let go of the picture's memory."""
        self.plotter.close()
