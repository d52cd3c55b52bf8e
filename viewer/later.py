"""Work that is put off until the user rests: slices answer at once, organs drawn by the CPU follow."""

from __future__ import annotations

import time

_REST_SECONDS = 0.12
_MOST_SECONDS = 1.0  # whoever never rests (cine) sees it now and then


class Later:
    """Whether something has been put off, and whether its time has come."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._last = 0.0

    def put_off(self) -> None:
        """Leave it for now, and again from now on."""
        self._last = time.monotonic()
        self._since = self._last if self._since is None else self._since

    def done(self) -> None:
        """It has been done."""
        self._since = None

    @property
    def due(self) -> bool:
        """Whether it has been put off for long enough."""
        if self._since is None:
            return False
        now = time.monotonic()
        return now - self._last >= _REST_SECONDS or now - self._since >= _MOST_SECONDS
