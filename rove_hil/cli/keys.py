"""`rove keys`: key pairs for encrypted wires."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rove_core.keys import write_pair


def register(app: typer.Typer) -> None:
    """Add `keys` to the command."""
    group = typer.Typer(help="Key pairs for encrypted wires: motion capture, policy servers.", no_args_is_help=True)
    group.command("new")(new)
    app.add_typer(group, name="keys")


def new(
    name: Annotated[str, typer.Argument(help="Whose: headset, robot, gpu-box, ...")],
    folder: Annotated[Path, typer.Option(help="Where to put them.")] = Path("keys"),
) -> None:
    """Make a key pair for an encrypted wire."""
    public, secret = write_pair(folder, name)
    typer.echo(f"{public}: hand this one out")
    typer.echo(f"{secret}: this one stays where it is used")
