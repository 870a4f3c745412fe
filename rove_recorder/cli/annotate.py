"""`rove episodes annotate`: add subgoals, errors or anything else that is known of an attempt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rove_core.errors import EpisodeError
from rove_recorder.cli.arguments import OneEpisode

TOOL = "rove episodes annotate"


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("annotate")(annotate)


def annotate(
    episode: OneEpisode,
    by: Annotated[str, typer.Option(help="Who says so.", show_default=False)],
    kind: Annotated[
        str, typer.Option(help="outcome, t_r, subgoals, errors, or a kind of your own.", show_default=False)
    ],
    content: Annotated[
        Path, typer.Option("--json", help="File with what is said, a JSON object; - for standard input.")
    ],
    set_name: Annotated[str, typer.Option("--set", help="Name of the set; as the kind when not given.")] = "",
) -> None:
    """Add the next version of a set of annotations; earlier versions and the recorded facts stay."""
    import json
    import sys
    from datetime import UTC, datetime

    from rove_recorder.annotations import annotate as annotate_episode
    from rove_recorder.reader import open_episode

    try:
        text = sys.stdin.read() if str(content) == "-" else content.read_text(encoding="utf-8")
        payload = json.loads(text)
    except OSError as error:
        raise EpisodeError(f"cannot read {content}: {error.strerror}") from None
    except ValueError as error:
        raise EpisodeError(f"{content} is not JSON: {error}") from None
    path = open_episode(episode).path
    said = annotate_episode(path, set_name or kind, kind, payload, by=by, when=datetime.now(UTC), tool=TOOL)
    typer.echo(f"{path}: {said.name}")
