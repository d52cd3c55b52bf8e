"""A program of its own that asks whether EGL can draw off-screen here: exit code 0 = yes, else a line says why not.

VTK crashes the process when libraries are missing, so this runs first and in another process (`viewer.system`). It
takes the route VTK takes: the devices of `eglQueryDevicesEXT`, or the default display. Standard library only.
"""

import ctypes
import sys

_PLATFORM_DEVICE = 0x313F  # EGL_PLATFORM_DEVICE_EXT
_MOST_DEVICES = 16


def fault(library: str) -> str | None:
    """Why EGL of `library` cannot draw, or None if it can."""
    try:
        egl = ctypes.CDLL(library)
    except OSError:
        return f"the library {library} is missing"
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    egl.eglGetProcAddress.argtypes = [ctypes.c_char_p]
    egl.eglGetDisplay.restype = ctypes.c_void_p
    egl.eglGetDisplay.argtypes = [ctypes.c_void_p]
    displays = [*_device_displays(egl), egl.eglGetDisplay(None)]
    if not any(_starts(egl, display) for display in displays if display):
        return "the library libEGL.so.1 is there, but no OpenGL driver answers"
    return None


def _device_displays(egl: ctypes.CDLL) -> list:
    query = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    display_of = egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
    if not query or not display_of:
        return []
    devices = (ctypes.c_void_p * _MOST_DEVICES)()
    count = ctypes.c_int(0)
    ask = ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int))(query)
    ask(_MOST_DEVICES, devices, ctypes.byref(count))
    get = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)(display_of)
    return [get(_PLATFORM_DEVICE, devices[i], None) for i in range(count.value)]


def _starts(egl: ctypes.CDLL, display: int) -> bool:
    egl.eglInitialize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    return bool(egl.eglInitialize(display, None, None))


if __name__ == "__main__":
    reason = fault(sys.argv[1])
    if reason:
        sys.exit(reason)
