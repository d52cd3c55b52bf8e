"""The desktop window: linked slices and a panel as one picture, and the organs in 3-D in a part of it."""

from __future__ import annotations

import numpy as np
import pyvista as pv
import vtk
from PIL import Image, ImageDraw
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from engine.picture import BACKGROUND, INK, font
from viewer.desk import HELP, Desk
from viewer.later import Later
from viewer.lettering import letter
from viewer.organs import Organs
from viewer.panel import WIDTH, Hit, draw_panel
from viewer.panes import Cell, draw_panes

SIZE = (1280, 860)
_POLL_MS = 30
_FOOT = 26  # pixels of the line that tells what is under the mouse
_TOLD = (255, 170, 150)
#: VTK's names of keys that browsers call otherwise.
_KEYS = {
    "Up": "ArrowUp",
    "Down": "ArrowDown",
    "space": " ",
    "plus": "+",
    "equal": "=",
    "minus": "-",
    "comma": ",",
    "period": ".",
    "bracketleft": "[",
    "bracketright": "]",
    "question": "?",
}


def open_window(desk: Desk) -> None:
    """Show a desk in a window until it is closed."""
    window = Window(desk)
    try:
        window.run()
    finally:
        window.close()


class Window:
    """A window on a desk.

    Args:
        desk: what is shown.
        size: (width, height) in pixels to begin with.
        off_screen: draw without a display, for pictures and tests.

    Attributes:
        cells: the panes that are on screen.
    """

    def __init__(self, desk: Desk, size: tuple[int, int] = SIZE, off_screen: bool = False) -> None:
        self.desk = desk
        self.plotter = pv.Plotter(window_size=list(size), lighting="none", off_screen=off_screen)
        self.organs = Organs(self.plotter)
        self._drawn = -1  # the desk's version that is on screen
        self._size = (0, 0)
        self.cells: list[Cell] = []
        self._hits: list[Hit] = []
        self._held: Hit | None = None  # a slider of the panel
        self._at = (0.0, 0.0)
        self._under = self._told = ""  # what the mouse is over, and what the line at the foot says
        self._scrolled = 0
        self._later = Later()  # the organs, where the CPU draws them
        self._panel = Image.new("RGB", (WIDTH, 1))
        self._panelled: tuple[int, int] | None = None  # what of the desk the panel shows, and its height
        self._composed = np.zeros((1, 1, 3), np.uint8)
        self._image = vtk.vtkImageData()
        self._lay_below()

    # --- drawing ----------------------------------------------------------------------------------------------------

    def _lay_below(self) -> None:
        """Put the picture of slices and panel into a layer below the organs."""
        mapper = vtk.vtkImageMapper()
        mapper.SetInputData(self._image)
        mapper.SetColorWindow(255.0)
        mapper.SetColorLevel(127.5)
        picture = vtk.vtkActor2D()
        picture.SetMapper(mapper)
        below = vtk.vtkRenderer()
        below.AddViewProp(picture)
        below.InteractiveOff()
        below.SetLayer(0)
        self._window.SetNumberOfLayers(2)
        self.plotter.renderer.SetLayer(1)
        self._window.AddRenderer(below)

    def update(self, at_once: bool = False) -> bool:
        """Draw what has changed; whether anything had. Organs that the CPU draws follow later, or `at_once`."""
        width, height = size = self._window.GetSize()
        stale = self.desk.version != self._drawn or size != self._size
        told = self.desk.told(self._under)
        if not stale and told == self._told and not self._later.due:
            return False
        before = self._cell_of_organs if size == self._size else None
        if stale:
            self._drawn, self._size = self.desk.version, size
            self._window.SetWindowName(f"{self.desk.subject.name} - Viscera" if self.desk.subject else "Viscera")
            self._composed = self._compose(size)
        cell = self._cell_of_organs
        picture = self._composed.copy()
        picture[max(height - _FOOT, 0) :, : max(width - WIDTH, 0)] = _line(told, max(width - WIDTH, 0))
        self._told = told
        if at_once or cell is None or cell != before or self._later.due or not self.organs.software:
            self._later.done()
            self._place_organs(cell)
            self._show(picture)
            return True
        if stale:
            self._later.put_off()
        left, top, wide, high = cell.box
        picture[top : top + high, left : left + wide] = self._on_screen(cell)
        self.plotter.renderer.SetDraw(False)
        self._show(picture)
        self.plotter.renderer.SetDraw(True)
        return True

    @property
    def _cell_of_organs(self) -> Cell | None:
        return next((cell for cell in self.cells if cell.kind == "3d"), None)

    def _on_screen(self, cell: Cell) -> np.ndarray:
        """What is seen in a cell now, uint8 `[h, w, 3]`."""
        left, top, wide, high = cell.box
        bottom = self._size[1] - top - high
        seen = vtk.vtkUnsignedCharArray()
        self._window.GetPixelData(left, bottom, left + wide - 1, bottom + high - 1, 0, seen, 0)
        return vtk_to_numpy(seen).reshape(high, wide, 3)[::-1]

    @property
    def _window(self) -> vtk.vtkRenderWindow:
        assert self.plotter.render_window is not None
        return self.plotter.render_window

    def _compose(self, size: tuple[int, int]) -> np.ndarray:
        """Everything but the organs and the line at the foot, uint8 `[h, w, 3]`."""
        width, height = size
        sheet = Image.new("RGB", size, BACKGROUND)
        room = (max(width - WIDTH, 1), max(height - _FOOT, 1))
        self.cells = self.desk.cells(room) if self.desk.subject is not None else []
        if self.desk.subject is not None:
            sheet.paste(draw_panes(self.desk.shown, self.desk.view, room))
        state = self.desk.version - self.desk.moves, height
        if state != self._panelled:
            self._panelled = state
            self._panel, self._hits = draw_panel(self.desk, height, self._scrolled)
        sheet.paste(self._panel, (width - WIDTH, 0))
        if self.desk.helping:
            self._help(sheet, room)
        if self.desk.error:
            self._complain(sheet, room)
        return np.array(sheet)

    def _help(self, sheet: Image.Image, room: tuple[int, int]) -> None:
        box = Image.new("RGB", (430, 20 * len(HELP) + 20), (22, 27, 34))
        draw = ImageDraw.Draw(box)
        for i, (keys, says) in enumerate(HELP):
            draw.text((14, 20 + 20 * i), keys, INK, font(13, bold=True), anchor="lm")
            draw.text((140, 20 + 20 * i), says, INK, font(13), anchor="lm")
        sheet.paste(box, (20, max(0, room[1] - box.height - 20)))  # organs would lie over it further up

    def _complain(self, sheet: Image.Image, room: tuple[int, int]) -> None:
        """The error over the lower part of the last good picture."""
        lines = self.desk.error.splitlines()
        most = max(1, (room[1] // 2 - 20) // 18)
        shown = lines if len(lines) <= most else [*lines[: most - 1], f"... {len(lines) - most + 1} more lines"]
        box = Image.new("RGB", (room[0], 18 * len(shown) + 20), (60, 18, 18))
        draw = ImageDraw.Draw(box)
        for i, line in enumerate(shown):
            draw.text((12, 20 + 18 * i), line, _TOLD, font(13), anchor="lm")
        sheet.paste(box, (0, room[1] - box.height))

    def _show(self, picture: np.ndarray) -> None:
        height, width, _ = picture.shape
        self._image.SetDimensions(width, height, 1)
        values = numpy_to_vtk(np.ascontiguousarray(picture[::-1]).reshape(-1, 3), deep=True)
        self._image.GetPointData().SetScalars(values)
        self._image.Modified()
        self._window.Render()

    def _place_organs(self, cell: Cell | None) -> None:
        """The organs and the three planes in their cell."""
        renderer = self.plotter.renderer
        renderer.SetDraw(cell is not None)
        if cell is None:
            return
        (left, top, wide, high), (width, height) = cell.box, self._size
        renderer.SetViewport(left / width, 1 - (top + high) / height, (left + wide) / width, 1 - top / height)
        self.organs.update(self.desk, wide / high)

    # --- mouse and keys ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Show the window and answer to the user until it is closed."""
        self.desk.poll()
        self.update()
        assert self.plotter.iren is not None
        interactor = self.plotter.iren.interactor
        style = vtk.vtkInteractorStyleTrackballCamera()
        interactor.SetInteractorStyle(style)
        self._answer(interactor, style)
        interactor.Initialize()
        interactor.CreateRepeatingTimer(_POLL_MS)
        interactor.Start()

    def close(self) -> None:
        """Close the window and what it shows."""
        self.plotter.close()
        self.desk.source.close()

    def _answer(self, interactor: vtk.vtkRenderWindowInteractor, style: vtk.vtkInteractorStyleTrackballCamera) -> None:
        """Take events over slices and panel; leave those over the organs to VTK's own way to turn them."""

        def place() -> tuple[float, float]:
            x, y = interactor.GetEventPosition()
            return float(x), float(self._size[1] - 1 - y)

        def on(event: str, own, theirs) -> None:
            def act(*_: object) -> None:
                x, y = place()
                if not own(x, y):
                    theirs()
                self.update()

            style.AddObserver(event, act)

        on("LeftButtonPressEvent", lambda x, y: self.press(x, y, interactor.GetRepeatCount()), style.OnLeftButtonDown)
        on("LeftButtonReleaseEvent", lambda x, y: self.release(), style.OnLeftButtonUp)
        on("RightButtonPressEvent", self.grab, style.OnRightButtonDown)
        on("RightButtonReleaseEvent", lambda x, y: self.release(), style.OnRightButtonUp)
        on("MouseMoveEvent", lambda x, y: self.move(x, y, bool(interactor.GetShiftKey())), style.OnMouseMove)
        on("MouseWheelForwardEvent", lambda x, y: self.wheel(x, y, 1), style.OnMouseWheelForward)
        on("MouseWheelBackwardEvent", lambda x, y: self.wheel(x, y, -1), style.OnMouseWheelBackward)
        style.AddObserver("KeyPressEvent", lambda *_: self._key(interactor.GetKeySym(), interactor))
        style.AddObserver("CharEvent", lambda *_: None)  # VTK's own keys would quit or change the surfaces
        interactor.AddObserver("TimerEvent", lambda *_: self.tick())
        interactor.AddObserver("ConfigureEvent", lambda *_: self.update())

    def tick(self) -> None:
        """Take what is new and draw it."""
        self.desk.poll()
        self.update()

    def press(self, x: float, y: float, repeat: int = 0) -> bool:
        """The left button at a pixel of the window, counted from the top left; False over the organs."""
        self._at = x, y
        hit = self._hit(x, y)
        if hit is not None:
            self._held = hit if hit.drags else None
            self._strike(hit, x)
            return True
        cell = self._cell(x, y)
        if cell is None:
            return x >= self._size[0] - WIDTH
        if repeat:
            self.desk.double_click(cell)
            return True
        return self.desk.hold(cell, x, y)

    def grab(self, x: float, y: float) -> bool:
        """The right button: dragging changes the window from now on."""
        cell, self._at = self._cell(x, y), (x, y)
        return cell is not None and self.desk.hold(cell, x, y, right=True)

    def release(self) -> bool:
        """A button let go; False where it was held over the organs."""
        held, self._held = self._held, None
        return self.desk.release() or held is not None

    def move(self, x: float, y: float, shift: bool = False) -> bool:
        """The mouse at another pixel; False where the organs are turned."""
        (x0, y0), self._at = self._at, (x, y)
        cell = self._cell(x, y)
        if self._held is not None:
            self._strike(self._held, x)
        elif not self.desk.drag(cell, (x, y), ((x - x0) / self._size[0], (y - y0) / self._size[1])):
            under = self.desk.under(cell, x - cell.box[0], y - cell.box[1]) if cell is not None else None
            self._under = under.text if under else ""
            if not shift or cell is None or cell.kind == "3d":
                return False
            self.desk.follow(cell, x - cell.box[0], y - cell.box[1])
        return True

    def wheel(self, x: float, y: float, steps: int) -> bool:
        """The wheel at a pixel; False over the organs."""
        cell = self._cell(x, y)
        if cell is None:
            self._scrolled = max(0, self._scrolled - 3 * steps)
            self.desk.version += 1
            return True
        if cell.kind == "3d":
            return False
        self.desk.wheel(cell, steps)
        return True

    def _key(self, symbol: str, interactor: vtk.vtkRenderWindowInteractor) -> None:
        if symbol == "q":
            interactor.TerminateApp()
            return
        self.desk.press(_KEYS.get(symbol, symbol))
        self.update()

    def _strike(self, hit: Hit, x: float) -> None:
        left, _, wide, _ = hit.box
        hit.does(self.desk, min(max((x - (self._size[0] - WIDTH) - left) / max(wide, 1), 0.0), 1.0))

    def _hit(self, x: float, y: float) -> Hit | None:
        x -= self._size[0] - WIDTH
        for hit in self._hits:
            left, top, wide, high = hit.box
            if left <= x < left + wide and top <= y < top + high:
                return hit
        return None

    def _cell(self, x: float, y: float) -> Cell | None:
        return next((cell for cell in self.cells if cell.holds(x, y)), None)


def _line(told: str, width: int) -> np.ndarray:
    """The line at the foot, uint8 `[_FOOT, width, 3]`."""
    strip = Image.new("RGB", (width, _FOOT), BACKGROUND)
    if width:
        letter(strip, (10, _FOOT / 2), told, INK, 13, "lm")
    return np.asarray(strip)
