"""`rove export prune DIR --to URL`: make room on the robot."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from rove_recorder.export.cli.arguments import AsJson, Folder, Robot, SshConfig, To, try_again_later


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("prune")(prune)


def prune(
    folder: Folder,
    to: To,
    robot: Robot,
    keep_days: Annotated[float, typer.Option(min=0, help="Keep what was finished in the last days.")],
    delete: Annotated[bool, typer.Option("--delete", help="Delete; without it only say what would be.")] = False,
    ssh_config: SshConfig = None,
    as_json: AsJson = False,
) -> None:
    """Delete episodes here that are old and safely at the target: a manifest names them, and every hash is right.

    Deletes nothing without --delete. Exit code 75 when the target does not answer.
    """
    from rove_recorder.export.retention import prune as prune_folder
    from rove_recorder.export.targets import open_target

    target = open_target(to, 1, ssh_config)
    try:
        with try_again_later():
            result = prune_folder(
                folder,
                target,
                robot,
                keep_days,
                datetime.now(UTC),
                delete=delete,
                say=lambda line: typer.echo(line, err=as_json),
            )
    finally:
        target.close()
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2))
        return
    did = "deleted" if delete else "would delete"
    size = f"{result.bytes / 1e6:.1f} MB"
    typer.echo(f"{did} {len(result.deleted)} episodes, {size}; {result.young} too new, {len(result.kept)} not covered")
    if result.deleted and not delete:
        typer.echo("nothing was deleted: add --delete")
