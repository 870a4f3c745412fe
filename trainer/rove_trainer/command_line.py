"""How the trainer's commands end: errors of this project are one line and a hint."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from rove_core.errors import RoveError


def run(command: Callable[..., None]) -> None:
    """Run a typer command as a program."""
    try:
        typer.run(command)
    except RoveError as error:
        print(f"error: {error}" + (f"\n  {error.hint}" if error.hint else ""), file=sys.stderr)  # noqa: T201 - process edge
        sys.exit(1)
