"""`rove episodes annotate`: add subgoals, errors or anything else that is known of an attempt."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from rove_core.errors import EpisodeError
from rove_recorder.cli.arguments import EXIT_PROBLEMS, Folder, episodes

TOOL = "rove episodes annotate"


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("annotate")(annotate)


def annotate(
    folder: Folder,
    by: Annotated[str, typer.Option(help="Who says so.")] = "",
    kind: Annotated[str, typer.Option(help="outcome, t_r, subgoals, errors, or a kind of your own.")] = "",
    content: Annotated[
        Path | None, typer.Option("--json", help="File with what is said, a JSON object; - for standard input.")
    ] = None,
    set_name: Annotated[str, typer.Option("--set", help="Name of the set; as the kind when not given.")] = "",
    propose: Annotated[
        bool, typer.Option("--propose", help="Compute t_r of takeovers in which nobody marked progress.")
    ] = False,
) -> None:
    """Add the next version of a set of annotations; earlier versions and the recorded facts stay."""
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    if propose:
        if kind or content or set_name:
            raise EpisodeError("--propose computes what is said", "leave out --kind, --json and --set")
        _propose(folder, by, now)
        return
    if not (kind and content):
        raise EpisodeError("nothing to say", "give --kind and --json, or --propose")
    from rove_recorder.labels.annotations import annotate as annotate_episode
    from rove_recorder.reader import open_episode

    path = open_episode(folder).path
    said = annotate_episode(path, set_name or kind, kind, _read(content), by=by, when=now, tool=TOOL)
    typer.echo(f"{path}: {said.name}")


def _propose(folder: Path, by: str, now: datetime) -> None:
    from rove_recorder.checking.check import find_episodes
    from rove_recorder.labels.progress_proposal import annotate_proposals
    from rove_recorder.reader import open_episode

    added, failed = 0, False
    for path in find_episodes(folder):
        try:
            episode = open_episode(path)
            said = annotate_proposals(episode, by or "rove", now, TOOL) if episode.finished else None
        except EpisodeError as error:
            typer.echo(f"{path}: {error}", err=True)
            failed = True
            continue
        if said is not None:
            added += 1
            typer.echo(f"{path}: {said.name}: {len(said.payload['proposals'])} proposed")
    typer.echo(f"proposals added to {episodes(added)}")
    if failed:
        raise typer.Exit(EXIT_PROBLEMS)


def _read(content: Path) -> object:
    import json
    import sys

    try:
        return json.loads(sys.stdin.read() if str(content) == "-" else content.read_text(encoding="utf-8"))
    except OSError as error:
        raise EpisodeError(f"cannot read {content}: {error.strerror}") from None
    except ValueError as error:
        raise EpisodeError(f"{content} is not JSON: {error}") from None
