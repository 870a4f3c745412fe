"""`rove episodes index`: the catalogue of a folder."""

from __future__ import annotations

import typer

from rove_recorder.cli.arguments import Folder, episodes


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("index")(index)


def index(
    folder: Folder,
) -> None:
    """Bring the catalogue of a folder up to date; the other commands do so by themselves."""
    from rove_recorder.catalogue.catalogue import INDEX, catalogue_of

    frame = catalogue_of(folder)
    unreadable = frame.filter(frame["problem"] != "")
    for row in unreadable.iter_rows(named=True):
        typer.echo(f"{row['path']}: {row['problem']}")
    typer.echo(f"{episodes(len(frame))}, {len(unreadable)} unreadable: {folder / INDEX}")
