"""`rove bench`: the figures of this machine, from the benchmarks that the installed packages bring."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Annotated, Any

import typer

from rove_core.errors import ConfigError, nearest

# name -> `run(quick: bool) -> dict[str, Any]`, JSON-able, units in the names of the figures
BENCHMARKS_GROUP = "rove.benchmarks"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("bench")(bench)


def bench(
    names: Annotated[list[str] | None, typer.Argument(help="benchmarks to run, in this order")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object: benchmark -> figures")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="fewer repetitions, coarser figures")] = False,
    list_them: Annotated[bool, typer.Option("--list", help="name the benchmarks and end")] = False,
) -> None:
    """Measure this machine; --list names what can be measured."""
    known = {entry.name: entry for entry in entry_points(group=BENCHMARKS_GROUP)}
    if list_them:
        typer.echo("\n".join(sorted(known)))
        return
    if not names:
        raise ConfigError("rove bench: which one?", f"available: {', '.join(sorted(known))}")
    for name in names:
        if name not in known:
            raise ConfigError(f"no benchmark '{name}'", nearest(name, known))
    results: dict[str, Mapping[str, Any]] = {}
    for name in names:
        run: Callable[[bool], dict[str, Any]] = known[name].load()
        results[name] = run(quick)
        if not as_json:
            typer.echo(f"{name}:")
            _show(results[name], 1)
    if as_json:
        typer.echo(json.dumps(results, indent=2))


def _show(figures: Mapping[str, Any], depth: int) -> None:
    for key, value in figures.items():
        if isinstance(value, Mapping):
            typer.echo(f"{'  ' * depth}{key}:")
            _show(value, depth + 1)
        else:
            typer.echo(f"{'  ' * depth}{key}: {value}")
