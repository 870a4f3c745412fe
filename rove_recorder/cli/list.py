"""`rove episodes list`: one line per attempt."""

from __future__ import annotations

import json

import typer

from rove_recorder.cli.arguments import AsJson, Folder


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("list")(list_episodes)


def list_episodes(folder: Folder, as_json: AsJson = False) -> None:
    """One line per attempt: outcome, takeovers, seconds per stage, what was lost."""
    from rove_recorder.views.attempt_facts import session_facts
    from rove_recorder.views.summary import table

    facts = session_facts(folder)
    typer.echo(json.dumps([fact.as_json() for fact in facts], indent=2) if as_json else table(facts, folder))
