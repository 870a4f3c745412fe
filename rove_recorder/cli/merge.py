"""`rove episodes merge`: sessions of several folders in one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rove_recorder.cli.arguments import EXIT_PROBLEMS


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("merge")(merge)


def merge(
    sources: Annotated[list[Path], typer.Argument(help="Folders with sessions, or episodes.", show_default=False)],
    into: Annotated[Path, typer.Option("--into", help="Folder to bring them to.", show_default=False)],
) -> None:
    """Copy finished episodes into one folder: nothing is overwritten, what is there already stays."""
    from rove_recorder.catalogue.merging import ANNOTATED, COPIED, THERE
    from rove_recorder.catalogue.merging import merge as merge_folders

    counts = {COPIED: 0, ANNOTATED: 0, THERE: 0}
    refused = 0
    for path, what in merge_folders(sources, into):
        if what in counts:
            counts[what] += 1
        else:
            typer.echo(f"{path}: {what}", err=True)
            refused += 1
    typer.echo(", ".join(f"{count} {what}" for what, count in counts.items()) + f", {refused} refused: {into}")
    if refused:
        raise typer.Exit(EXIT_PROBLEMS)
