"""`rove episodes check`: is what was recorded what the format promises?"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from rove_core.errors import EpisodeError
from rove_recorder.cli.arguments import EXIT_PROBLEMS, AsJson, Folder


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("check")(check)


def check(folder: Folder, as_json: AsJson = False) -> None:
    """Verify what the format promises; exit code 1 with one line per problem."""
    from rove_recorder.checking.check import find_episodes

    checked = [check_episode_at(path) for path in find_episodes(folder)]
    found = sum(len(one.problems) for one in checked)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in checked], indent=2))
    else:
        for one in checked:
            for line in (*one.problems, *(f"note: {note}" for note in one.notes)):
                typer.echo(f"{one.path}: {line}")
    episodes = f"{len(checked)} " + ("episode" if len(checked) == 1 else "episodes")
    if found:
        typer.echo(f"{found} problem{'s' if found > 1 else ''} in {episodes}", err=True)
        raise typer.Exit(EXIT_PROBLEMS)
    if not as_json:
        typer.echo(f"{episodes}, no problems")


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found in one episode."""

    path: str
    problems: list[str]
    notes: list[str]


def check_episode_at(path: Path) -> Checked:
    """Check the episode at `path`; that it cannot be opened is a problem of it."""
    from rove_recorder.checking.check import check_episode, notes
    from rove_recorder.reader import open_episode

    try:
        episode = open_episode(path)
    except EpisodeError as error:
        return Checked(str(path), [str(error)], [])
    return Checked(str(path), check_episode(episode), notes(episode))
