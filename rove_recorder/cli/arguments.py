"""Arguments that several sub-commands of `rove episodes` take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(help="Folder with sessions, a session, or an episode.", show_default=False)]
OneEpisode = Annotated[Path, typer.Argument(help="An episode: a folder that ends in .zarr.", show_default=False)]
Catalogue = Annotated[Path, typer.Argument(help="Folder with episodes, or a catalogue as parquet.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

EXIT_PROBLEMS = 1  # the command did its work, and what it looked at is not sound


def episodes(count: int) -> str:
    """ "1 episode", "2 episodes"."""
    return f"{count} episode" + ("" if count == 1 else "s")
