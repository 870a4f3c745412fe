"""`rove episodes stats`: how much was recorded, and how it went."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from rove_recorder.cli.arguments import AsJson, Catalogue


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("stats")(stats)


def stats(
    folder: Catalogue,
    where: Annotated[str, typer.Option("--select", help="SQL condition over the catalogue.")] = "",
    as_json: AsJson = False,
) -> None:
    """Episodes, hours, stages and the human's share, per task, policy index and operator."""
    from rove_recorder.catalogue.catalogue import open_catalogue, select
    from rove_recorder.catalogue.catalogue_stats import stats_of, stats_text

    frame = open_catalogue(folder)
    found = stats_of(select(frame, where) if where else frame)
    typer.echo(json.dumps(found, indent=2) if as_json else stats_text(found))
