"""`rove doctor`: what is missing on this machine, and how to get it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from enum import StrEnum
from importlib.util import find_spec
from typing import Annotated

import typer

from rove_core.errors import ConfigError, nearest
from rove_hil.cli.machine_checks import CHECKS, SHM_GRACE_S, SIMULATION_ONLY, Finding, Status
from rove_hil.session.shared_memory import remove_orphans


class Place(StrEnum):
    """Where the stack is meant to run."""

    SIM = "sim"
    ROBOT = "robot"


def register(app: typer.Typer) -> None:
    """Add `rove doctor`."""
    app.command("doctor")(doctor)


def doctor(
    only: Annotated[list[str] | None, typer.Option(help="Ask only this question; may be given again.")] = None,
    place: Annotated[
        Place | None, typer.Option("--for", help="What to check for; without it: sim where rove_sim is installed.")
    ] = None,
    clean: Annotated[
        bool, typer.Option("--clean", help="First remove what killed processes left in /dev/shm.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is missing on this machine and how to get it. The exit code is 1 when the stack cannot run."""
    if clean:
        removed = remove_orphans(until_s=time.time() - SHM_GRACE_S)
        typer.echo(f"removed {removed} segments of killed processes from /dev/shm", err=True)
    findings = {name: CHECKS[name]() for name in chosen(only or [], place or _installed_place())}
    broken = any(finding.status is Status.ERROR for finding in findings.values())
    if as_json:
        rows = [{"name": name, **asdict(finding)} for name, finding in findings.items()]
        typer.echo(json.dumps({"ok": not broken, "findings": rows}, indent=2))
    else:
        for name, finding in findings.items():
            _print(name, finding)
    if broken:
        raise typer.Exit(1)


def chosen(only: list[str], place: Place) -> list[str]:
    """Names of the checks to run, in their order.

    Raises:
        ConfigError: there is no check of such a name.
    """
    for name in only:
        if name not in CHECKS:
            raise ConfigError(f"no check '{name}'", nearest(name, CHECKS))
    if only:
        return [name for name in CHECKS if name in only]
    return [name for name in CHECKS if place is Place.SIM or name not in SIMULATION_ONLY]


def _installed_place() -> Place:
    return Place.ROBOT if find_spec("rove_sim") is None else Place.SIM


def _print(name: str, finding: Finding) -> None:
    colour = {Status.OK: "green", Status.WARNING: "yellow", Status.ERROR: "red"}[finding.status]
    status = typer.style(f"{finding.status.value:<8}", fg=colour)
    typer.echo(f"{status}{name:<15}{finding.message}")
    if finding.hint:
        typer.echo(f"{'':<23}-> {finding.hint}")
