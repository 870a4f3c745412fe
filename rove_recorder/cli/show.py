"""`rove episodes show`: what is in one episode."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rove_recorder.cli.arguments import AsJson, OneEpisode

if TYPE_CHECKING:
    from rove_recorder.reader import Episode


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("show")(show)


def show(
    episode: OneEpisode,
    as_json: AsJson = False,
    html: Annotated[Path | None, typer.Option(help="Write a page with film strip, stage bar and plots.")] = None,
    png: Annotated[Path | None, typer.Option(help="Write the same as a picture.")] = None,
) -> None:
    """What is in one episode: attributes, stages, events."""
    from rove_recorder.reader import open_episode
    from rove_recorder.views.attempt_facts import facts_of
    from rove_recorder.views.summary import table

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
        from rove_recorder.views.report import write_report

        write_report(opened.episode_id, [facts_of(episode)], html)
    if png is not None:
        from rove_recorder.views.picture import write_picture

        write_picture(opened, png)
    if as_json:
        content = {
            "attributes": opened.attrs,
            "outcome": asdict(opened.outcome),
            "stages": stages,
            "marks": [None if mark is None else asdict(mark) for mark in opened.marks()],
            "events": opened.events(),
            "annotations": [asdict(annotation) for annotation in opened.annotations()],
        }
        typer.echo(json.dumps(content, indent=2))
        return
    typer.echo(table([facts_of(episode)]))
    typer.echo("\nstage       controller  mode       rows           seconds")
    for stage in stages:
        rows = f"{stage['start_row']} to {stage['end_row']}"
        typer.echo(
            f"{stage['stage']:<11} {stage['controller']:<11} {stage['mode']:<10} {rows:<14} {stage['seconds']:.2f}"
        )
    _what_was_said(opened)
    typer.echo("\nevents, seconds since the first row")
    start_ns = int(opened.steps["t_ros_ns"][0]) if opened.rows else 0
    for event in opened.events():
        refused = "" if event.get("accepted", True) else f" refused: {event.get('reason', '')}"
        typer.echo(f"{(event['t_ros_ns'] - start_ns) * 1e-9:8.2f}  {event['type']} ({event['device']}){refused}")


def _what_was_said(episode: Episode) -> None:
    """Flags, corrections and other annotations, where there are any."""
    for flag in episode.attrs.get("flags", []):
        typer.echo(f"\nflag {flag['code']}: {flag['detail']}")
    annotations = episode.annotations()
    if annotations:
        typer.echo("\nannotations")
    for annotation in annotations:
        said = json.dumps(annotation.payload)
        short = said if len(said) <= 80 else f"{said[:77]}..."
        typer.echo(f"{annotation.name:<18} {annotation.when}  {annotation.by}: {short}")
