"""`rove policy`: look at policy bundles, try them, serve them. One module of this folder per sub-command.

A module that has `register(group)` adds itself; nothing else has to be told of it. All of them are imported whenever
`rove` starts: what is slow to import (onnxruntime, torch, cv2) is imported inside the command.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Annotated

import typer

from rove_core.errors import RoveError


def register(app: typer.Typer) -> None:
    """Add `rove policy` to the command."""
    group = typer.Typer(help="Policy bundles: what is in one, is it sound, how fast, how good.", no_args_is_help=True)
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        _add(group, module.name)
    app.add_typer(group, name="policy")


def _add(group: typer.Typer, name: str) -> None:
    """Add one module's command; one that cannot be imported must not take the others along."""
    try:
        module = import_module(f"{__name__}.{name}")
    except ImportError as error:
        missing = f"`rove policy {name}` is not available: {error}"

        @group.command(name, help=f"(not available: {error})", context_settings={"ignore_unknown_options": True})
        def _unavailable(_arguments: Annotated[list[str] | None, typer.Argument(hidden=True)] = None) -> None:
            raise RoveError(missing, "`rove doctor` says what is missing on this machine")

        return
    if hasattr(module, "register"):
        module.register(group)
