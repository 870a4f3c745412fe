"""Arguments that several sub-commands of `rove export` take, and how they end."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from rove_core.errors import UnreachableError

EXIT_PROBLEMS = 1  # something was refused, is missing or damaged
EXIT_TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h: the target did not answer

Folder = Annotated[Path, typer.Argument(help="Folder with sessions, a session, or an episode.", show_default=False)]
To = Annotated[
    str,
    typer.Option("--to", help="A folder, ssh://[user@]host[:port]/folder or s3://bucket/prefix.", show_default=False),
]
Robot = Annotated[
    str,
    typer.Option(
        envvar="ROVE_ROBOT",
        default_factory=socket.gethostname,
        help="This robot's name at the target.",
        show_default="name of this computer",
    ),
]
Format = Annotated[
    str,
    typer.Option(
        "--format",
        help="zarr: episodes as they are; packed: the same, one zip file each; lerobot, replay_buffer: converted.",
    ),
]
ZARR, PACKED = "zarr", "packed"
Jobs = Annotated[int, typer.Option(min=1, max=64, help="Connections at a time.")]
SshConfig = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="For ssh, instead of ~/.ssh/config.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contextmanager
def try_again_later() -> Iterator[None]:
    """Leave with EXIT_TRY_AGAIN when the target does not answer."""
    try:
        yield
    except UnreachableError as error:
        typer.echo(f"error: {error}", err=True)
        typer.echo(f"hint: {error.hint}", err=True)
        raise typer.Exit(EXIT_TRY_AGAIN) from None
