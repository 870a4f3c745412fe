"""`rove episodes`: recorded attempts. One module of this folder per sub-command; see rove_core.command_group."""

from __future__ import annotations

import sys

import typer

from rove_core.command_group import add_command_group


def register(app: typer.Typer) -> None:
    """Add `rove episodes` to the command."""
    add_command_group(
        app, "episodes", "Look at recorded attempts, find, check, correct, merge them.", sys.modules[__name__]
    )
