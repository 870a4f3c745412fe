"""`rove episodes`: list, show, check, recover."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from rove_core.errors import EpisodeError
from rove_recorder.attempt_facts import facts_of, session_facts
from rove_recorder.check import check_episode, find_episodes
from rove_recorder.reader import open_episode
from rove_recorder.recovery import recover as recover_folder
from rove_recorder.summary import table

EXIT_PROBLEMS = 1

Folder = Annotated[Path, typer.Argument(help="Folder with sessions, a session, or an episode.", show_default=False)]
OneEpisode = Annotated[Path, typer.Argument(help="An episode: a folder that ends in .zarr.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add `rove episodes` to the command."""
    episodes = typer.Typer(help="Look at recorded attempts, check and recover them.", no_args_is_help=True)
    episodes.command("list")(list_episodes)
    episodes.command("show")(show)
    episodes.command("check")(check)
    episodes.command("recover")(recover)
    app.add_typer(episodes, name="episodes")


def list_episodes(folder: Folder, as_json: AsJson = False) -> None:
    """One line per attempt: outcome, takeovers, seconds per stage, what was lost."""
    facts = session_facts(folder)
    typer.echo(json.dumps([fact.as_json() for fact in facts], indent=2) if as_json else table(facts, folder))


def show(
    episode: OneEpisode,
    as_json: AsJson = False,
    html: Annotated[Path | None, typer.Option(help="Write a page with film strip, stage bar and plots.")] = None,
) -> None:
    """What is in one episode: attributes, stages, events."""
    opened = open_episode(episode)
    stages = [
        {
            "stage": span.stage.name.lower(),
            "controller": span.controller,
            "mode": span.mode.value,
            "start_row": span.start_row,
            "end_row": span.end_row,
            "seconds": round(span.rows / opened.control_hz, 3),
        }
        for span in opened.stages()
    ]
    if html is not None:
        from rove_recorder.report import write_report

        write_report(opened.episode_id, [facts_of(episode)], html)
    if as_json:
        content = {"attributes": opened.attrs, "stages": stages, "events": opened.events()}
        typer.echo(json.dumps(content, indent=2))
        return
    typer.echo(table([facts_of(episode)]))
    typer.echo("\nstage       controller  mode       rows           seconds")
    for stage in stages:
        rows = f"{stage['start_row']} to {stage['end_row']}"
        typer.echo(
            f"{stage['stage']:<11} {stage['controller']:<11} {stage['mode']:<10} {rows:<14} {stage['seconds']:.2f}"
        )
    typer.echo("\nevents, seconds since the first row")
    start_ns = int(opened.steps["t_ros_ns"][0]) if opened.rows else 0
    for event in opened.events():
        refused = "" if event.get("accepted", True) else f" refused: {event.get('reason', '')}"
        typer.echo(f"{(event['t_ros_ns'] - start_ns) * 1e-9:8.2f}  {event['type']} ({event['device']}){refused}")


def check(folder: Folder) -> None:
    """Verify what the format promises; exit code 1 with one line per problem."""
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
    try:
        return check_episode(open_episode(path))
    except EpisodeError as error:
        return [str(error)]


def recover(folder: Folder) -> None:
    """Finish episodes whose recorder died; they become readable and unlabelled."""
    done = recover_folder(folder)
    for path, what in done:
        typer.echo(f"{path}: {what}")
    if not done:
        typer.echo("nothing to recover")
    if any(what != "recovered" for _, what in done):
        raise typer.Exit(EXIT_PROBLEMS)
