"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from engine.errors import UserError

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space or choose another disk",
    errno.EDQUOT: "your disk quota is used up; free some space or choose another disk",
    errno.EACCES: "permission denied; choose a folder you may write to",
    errno.EPERM: "permission denied; choose a folder you may write to",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.ENOTDIR: "part of the path is a file, not a folder; choose another place",
    errno.EEXIST: "part of the path is a file, not a folder; choose another place",
    errno.EISDIR: "there is a folder of that name; choose another name",
}

#: Temporary names start with this and the number of the process that writes.
PARTIAL = ".part-"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of `path` that takes its place when the block ends well.

    The temporary name ends as `path` does, so that libraries which look at endings write the same format. A failed
    block leaves nothing behind; a file that was there before stays as it was.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
        try:
            yield partial
            _flush(partial)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def write_bytes(path: str | Path, data: bytes) -> Path:
    """Write `data` to `path`, whole or not at all; folders are made as needed."""
    path = Path(path)
    with replacing(path) as partial:
        partial.write_bytes(data)
    return path


def write_text(path: str | Path, text: str) -> Path:
    """Write `text` to `path` as UTF-8, whole or not at all."""
    return write_bytes(path, text.encode())


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write `path` into a message for the user."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, f"{error.strerror or error}; choose another place")
        raise UserError(f"{path}: cannot be written; {advice}") from error


def _flush(path: Path) -> None:
    """Have the bytes on the disk before the name points at them: a power cut must not leave an empty file."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
