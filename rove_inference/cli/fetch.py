"""`rove policy fetch`: a bundle from a web server, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rove_core.joint_space import JointSpace
from rove_inference.cli.arguments import DEFAULT_ROBOT, Robot


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("fetch")(fetch)


def fetch(
    url: Annotated[str, typer.Argument(help="Folder with policy.yaml, or a .txt with one per line, the newest last.")],
    folder: Annotated[Path, typer.Argument(help="Where bundles are kept: the folder that policy_node watches.")],
    robot: Robot = DEFAULT_ROBOT,
) -> None:
    """Copy a bundle from a web server; it appears in the folder when every file of it has arrived."""
    from rove_inference.fetch import fetch as copy

    path, fetched = copy(url, folder, JointSpace.load(robot))
    typer.echo(f"{path}" if fetched else f"{path}: nothing new")
