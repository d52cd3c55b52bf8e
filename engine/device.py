"""Where arrays live and kernels run: one Taichi runtime and one torch device a process."""

from __future__ import annotations

import contextlib
import functools
import io
import os

import taichi as ti
import torch

from engine import frontend
from engine.errors import UserError

frontend.lighten()

_active: torch.device | None = None
_process: int | None = None  # that started the runtime


def start(name: str = "auto", threads: int | None = None) -> torch.device:
    """Start Taichi on `name` and return the torch device its kernels share memory with.

    Args:
        name: `auto` (CUDA where there is one), `cpu` or `cuda`.
        threads: CPU threads of Taichi's kernels; None uses all.

    A second call with the same device (or `auto`) does nothing; asking for another one is an error,
    because tensors made before would be left on the old one.
    """
    global _active, _process
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f"device '{name}' is unknown; use auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device 'cuda' was asked for, but torch sees no CUDA GPU; use --device cpu")
    if _active is not None:
        _refuse_fork()
        if name not in ("auto", _active.type):
            raise UserError(f"kernels already run on {_active.type}; start a new process for {name}")
        return _active
    kind = name if name != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    options = {} if threads is None else {"cpu_max_num_threads": threads}
    # fast_math re-associates sums, and then a voxel's value depends on the kernel it was computed in. Taichi's own
    # optimiser takes five times as long to compile the interpreter, and LLVM's alone makes it as fast.
    with contextlib.redirect_stdout(io.StringIO()):  # it greets; standard output may be somebody's JSON
        ti.init(
            arch=ti.cuda if kind == "cuda" else ti.cpu,
            log_level=ti.WARN,
            fast_math=False,
            advanced_optimization=False,
            offline_cache=os.environ.get("VISCERA_KERNEL_CACHE", "1") != "0",
            **options,
        )
    _active, _process = torch.device(kind), os.getpid()
    return _active


def device() -> torch.device:
    """The torch device in use; starts the default one on first use."""
    if _active is None:
        return start()
    _refuse_fork()
    return _active


def _refuse_fork() -> None:
    """A forked process has the runtime without its threads: a kernel would wait for them for ever."""
    if _process != os.getpid():
        raise UserError(
            "this process was forked from one that had started its kernels, and cannot run any; start it afresh "
            "(DataLoader: multiprocessing_context='spawn')"
        )


def kernel(function):
    """A Taichi kernel that starts the runtime on its first call, so that importing a module costs nothing."""
    compiled = ti.kernel(function)

    @functools.wraps(function)
    def run(*args):
        device()
        return compiled(*args)

    return run
