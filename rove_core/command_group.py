"""A group of sub-commands, one module each: `rove policy ...`, `rove episodes ...`."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from types import ModuleType
from typing import Annotated

import typer

from rove_core.errors import RoveError


def add_command_group(app: typer.Typer, name: str, about: str, package: ModuleType) -> None:
    """Add `rove <name>` with a sub-command from every module of `package` that has `register(group)`.

    Nothing else has to be told of such a module. All of them are imported whenever `rove` starts: what is slow to
    import (onnxruntime, torch, cv2, zarr) is imported inside the command.
    """
    group = typer.Typer(help=about, no_args_is_help=True)
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda module: module.name):
        try:
            found = import_module(f"{package.__name__}.{module.name}")
        except ImportError as error:
            add_unavailable_command(group, module.name, f"rove {name} {module.name}", str(error))
            continue
        if hasattr(found, "register"):
            found.register(group)
    app.add_typer(group, name=name)


def add_unavailable_command(group: typer.Typer, name: str, full_name: str, why: str) -> None:
    """Stand in for a command that cannot be imported, so that it does not take the others along."""

    @group.command(name, help=f"(not available: {why})", context_settings={"ignore_unknown_options": True})
    def _unavailable(_arguments: Annotated[list[str] | None, typer.Argument(hidden=True)] = None) -> None:
        raise RoveError(f"`{full_name}` is not available: {why}", "`rove doctor` says what is missing on this machine")
