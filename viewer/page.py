"""The viewer in a browser: the same desk behind a trame server; one picture of all panes, and a panel of HTML."""

from __future__ import annotations

import asyncio
import base64
import io
import secrets
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from trame.app import get_server
from trame.ui.html import DivLayout
from trame.widgets import html

from engine.errors import UserError
from viewer import actions, page_panel
from viewer.desk import HELP, Desk
from viewer.guard import LOOPBACK, guard
from viewer.orbit import Orbit
from viewer.panes import Cell, draw_panes

_ASSETS = Path(__file__).with_name("assets")
_POLL_SECONDS = 0.03
_LOST_SECONDS = 1.0  # a page that has not shown what it was sent by then is closed
_LEAST, _MOST = 200, 4000  # pixels of the picture's edges
_DEGREES = 0.4  # turned by a drag over a pixel


class Page:
    """A page on a desk.

    Args:
        desk: what is shown.
        host: address to listen at.
        port: 0 takes a free one.
        name: of the trame server, one for each page in a process.
    """

    def __init__(self, desk: Desk, host: str = "127.0.0.1", port: int = 8080, name: str = "viscera") -> None:
        self.desk, self.host, self.port = desk, host, port
        self.token = "" if host in LOOPBACK else secrets.token_urlsafe(16)
        self.orbit = Orbit(desk)
        self.server = get_server(name, client_type="vue3")
        self.state = self.server.state
        self._size = (900, 700)
        self._drawn: tuple | None = None
        self._on_the_way, self._sent = False, 0.0  # what was sent last, not shown yet, and when
        self._cells: list[Cell] = []
        self._turning = False  # whether a held button turns the organs
        self._at = (0.0, 0.0)
        self._under = ""
        self._build()

    # --- serving ----------------------------------------------------------------------------------------------------

    async def serve(self, ready: Callable[[str], None] = lambda url: None) -> None:
        """Serve until cancelled; `ready` gets the address to open."""
        control = self.server.controller
        control.on_server_bind.add(self._guard)
        control.on_server_ready.add(lambda **_: ready(self.url))
        try:
            serving = self.server.start(
                exec_mode="task",
                host=self.host,
                port=self.port,
                open_browser=False,
                show_connection_info=False,
                disable_logging=True,
                timeout=0,
            )
            while not serving.done():
                self.desk.poll()
                self.refresh()
                await asyncio.sleep(_POLL_SECONDS)
            await serving
        finally:
            self.orbit.close()
            self.desk.source.close()

    @property
    def url(self) -> str:
        """Where the page is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.server.port}/index.html{f'?token={self.token}' if self.token else ''}"

    def _guard(self, served: Any) -> None:
        served.app.middlewares.append(guard(self.host, self.token))

    # --- what the page shows ----------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Send what has changed, once what was sent before is shown: pictures would pile up on a slow line."""
        desk = self.desk
        told = desk.told(self._under)
        drawn = (desk.version, self.orbit.version, self._size)
        if (told, drawn) == (self.state.foot, self._drawn) and not self.orbit.later.due:
            return
        if self._on_the_way and time.monotonic() - self._sent < _LOST_SECONDS:
            return
        self._on_the_way, self._sent = True, time.monotonic()
        with self.state:
            self.state.foot = told
            self.state.number += 1
            if drawn == self._drawn and not self.orbit.later.due:
                return
            self._drawn = drawn
            self.state.error, self.state.helping = desk.error, desk.helping
            if desk.subject is not None:
                self._cells = desk.cells(self._size)
                self.state.picture = jpeg(draw_panes(desk.shown, desk.view, self._size, self.orbit.picture))
                if all(cell.kind != "3d" for cell in self._cells):
                    self.orbit.later.done()
                self.state.panel = page_panel.facts(desk)

    # --- what the page says -----------------------------------------------------------------------------------------

    def _shown(self, number: int) -> None:
        """What was sent as `number` is on screen."""
        if number == self.state.number:
            self._on_the_way = False
            self.refresh()

    def _resized(self, width: float, height: float) -> None:
        self._size = tuple(int(min(max(n, _LEAST), _MOST)) for n in (width, height))  # type: ignore[assignment]
        self.refresh()

    def _key(self, name: str) -> None:
        self.desk.press(name)
        self.refresh()

    def _mouse(self, kind: str, x: float, y: float, extra: float) -> None:
        if self.desk.subject is None:
            return
        cell = next((cell for cell in self._cells if kind != "leave" and cell.holds(x, y)), None)
        (x0, y0), self._at = self._at, (x, y)
        if kind == "up":
            self._turning = False
            self.desk.release()
        elif kind == "down" and cell is not None:
            self._turning = not self.desk.hold(cell, x, y, right=extra == 2)
        elif kind == "double" and cell is not None:
            self.desk.double_click(cell)
        elif kind == "follow" and cell is not None:
            self.desk.follow(cell, x - cell.box[0], y - cell.box[1])
        elif kind == "wheel" and cell is not None:
            if cell.kind == "3d":
                self.orbit.closer(1.1**extra)
            else:
                self.desk.wheel(cell, int(extra))
        elif kind == "move" and extra and self._turning:
            self.orbit.turn(_DEGREES * (x - x0), _DEGREES * (y - y0))
        elif kind == "move" and extra:
            self.desk.drag(cell, (x, y), ((x - x0) / self._size[0], (y - y0) / self._size[1]))
        under = self.desk.under(cell, x - cell.box[0], y - cell.box[1]) if cell is not None else None
        self._under = under.text if under else ""
        self.refresh()

    def _take(self, what: str, value: Any) -> None:
        """A choice in the panel."""
        desk = self.desk
        if what == "image":
            desk.show(value)
        elif what == "preset":
            desk.take(value)
        elif what == "opacity":
            desk.view = actions.fade(desk.view, float(value) / 100)
        elif what == "structure":
            desk.view = actions.toggle(desk.view, int(value))
        elif what == "alone":
            desk.view = actions.show_only(desk.shown, desk.view, int(value))
        elif what == "phase":
            desk.move(float(value))
        elif what == "leave out":
            desk.leave_out(value)
        self.refresh()

    def _vary(self, name: str, value: Any) -> None:
        """A slider of a scene's variable."""
        self.desk.vary(name, float(value))
        self.refresh()

    # --- the page itself --------------------------------------------------------------------------------------------

    def _build(self) -> None:
        control = self.server.controller
        control.trigger("viscera_shown")(self._shown)
        control.trigger("viscera_size")(self._resized)
        control.trigger("viscera_mouse")(self._mouse)
        control.trigger("viscera_key")(self._key)
        self.server.enable_module(
            {
                "serve": {"viscera": str(_ASSETS)},
                "scripts": ["viscera/page.js"],
                "styles": ["viscera/page.css"],
            }
        )
        self.state.update(
            {
                "trame__title": "Viscera",
                "number": 0,
                "picture": "",
                "foot": "",
                "error": "",
                "helping": False,
                "panel": None,
                "help": HELP,
            }
        )
        with DivLayout(self.server) as layout:
            layout.root.classes = "viscera"
            with html.Div(id="panes"):
                html.Img(src=("picture",), id="picture", draggable="false", v_if="picture")
                html.Pre("{{ error }}", id="error", v_if="error")
                lines = {"v_for": "row in help", "key": "row[0]"}
                with html.Table(id="help", v_if="helping"), html.Tbody(), html.Tr(**lines):
                    html.Td("{{ row[0] }}")
                    html.Td("{{ row[1] }}")
            html.Div("{{ foot }}", id="foot")
            with html.Div(id="panel", v_if="panel"):
                page_panel.build(self._key, self._take, self._vary)


def jpeg(picture: Image.Image) -> str:
    """A picture as a page takes it."""
    out = io.BytesIO()
    picture.save(out, format="JPEG", quality=90, subsampling=0)  # thin coloured lines stay sharp
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"


def serve(desk: Desk, place: str) -> None:
    """Serve a desk until Ctrl-C.

    Args:
        place: `port`, or `host:port`; the host is this machine alone unless given.

    Raises:
        UserError: nobody can listen there.
    """
    host, _, port = place.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise UserError(f"--web {place}: write a port from 0 to 65535, or host:port, as 127.0.0.1:8080")
    host = host.strip("[]") or "127.0.0.1"
    try:
        socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:  # asked first: trame would show a traceback
        desk.source.close()
        raise UserError(f"--web {place}: cannot listen there ({error.strerror}); try another port") from None
    page = Page(desk, host, int(port))
    arguments, sys.argv = sys.argv, sys.argv[:1]  # trame reads options of its own
    try:
        asyncio.run(page.serve(lambda url: print(f"open {url}  (Ctrl-C stops)", flush=True)))
    except KeyboardInterrupt:
        pass
    finally:
        sys.argv = arguments
