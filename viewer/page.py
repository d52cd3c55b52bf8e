"""The viewer in a browser: the same desk behind a trame server; one picture of all panes, and a panel of HTML."""

from __future__ import annotations

import asyncio
import base64
import hmac
import io
import secrets
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from PIL import Image
from trame.app import get_server
from trame.ui.html import DivLayout
from trame.widgets import html

from engine.errors import UserError
from engine.picture import TITLES
from viewer import actions
from viewer.desk import KEYS, Desk
from viewer.legend import ordered
from viewer.orbit import Orbit
from viewer.panes import Cell, draw_panes

_ASSETS = Path(__file__).with_name("assets")
_POLL_SECONDS = 0.03
_LOST_SECONDS = 1.0  # a page that has not shown what it was sent by then is closed
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_COOKIE = "viscera"
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
        self.token = "" if host in _LOOPBACK else secrets.token_urlsafe(16)
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
                if self.orbit.later.due:  # they are not among the panes
                    self.orbit.later.done()
                self.state.panel = self._panel()

    def _panel(self) -> dict[str, Any]:
        subject, view = self.desk.shown, self.desk.view
        low, high = view.window
        return {
            "name": subject.name,
            "size": " of ".join(subject.measures),
            "notes": subject.notes,
            "place": self.desk.source.place,
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
                    ("d", "measure", self.desk.measuring),
                    (" ", "cine", self.desk.playing),
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
            **self._scene(),
        }

    def _scene(self) -> dict[str, Any]:
        source = self.desk.draws
        if source is None:
            return {"seed": None, "sliders": [], "phase": None, "left_out": []}
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
            "phase": source.phase,
            "left_out": source.left_out,
        }

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
                "keys": [{"names": key.title, "says": key.says} for key in KEYS],
            }
        )
        with DivLayout(self.server) as layout:
            layout.root.classes = "viscera"
            with html.Div(id="panes"):
                html.Img(src=("picture",), id="picture", draggable="false", v_if="picture")
                html.Pre("{{ error }}", id="error", v_if="error")
                with html.Table(id="help", v_if="helping"), html.Tbody():
                    with html.Tr():
                        html.Td("1-9")
                        html.Td("windows of the image")
                    with html.Tr(v_for="key in keys", key="key.names"):
                        html.Td("{{ key.names }}")
                        html.Td("{{ key.says }}")
            html.Div("{{ foot }}", id="foot")
            with html.Div(id="panel", v_if="panel"):
                self._build_panel()

    def _build_panel(self) -> None:
        html.H1("{{ panel.name }}")
        html.P("{{ panel.size }}")
        html.Div("{{ note }}", v_for="note in panel.notes", key="note", classes="note")
        with html.Div(classes="row", v_if="panel.place", id="place"):
            html.Span("{{ panel.place }}")
            self._build_steps()
        with html.Div(classes="row"):
            html.Button(
                "{{ one.title }}",
                v_for="one in panel.images",
                key="one.name",
                classes=("one.on ? 'on' : ''",),
                click=(self._take, "['image', one.name]"),
            )
            html.Button(
                "all", classes=("panel.beside ? 'on' : ''",), click=(self._key, "['c']"), v_if="panel.images.length > 1"
            )
        with html.Div(classes="row"):
            html.Button(
                "{{ i + 1 }} {{ one.name }}",
                v_for="(one, i) in panel.presets",
                key="one.name",
                classes=("one.on ? 'on' : ''",),
                click=(self._take, "['preset', one.name]"),
            )
        html.P("{{ panel.window }}")
        with html.Label(classes="slider"):
            html.Span("labels")
            html.Input(
                type="range",
                min=0,
                max=100,
                value=("panel.opacity",),
                input=(self._take, "['opacity', $event.target.value]"),
                id="opacity",
            )
            html.Span("{{ panel.opacity }} %")
        with html.Div(classes="row"):
            html.Button(
                "{{ one.title }}",
                v_for="one in panel.flags",
                key="one.key",
                classes=("one.on ? 'on' : ''",),
                click=(self._key, "[one.key]"),
            )
        with html.Div(classes="row", v_if="panel.seed !== null"):
            html.Span("seed {{ panel.seed }}", id="seed")
            self._build_steps()
            html.Button("save", click=(self._key, "['s']"), title="write this sample as a scene of its own")
        with html.Label(classes="slider", v_for="one in panel.sliders", key="one.name"):
            html.Span("{{ one.name }}")
            html.Input(
                type="range",
                min=("one.low",),
                max=("one.high",),
                step=("one.step",),
                value=("one.value",),
                input=(self._vary, "[one.name, $event.target.value]"),
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
                input=(self._take, "['phase', $event.target.value]"),
                id="phase",
            )
            html.Span("{{ panel.phase }}")
        with html.Ul(id="structures"), html.Li(v_for="one in panel.structures", key="one.label"):
            with html.Span(
                classes=("one.off ? 'off' : ''",),
                style=("{ paddingLeft: one.depth * 12 + 'px' }",),
                click=(self._take, "['structure', one.label]"),
                dblclick=(self._take, "['alone', one.label]"),
            ):
                html.I(style=("{ background: one.off ? 'transparent' : one.color, borderColor: one.color }",))
                html.Span("{{ one.name }}")
            html.Button(
                "×",
                v_if="panel.seed !== null",
                click=(self._take, "['leave out', one.drawn]"),
                title="draw the scene without it",
            )
        with html.Div(classes="row", v_if="panel.left_out.length", id="left-out"):
            html.Span("without")
            html.Button(
                "{{ name }}", v_for="name in panel.left_out", key="name", click=(self._take, "['leave out', name]")
            )

    def _build_steps(self) -> None:
        html.Button("next", click=(self._key, "['n']"), classes="next")
        html.Button("previous", click=(self._key, "['[']"))


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def guard(host: str, token: str) -> Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]:
    """What every request must pass: right names, no other site's page, and the token where there is one.

    A page of another site that is open in the same browser may send requests to this machine; its own name stands in
    `Origin`, or, where it made its name point here, in `Host`.
    """
    names = _LOOPBACK if host in _LOOPBACK else frozenset()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if names and urlsplit(f"//{request.host}").hostname not in names:
            raise web.HTTPForbidden(text="this address is not that of the viewer")
        origin = request.headers.get("Origin")
        if origin and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(text="another site's page may not use the viewer")
        if not token:
            return await handler(request)
        if hmac.compare_digest(request.query.get("token", ""), token):
            answer = web.HTTPFound("/index.html")
            answer.set_cookie(_COOKIE, token, httponly=True, samesite="Strict")
            raise answer
        if not hmac.compare_digest(request.cookies.get(_COOKIE, ""), token):
            raise web.HTTPForbidden(text="the viewer's address ends in ?token=...; copy all of it")
        return await handler(request)

    return check


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
