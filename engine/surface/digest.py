"""What a mesh file holds, told by its content rather than by its name."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

_MOST_BYTES = 1 << 30


def digest_of(path: Path) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a file's content; ValueError where it cannot be read."""
    try:
        about = path.stat()
        if about.st_size > _MOST_BYTES:
            raise ValueError(f"mesh file '{path}' is larger than {_MOST_BYTES >> 30} GiB; reduce its faces")
        return _digest(path, about.st_size, about.st_mtime_ns)
    except FileNotFoundError:
        raise ValueError(f"mesh file '{path}' does not exist") from None
    except OSError as error:
        raise ValueError(f"mesh file '{path}' cannot be read ({error.strerror or error})") from None


@functools.lru_cache(maxsize=1024)
def _digest(path: Path, _size: int, _changed: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
