"""`rove policy`: policy bundles. One module of this folder per sub-command; see rove_core.command_group."""

from __future__ import annotations

import sys

import typer

from rove_core.command_group import add_command_group

ABOUT = "Policy bundles: what is in one, is it sound, how fast, how good."


def register(app: typer.Typer) -> None:
    """Add `rove policy` to the command."""
    add_command_group(app, "policy", ABOUT, sys.modules[__name__])
