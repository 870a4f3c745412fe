"""`rove export install-timer DIR --to URL`: every night by itself."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from rove_core.errors import ExportError
from rove_recorder.export.cli.arguments import ZARR, Folder, Format, Robot, To


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("install-timer")(install_timer)


def install_timer(
    folder: Folder,
    to: To,
    robot: Robot,
    at: Annotated[str, typer.Option(help="When, HH:MM in the robot's time zone.")] = "02:00",
    keep_days: Annotated[
        float | None, typer.Option(min=0, help="Delete here what is older and safely there.", show_default="keep all")
    ] = None,
    kind: Format = ZARR,
    user: Annotated[bool, typer.Option("--user", help="A timer of this user instead of the system's.")] = False,
    only_print: Annotated[bool, typer.Option("--print", help="Print the files, write nothing.")] = False,
    cron: Annotated[bool, typer.Option("--cron", help="Print a line for crontab instead.")] = False,
) -> None:
    """Install a systemd service and timer that export every night and go on where a cut network stopped them."""
    from rove_recorder.export.layout import plain_name
    from rove_recorder.export.nightly import NAME, cron_line, units, write_units

    program = shutil.which("rove") or sys.argv[0]
    url = to if "://" in to else str(Path(to).absolute())
    words = [str(Path(program).absolute()), "export", "send", str(folder.absolute()), "--to", url]
    words += ["--robot", plain_name(robot, "name of the robot"), "--since-last"]
    words += ["--report", str(folder.absolute() / ".export" / "summary.html")]
    if kind != ZARR:
        words += ["--format", kind]
    if keep_days is not None:
        words += ["--keep-days", f"{keep_days:g}"]
    if cron:
        typer.echo(cron_line(words, at))
        return
    content = units(words, at, None if user else _owner(folder))
    if only_print:
        for name, text in content.items():
            typer.echo(f"# {name}\n{text}")
        return
    place = Path.home() / ".config/systemd/user" if user else Path("/etc/systemd/system")
    for path in write_units(place, content):
        typer.echo(f"wrote {path}")
    systemctl = "systemctl --user" if user else "systemctl"
    typer.echo(f"now: {systemctl} daemon-reload && {systemctl} enable --now {NAME}.timer")


def _owner(folder: Path) -> str:
    """Whoever records: the service needs no more rights than that."""
    try:
        return folder.owner()
    except (OSError, KeyError):
        raise ExportError(f"no folder {folder}", "give the folder that holds sessions") from None
