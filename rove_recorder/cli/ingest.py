"""`rove episodes ingest`: the catalogue of many robots from the manifests of their exports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rove_recorder.cli.arguments import EXIT_PROBLEMS, episodes


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("ingest")(ingest)


def ingest(
    target: Annotated[str, typer.Argument(help="Folder or URL that robots export to.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Folder of the catalogue.", show_default=False)],
) -> None:
    """Add what robots exported to a catalogue for `select` and `stats`; reads manifests, opens no episode."""
    from rove_recorder.catalogue.ingest import ingest as ingest_target
    from rove_recorder.episode_format.locations import locate

    done = ingest_target(locate(target), out)
    for line in done.damaged:
        typer.echo(line, err=True)
    typer.echo(f"{done.manifests} new manifests with {episodes(done.rows)}: {out}")
    if done.damaged:
        raise typer.Exit(EXIT_PROBLEMS)
