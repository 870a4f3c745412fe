"""`rove episodes recover`: finish what a dead recorder left open."""

from __future__ import annotations

import typer

from rove_recorder.cli.arguments import EXIT_PROBLEMS, Folder


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("recover")(recover)


def recover(folder: Folder) -> None:
    """Finish episodes whose recorder died; they become readable and unlabelled."""
    from rove_recorder.recording.recovery import recover as recover_folder

    done = recover_folder(folder)
    for path, what in done:
        typer.echo(f"{path}: {what}")
    if not done:
        typer.echo("nothing to recover")
    if any(what != "recovered" for _, what in done):
        raise typer.Exit(EXIT_PROBLEMS)
