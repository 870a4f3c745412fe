"""`rove policy accept`: give a running robot another policy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# Reading, hashing and warming up some ten gigabytes takes minutes.
LIMIT_S = 600.0


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("accept")(accept)


def accept(
    bundle: Annotated[
        Path | None, typer.Argument(help="Folder of a bundle; none: the newest that policy_node offers.")
    ] = None,
    limit: Annotated[float, typer.Option(min=1.0, help="Give up after so many seconds.")] = LIMIT_S,
) -> None:
    """Load a bundle beside the running one and switch to it, in IDLE or PAUSED. Exit code 1 when that is refused."""
    from rove_inference.ros.swap_request import request_swap

    typer.echo(f"{request_swap('' if bundle is None else str(bundle.absolute()), limit)} is in force")
