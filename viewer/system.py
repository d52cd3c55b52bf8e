"""What the system must offer before VTK may draw: asked first, because VTK crashes where something is missing."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from engine.errors import UserError

_INSTALL = "on Debian or Ubuntu: sudo apt-get install libegl1 libgl1-mesa-dri (elsewhere: Mesa with EGL)"
_WINDOW_INSTALL = "on Debian or Ubuntu: sudo apt-get install libgl1 libgl1-mesa-dri libxrender1"
_WINDOW_LIBRARIES = ("libGL.so.1", "libX11.so.6", "libXrender.so.1")


@functools.cache
def require_offscreen(library: str = "libEGL.so.1") -> None:
    """Make sure that pictures can be drawn without a display, or say which packages are missing.

    Asks in a process of its own (some 50 ms, once), so that a broken driver cannot take this one down. macOS and
    Windows bring what is needed.
    """
    if not sys.platform.startswith("linux"):
        return
    probe = [sys.executable, str(Path(__file__).with_name("egl.py")), library]
    answer = subprocess.run(probe, capture_output=True, text=True, timeout=60, check=False)
    if answer.returncode:
        lines = answer.stderr.strip().splitlines() if answer.returncode == 1 else []
        reason = lines[-1] if lines else f"the OpenGL driver crashed (exit code {answer.returncode})"
        raise UserError(f"3-D picture: {reason}; {_INSTALL}")


def require_display() -> None:
    """Make sure that a window can be opened, or say what to do instead; VTK would end the process."""
    if not sys.platform.startswith("linux"):
        return
    instead = "serve a page (--web 8080) or write a picture (--screenshot FILE.png) instead"
    name = os.environ.get("DISPLAY")
    if not name:
        raise UserError(f"view: there is no display for a window; {instead}")
    for library in _WINDOW_LIBRARIES:
        try:
            ctypes.CDLL(library)
        except OSError:
            raise UserError(f"view: the library {library} is missing for a window; {_WINDOW_INSTALL}") from None
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    display = x11.XOpenDisplay(None)
    if not display:
        raise UserError(f"view: the display {name} does not answer; {instead}")
    x11.XCloseDisplay(ctypes.c_void_p(display))


@contextlib.contextmanager
def offscreen_windows() -> Iterator[None]:
    """While this holds, VTK makes EGL windows on Linux, which need neither an X server nor a GPU."""
    require_offscreen()
    name = "VTK_DEFAULT_OPENGL_WINDOW"
    before = os.environ.get(name)
    if sys.platform.startswith("linux"):
        os.environ[name] = "vtkEGLRenderWindow"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before
