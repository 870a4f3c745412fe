"""`rove episodes import`: demonstrations from elsewhere become episodes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from rove_core.errors import ConfigError
from rove_core.modes import Outcome
from rove_recorder.cli.arguments import EXIT_PROBLEMS

EXTRA = "lerobot"

Session = Annotated[
    Path, typer.Option("--to", metavar="SESSION", help="Folder of the session to write.", show_default=False)
]


def register(group: typer.Typer) -> None:
    """Add the commands."""
    imports = typer.Typer(help="Make episodes of a LeRobot dataset or of videos.", no_args_is_help=True)
    imports.command("lerobot")(lerobot)
    imports.command("video")(video)
    group.add_typer(imports, name="import")


def lerobot(
    dataset: Annotated[Path, typer.Argument(help="LeRobot dataset, version 3.0.", show_default=False)],
    to: Session,
    robot: Annotated[str, typer.Option(help="Robot by name or file; without it the dataset's robot_type.")] = "",
    joint: Annotated[
        list[str] | None, typer.Option(metavar="THEIRS=OURS", help="A joint that is called otherwise. Repeatable.")
    ] = None,
    degrees: Annotated[bool, typer.Option("--degrees", help="Its positions are in degrees.")] = False,
    outcome: Annotated[Outcome, typer.Option(help="Where the dataset does not say.")] = Outcome.UNLABELLED,
) -> None:
    """Every episode of a LeRobot dataset; joints go by name. Exit code 1 when the check finds problems."""
    from datetime import UTC, datetime

    _need_extra()
    from rove_recorder.formats.import_lerobot import LeRobotImport, import_lerobot

    how = LeRobotImport(_pairs(joint or []), degrees, outcome)
    _check(import_lerobot(dataset, to, robot, how, datetime.now(UTC), typer.echo))


def video(
    videos: Annotated[list[Path], typer.Argument(help="Video files.", metavar="VIDEO...", show_default=False)],
    to: Session,
    instruction: Annotated[str, typer.Option(help="What the person was told to do.", show_default=False)],
    outcome: Annotated[Outcome, typer.Option(help="How it ended.", show_default=False)],
    by: Annotated[str, typer.Option(help="Who says so.", show_default=False)],
    task: Annotated[str, typer.Option(help="Name of the task.")] = "",
    robot: Annotated[str, typer.Option(help="Robot whose joints the (empty) arrays are for.")] = "iron_r01",
    hz: Annotated[float, typer.Option(min=1, max=1000, help="Rows per second.")] = 30.0,
    camera: Annotated[str, typer.Option(help="What the camera is called.")] = "head",
) -> None:
    """Videos of people: episodes with embodiment human_video and without actions, one per file."""
    from datetime import UTC, datetime

    _need_extra()
    from rove_recorder.formats.import_video import VideoImport, import_video

    how = VideoImport(instruction, outcome, by, task, hz, camera)
    written = []
    for path in videos:
        episode = import_video(path, to, robot, how, datetime.now(UTC))
        typer.echo(f"{path}: {episode or 'is there already'}")
        written += [episode] if episode else []
    _check(written)


def _need_extra() -> None:
    try:
        import av  # noqa: F401
        import pyarrow  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"this needs the package {error.name}, which is not installed", f"pip install 'rove_hil[{EXTRA}]'"
        ) from None


def _pairs(words: Iterable[str]) -> dict[str, str]:
    pairs = dict(word.split("=", 1) for word in words if "=" in word)
    wrong = [word for word in words if "=" not in word]
    if wrong:
        raise ConfigError(f"--joint '{wrong[0]}' is not THEIRS=OURS", "as in --joint shoulder_pan=left_shoulder_yaw")
    return pairs


def _check(paths: list[Path]) -> None:
    from rove_recorder.checking.check import check_episode
    from rove_recorder.reader import open_episode

    problems = [f"{path}: {problem}" for path in paths for problem in check_episode(open_episode(path))]
    for problem in problems:
        typer.echo(problem)
    typer.echo(f"{len(paths)} episodes imported")
    if problems:
        raise typer.Exit(EXIT_PROBLEMS)
