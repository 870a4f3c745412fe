"""Python functions of numbers, compiled to machine code (numba): the control loop's arithmetic in plain `if` and `for`.

A loop over 50 joints with a branch per joint is what a reader wants and what the interpreter is too slow for. A
`scalar` function is called by other compiled functions; `compiled` turns an outermost one, which takes arrays, into
machine code before the loop starts: nothing is ever compiled later. With NUMBA_DISABLE_JIT=1 all of it stays Python.

Compiling takes seconds, so the result is kept in `~/.cache/rove_hil` (or NUMBA_CACHE_DIR), in a folder named after the
sources' content: numba itself would not see a change in a function that is called from another file. Where nothing can
be written, or what was written is damaged, it is compiled anew.

The interpreter's lock is kept: the functions take tens of microseconds, and taking the lock back from another thread
can take longer. No `fastmath`: comparisons with NaN must be false.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

# Division by zero gives infinity, as in numpy arrays; it never raises in the control loop.
_OPTIONS = {"error_model": "numpy"}

_sources: set[str] = set()
_made: dict[tuple[Callable[..., Any], tuple[Any, ...]], Callable[..., Any]] = {}


def scalar(function: F) -> F:
    """Marks a function of numbers that compiled functions call. Compiled together with them, not before."""
    _sources.add(inspect.getfile(function))
    return cast(F, numba.njit(**_OPTIONS)(function))


def compiled(function: F, *arguments: object) -> F:
    """`function` as machine code for arguments of the types of `arguments`; other types are refused later.

    Takes seconds the first time on a machine, some 50 ms when it is in the cache, nothing the second time in a process.
    """
    if numba.config.DISABLE_JIT:
        return function
    key = (function, tuple(numba.typeof(argument) for argument in arguments))
    if key not in _made:
        _made[key] = _make(*key)
    return cast(F, _made[key])


def _make(function: Callable[..., Any], types: tuple[Any, ...]) -> Callable[..., Any]:
    folder = _cache_folder({*_sources, inspect.getfile(function)})
    if folder is not None:
        try:
            return _compile(function, types, folder)
        except Exception:  # noqa: BLE001 - whatever a damaged cache raises; what is wrong with the function comes again
            shutil.rmtree(folder, ignore_errors=True)
    return _compile(function, types, None)


def _compile(function: Callable[..., Any], types: tuple[Any, ...], folder: Path | None) -> Callable[..., Any]:
    dispatcher = numba.njit(**_OPTIONS)(function)
    if folder is not None:
        before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder)
        try:
            dispatcher.enable_caching()
            dispatcher.compile(types)
        finally:
            numba.config.CACHE_DIR = before
    else:
        dispatcher.compile(types)
    dispatcher.disable_compile()
    return cast(Callable[..., Any], dispatcher)


def _cache_folder(sources: set[str]) -> Path | None:
    """Where the machine code of `sources` is kept, only readable for this user; None when it cannot be."""
    digest = hashlib.sha256(numba.__version__.encode())
    try:
        for source in sorted(sources):
            digest.update(Path(source).read_bytes())
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        base = Path(numba.config.CACHE_DIR or home) / "rove_hil"
        folder = base / digest.hexdigest()[:16]
        # Never a shared place such as /tmp: what lies in the cache is executed.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: this user has no home
        return None
    return folder if os.access(folder, os.W_OK) else None
