"""The nightly export as files of systemd, and as a line of cron."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rove_core.errors import ExportError

NAME: Final = "rove-export"
# Credentials of a bucket, one VARIABLE=value a line; a unit file can be read by everyone.
ENVIRONMENT_FILE: Final = "/etc/rove/export.env"

_SERVICE: Final = """\
[Unit]
Description=Export of recorded episodes
Documentation=man:systemd.service(5)
Wants=network-online.target
After=network-online.target
# A network that is gone for the whole night is no reason to give up.
StartLimitIntervalSec=0

[Service]
Type=exec
{environment}ExecStart={command}
# 75: the network was cut; what arrived is not sent again.
RestartForceExitStatus=75
RestartSec=10min
# Recording comes first.
Nice=10
IOSchedulingClass=idle
NoNewPrivileges=true
"""

_TIMER: Final = """\
[Unit]
Description=Nightly export of recorded episodes

[Timer]
OnCalendar=*-*-* {hour:02d}:{minute:02d}:00
# Robots that share an uplink do not all begin at once.
RandomizedDelaySec=15min
# A robot that was off at that time exports when it is on again.
Persistent=true

[Install]
WantedBy=timers.target
"""


def parse_time(text: str) -> tuple[int, int]:
    """Hour and minute of `HH:MM`.

    Raises:
        ExportError: it is not one.
    """
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text)
    if match is None:
        raise ExportError(f"'{text}' is not a time of day", "HH:MM, as 02:00")
    return int(match[1]), int(match[2])


def units(command: Sequence[str], at: str, run_as: str | None) -> dict[str, str]:
    """File name -> content of the service and its timer.

    Args:
        command: absolute path of the program, and its arguments. at: `HH:MM`, the robot's time zone.
        run_as: whose keys it uses and whose episodes it may delete; None for a unit of a user's own systemd.
    """
    hour, minute = parse_time(at)
    environment = "" if run_as is None else f"User={run_as}\nEnvironmentFile=-{ENVIRONMENT_FILE}\n"
    words = " ".join(_systemd_word(word) for word in command)
    return {
        f"{NAME}.service": _SERVICE.format(environment=environment, command=words),
        f"{NAME}.timer": _TIMER.format(hour=hour, minute=minute),
    }


def cron_line(command: Sequence[str], at: str) -> str:
    """The same as a line of crontab(5), where a bare % would end the command."""
    hour, minute = parse_time(at)
    return f"{minute} {hour} * * * nice {shlex.join(command)}".replace("%", r"\%")


def write_units(folder: Path, content: dict[str, str]) -> list[Path]:
    """Write them.

    Raises:
        ExportError: the folder cannot be written.
    """
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in content.items():
            (folder / name).write_text(text, encoding="utf-8")
            paths.append(folder / name)
    except OSError as error:
        raise ExportError(
            f"cannot write to {folder}: {error.strerror}", "run it with sudo, or give --user for a timer of your own"
        ) from None
    return paths


def _systemd_word(word: str) -> str:
    """Quoted for ExecStart, where % and $ are special even in quotes."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if re.search(r"[^\w@%+=:,./~-]", word) or not word else escaped
