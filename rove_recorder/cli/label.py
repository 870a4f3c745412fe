"""`rove episodes label`: say how attempts ended, and when progress was made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rove_core.errors import EpisodeError


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("label")(label)


def label(
    episodes: Annotated[
        list[Path],
        typer.Argument(help="Episodes: folders that end in .zarr.", metavar="EPISODE...", show_default=False),
    ],
    by: Annotated[str, typer.Option(help="Who says so.", show_default=False)],
    outcome: Annotated[
        str, typer.Option(help="success, failure, aborted, unlabelled; recorded: withdraw what was said.")
    ] = "",
    t_r: Annotated[
        list[str] | None,
        typer.Option(
            "--t-r", metavar="TAKEOVER=WHEN", help="WHEN: seconds as in `list`, row:N, none or recorded. Repeatable."
        ),
    ] = None,
) -> None:
    """Set or correct outcome and t_r: as a new version beside the recorded facts, which stay as they are."""
    from datetime import UTC, datetime

    from rove_recorder.labels.labels import label_marks, label_outcome
    from rove_recorder.reader import open_episode

    if not (outcome or t_r):
        raise EpisodeError("nothing to say", "give --outcome, --t-r or both")
    if t_r and len(episodes) > 1:
        raise EpisodeError(f"--t-r is of one attempt, given are {len(episodes)}", "label them one by one")
    opened = [open_episode(path) for path in episodes]
    for episode in opened:
        if not episode.finished:
            raise EpisodeError(f"{episode.path} is still open", "wait for its end, or finish it: rove episodes recover")
    now = datetime.now(UTC)
    for episode in opened:
        if t_r:
            said = label_marks(episode, t_r, by, now)
            marks = " ".join("-" if mark is None else f"row {mark.row}" for mark in episode.marks())
            typer.echo(f"{episode.path}: {said.name}: t_r {marks}")
        if outcome:
            said = label_outcome(episode, outcome, by, now)
            typer.echo(f"{episode.path}: {said.name}: {episode.outcome.value}")
