"""`rove episodes pack`: episodes as one file each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rove_recorder.cli.arguments import Folder, episodes


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("pack")(pack)


def pack(
    folder: Folder,
    out: Annotated[Path, typer.Option("--out", help="Folder for the files.", show_default=False)],
    where: Annotated[str, typer.Option("--select", help="SQL condition over the catalogue.")] = "",
) -> None:
    """Write finished episodes as uncompressed .zarr.zip files, which readers of zarr open as they are."""
    from rove_recorder.catalogue.catalogue import catalogue_of, select
    from rove_recorder.episode_format.packing import pack as pack_episode

    found = select(catalogue_of(folder), where or "problem = ''")
    for name in found["path"]:
        typer.echo(pack_episode(folder / name, out))
    typer.echo(f"{episodes(len(found))} packed: {out}")
