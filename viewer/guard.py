"""Who may use a served page: right names, no other site's page, and the token where there is one."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

#: Names of this machine that no other one reaches.
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_COOKIE = "viscera"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def guard(host: str, token: str) -> Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]:
    """What every request must pass: right names, no other site's page, and the token where there is one.

    A page of another site that is open in the same browser may send requests to this machine; its own name stands in
    `Origin`, or, where it made its name point here, in `Host`.
    """
    names = LOOPBACK if host in LOOPBACK else frozenset()

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
