"""`rove episodes derive`: labels that are computed from episodes."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rove_core.errors import ConfigError, nearest
from rove_recorder.cli.arguments import EXIT_PROBLEMS, Folder

if TYPE_CHECKING:
    from rove_recorder.labels.derivation import Derivation

# name -> rove_recorder.labels.derivation.Derivation; packages bring their own.
DERIVATIONS_GROUP = "rove.derivations"


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("derive")(derive)


def derive(
    labels: Annotated[str, typer.Argument(help="Name of the labels, as 'returns'.", show_default=False)],
    folder: Folder,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Setting of the labels, as failure=-300. Repeatable."),
    ] = None,
    where: Annotated[str, typer.Option("--select", help="SQL condition over the catalogue.")] = "",
    workers: Annotated[int, typer.Option(min=1, help="Processes on this machine; more than 1 needs Dask.")] = 1,
    scheduler: Annotated[str, typer.Option(help="Dask scheduler, as tcp://host:8786, instead of processes.")] = "",
) -> None:
    """Compute labels of finished episodes into their `derived`; what is there and not stale stays."""
    from rove_recorder.catalogue.catalogue import catalogue_of, select
    from rove_recorder.labels.derivation import COMPUTED, THERE, derive_all

    derivation = configured(_derivation(labels), settings or [])
    frame = select(catalogue_of(folder), where or "problem = ''")
    counts = {COMPUTED: 0, THERE: 0}
    problems = 0
    for path, what in derive_all(
        [folder / name for name in frame["path"]], derivation, scheduler=scheduler, workers=workers
    ):
        if what in counts:
            counts[what] += 1
        else:
            typer.echo(f"{path}: {what}", err=True)
            problems += 1
    typer.echo(f"{derivation.group}: {counts[COMPUTED]} computed, {counts[THERE]} there, {problems} failed")
    if problems:
        raise typer.Exit(EXIT_PROBLEMS)


def _derivation(labels: str) -> Derivation:
    known = {entry.name: entry for entry in entry_points(group=DERIVATIONS_GROUP)}
    if labels not in known:
        raise ConfigError(f"no labels '{labels}'", nearest(labels, known))
    found: Derivation = known[labels].load()
    return found


def configured(derivation: Derivation, settings: list[str]) -> Derivation:
    """The derivation with other settings.

    Args:
        settings: "name=value", values as JSON writes them.

    Raises:
        ConfigError: no such setting, or a value of another type.
    """
    types = {field.name: type(getattr(derivation.config, field.name)) for field in fields(derivation.config)}
    values: dict[str, Any] = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        if name not in types:
            raise ConfigError(f"labels '{derivation.labels}' have no setting '{name}'", nearest(name, types))
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if types[name] is float and type(value) is int:
            value = float(value)
        if type(value) is not types[name]:
            raise ConfigError(
                f"setting '{name}': {text!r} is no {types[name].__name__}", f"as {name}={_example(derivation, name)}"
            )
        values[name] = value
    return replace(derivation, config=replace(derivation.config, **values))


def _example(derivation: Derivation, name: str) -> str:
    return json.dumps(getattr(derivation.config, name))
