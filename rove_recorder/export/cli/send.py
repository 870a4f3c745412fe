"""`rove export DIR --to URL`: send what the target lacks."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from rove_core.errors import ConfigError, nearest
from rove_recorder.export.cli.arguments import (
    EXIT_PROBLEMS,
    EXIT_TRY_AGAIN,
    PACKED,
    ZARR,
    AsJson,
    Folder,
    Format,
    Jobs,
    Robot,
    SshConfig,
    To,
    try_again_later,
)


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("send")(send)


def send(
    folder: Folder,
    to: To,
    robot: Robot,
    kind: Format = ZARR,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="NAME=VALUE for the format; may be repeated.")
    ] = None,
    select: Annotated[str, typer.Option(help="SQL condition over the catalogue, as \"outcome = 'success'\".")] = "",
    since_last: Annotated[
        bool, typer.Option("--since-last", help="Only what was finished or annotated since the last manifest.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume",
            help="Go on where an earlier run was cut; --no-resume: the target hashes everything that it has anew.",
        ),
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Flagged episodes too; never unlabelled or damaged.")] = False,
    jobs: Jobs = 4,
    keep_days: Annotated[
        float | None,
        typer.Option(min=0, help="Afterwards delete here what is older and safely there.", show_default="keep all"),
    ] = None,
    ssh_config: SshConfig = None,
    report: Annotated[Path | None, typer.Option(help="Write a summary as HTML.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send what the target lacks of the episodes that are finished, labelled and sound.

    Exit codes: 0 everything is there, 1 something was refused, 2 wrong usage, 75 the target did not answer: the
    same command goes on another time.
    """
    from rove_recorder.export.exporter import Order, export
    from rove_recorder.export.retention import prune
    from rove_recorder.export.summary import write_page
    from rove_recorder.export.targets import open_target
    from rove_recorder.formats import FORMATS
    from rove_recorder.formats.options import parse_options

    if kind not in (ZARR, PACKED, *FORMATS):
        raise ConfigError(f"no format '{kind}'", nearest(kind, (ZARR, PACKED, *FORMATS)))
    order = Order(
        root=folder,
        robot=robot,
        kind=ZARR if kind == PACKED else kind,
        select=select,
        since_last=since_last,
        packed=kind == PACKED,
        force=force,
        trust_journal=resume,
        dry_run=dry_run,
        jobs=jobs,
        format_options=parse_options(option or []),
    )

    def say(line: str) -> None:
        typer.echo(line, err=as_json)

    target = open_target(to, jobs, ssh_config)
    try:
        summary = export(order, target, datetime.now(UTC), say)
        if keep_days is not None and not summary.interrupted:
            with try_again_later():
                pruned = prune(folder, target, robot, keep_days, datetime.now(UTC), delete=not dry_run, say=say)
            summary.deleted = len(pruned.deleted)
    finally:
        target.close()
    if report is not None:
        write_page(summary, report)
    for note in summary.notes:
        say(note)
    typer.echo(json.dumps(summary.as_json(), indent=2) if as_json else summary.line())
    if summary.interrupted:
        typer.echo(f"error: {summary.interrupted}", err=True)
        typer.echo("hint: the same command goes on where this one stopped", err=True)
        raise typer.Exit(EXIT_TRY_AGAIN)
    if summary.refused:
        raise typer.Exit(EXIT_PROBLEMS)
