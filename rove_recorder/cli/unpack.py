"""`rove episodes unpack`: the folders of packed episodes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("unpack")(unpack)


def unpack(
    files: Annotated[list[Path], typer.Argument(help="Packed episodes: .zarr.zip files.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder for the episodes.", show_default=False)],
) -> None:
    """Make the folders of packed episodes again and compare them with their hashes."""
    from rove_recorder.episode_format.packing import unpack as unpack_episode

    for file in files:
        typer.echo(unpack_episode(file, out))
