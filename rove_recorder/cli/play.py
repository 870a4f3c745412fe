"""`rove episodes play`: an episode in the Rerun viewer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rove_recorder.cli.arguments import OneEpisode


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("play")(play)


def play(
    episode: OneEpisode,
    save: Annotated[Path | None, typer.Option(help="Write a .rrd file instead of opening the viewer.")] = None,
) -> None:
    """Open an episode in the Rerun viewer: cameras, joints, stages, events, chunks."""
    from rove_recorder.reader import open_episode
    from rove_recorder.views import playback

    opened = open_episode(episode)
    if save is None:
        playback.play(opened)
    else:
        playback.save(opened, save)
        typer.echo(f"{save}: open it with `rerun {save}`")
