"""`rove episodes select`: the episodes for which a condition holds."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from rove_recorder.cli.arguments import AsJson, Catalogue, episodes


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("select")(select)


def select(
    folder: Catalogue,
    where: Annotated[
        str, typer.Argument(help="SQL condition, as \"outcome = 'success' AND takeovers > 0\".", show_default=False)
    ],
    as_json: AsJson = False,
    paths: Annotated[bool, typer.Option("--paths", help="Print only paths, one per line.")] = False,
) -> None:
    """Episodes for which a SQL condition over the columns of the catalogue holds."""
    from rove_recorder.catalogue.catalogue import open_catalogue
    from rove_recorder.catalogue.catalogue import select as select_rows

    catalogue = open_catalogue(folder)
    found = select_rows(catalogue, where)
    if as_json:
        typer.echo(json.dumps(found.to_dicts(), indent=2, default=str))
        return
    if paths:
        import polars as pl

        here = isinstance(catalogue, pl.DataFrame)  # else parquet, about episodes that are elsewhere
        for path in found["path"]:
            typer.echo(folder / path if here else path)
        return
    for row in found.iter_rows(named=True):
        opened = f"{row['opened']:%Y-%m-%d %H:%M:%S}" if row["opened"] else "-"
        outcome = row["outcome"] or "unreadable"
        typer.echo(
            f"{row['path']}  {opened}  {outcome}  {row['seconds'] or 0:.1f} s  {row['takeovers'] or 0} takeovers"
        )
    typer.echo(f"{episodes(len(found))}, {(found['seconds'].sum() or 0) / 3600:.2f} h")
