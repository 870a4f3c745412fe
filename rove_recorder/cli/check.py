"""`rove episodes check`: is what was recorded what the format promises?"""

from __future__ import annotations

from pathlib import Path

import typer

from rove_core.errors import EpisodeError
from rove_recorder.cli.arguments import EXIT_PROBLEMS, Folder


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("check")(check)


def check(folder: Folder) -> None:
    """Verify what the format promises; exit code 1 with one line per problem."""
    from rove_recorder.check import find_episodes

    paths = find_episodes(folder)
    problems = [f"{path}: {problem}" for path in paths for problem in check_episode_at(path)]
    for problem in problems:
        typer.echo(problem)
    noun = "episode" if len(paths) == 1 else "episodes"
    if problems:
        typer.echo(f"{len(problems)} problems in {len(paths)} {noun}", err=True)
        raise typer.Exit(EXIT_PROBLEMS)
    typer.echo(f"{len(paths)} {noun}, no problems")


def check_episode_at(path: Path) -> list[str]:
    """Problems of the episode at `path`; that it cannot be opened is one."""
    from rove_recorder.check import check_episode
    from rove_recorder.reader import open_episode

    try:
        return check_episode(open_episode(path))
    except EpisodeError as error:
        return [str(error)]
