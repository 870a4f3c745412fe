"""Runs child processes so that none is ever left behind.

Every child has its own process group and its own log. It gets SIGTERM from the kernel when this process dies,
however it dies, and SIGKILL from a guardian when that does not help. Ending them is SIGINT, SIGTERM, SIGKILL
with a while between. Nothing here knows of ROS.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1

# How long a child may take to end after each signal, in order [s].
STOP_S = ((signal.SIGINT, 6.0), (signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0))

# How long children may take to end after their parent was killed, before the guardian kills them [s].
ORPHAN_S = 8

# How often a child is looked at while it is waited for [s].
POLL_S = 0.02

# Reads group ids from its parent; when the parent is gone, gives the groups a while and kills them.
_GUARDIAN = """
trap '' INT TERM HUP
groups=
while read -r line; do [ "$line" = end ] && exit 0; groups="$groups -$line"; done
sleep {orphan_s}
for group in $groups; do kill -s KILL -- "$group" 2>/dev/null; done
"""

_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    """In the child, between fork and exec."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Command:
    """One child.

    Attributes:
        argv: program and arguments.
        env: added to this process's environment.
        max_restarts: how often it is started again after it ended without being asked to.
        terminal: shares this process's group, standard input and output instead of having a log.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    max_restarts: int = 0
    terminal: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """A child ended without being asked to.

    Attributes:
        code: exit code, or minus the number of the signal that killed it.
        restarted: it runs again.
    """

    name: str
    code: int
    restarted: bool
    log: Path

    @property
    def how(self) -> str:
        """In words."""
        return f"killed by {signal.Signals(-self.code).name}" if self.code < 0 else f"exit code {self.code}"


@dataclass(slots=True)
class _Child:
    command: Command
    process: subprocess.Popen[bytes]
    log: IO[bytes] | None
    restarts: int = 0
    gone: bool = False

    def signal(self, number: int) -> None:
        """Signal the whole group; one that shares ours is signalled alone."""
        with contextlib.suppress(ProcessLookupError):
            if self.command.terminal:
                self.process.send_signal(number)
            else:
                os.killpg(self.process.pid, number)


class Processes:
    """Children, in the order in which they were started.

    Use as a context manager: leaving it ends them all. Start and poll from the main thread only: the kernel
    ties a child to the thread that started it.

    Args:
        log_dir: where `<name>.log` of each child goes; a restart appends.
        stop_s: signals with the time that each is given [s].
    """

    def __init__(self, log_dir: Path, stop_s: Sequence[tuple[int, float]] = STOP_S) -> None:
        self._log_dir = log_dir
        self._stop_s = tuple(stop_s)
        self._children: dict[str, _Child] = {}
        self._guardian: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Processes:
        self._log_dir.mkdir(parents=True, exist_ok=True)
        self._guardian = subprocess.Popen(
            ["/bin/sh", "-c", _GUARDIAN.format(orphan_s=ORPHAN_S)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._guardian is not None and self._guardian.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guardian.stdin.write(b"end\n")
                self._guardian.stdin.close()
            self._guardian.wait()

    def start(self, command: Command) -> None:
        """Start a child.

        Raises:
            OSError: the program cannot be run.
        """
        self._children[command.name] = self._spawn(command)

    def _spawn(self, command: Command) -> _Child:
        log = None if command.terminal else self.log(command.name).open("ab")
        process = subprocess.Popen(
            command.argv,
            env={**os.environ, **command.env},
            stdin=None if command.terminal else subprocess.DEVNULL,
            stdout=log,
            stderr=None if log is None else subprocess.STDOUT,
            process_group=None if command.terminal else 0,
            preexec_fn=_die_with_parent,
        )
        if not command.terminal and self._guardian is not None and self._guardian.stdin is not None:
            self._guardian.stdin.write(b"%d\n" % process.pid)
            self._guardian.stdin.flush()
        return _Child(command, process, log)

    def log(self, name: str) -> Path:
        """The log of a child."""
        return self._log_dir / f"{name}.log"

    def pid(self, name: str) -> int:
        """The process id of a child."""
        return self._children[name].process.pid

    def running(self) -> list[str]:
        """Names of the children that run."""
        return [name for name, child in self._children.items() if child.process.poll() is None]

    def poll(self, restart: Container[str] | None = None) -> list[Ended]:
        """The children that ended since the last call, restarted already where their command says so.

        Args:
            restart: only these may be restarted; None: all.
        """
        ended = []
        for name, child in list(self._children.items()):
            code = child.process.poll()
            if code is None or child.gone:
                continue
            self._sweep(child)
            restarts = child.restarts + 1
            restarted = code != 0 and restarts <= child.command.max_restarts and (restart is None or name in restart)
            if restarted:
                self._children[name] = self._spawn(child.command)
                self._children[name].restarts = restarts
            else:
                child.gone = True
            ended.append(Ended(name, code, restarted, self.log(name)))
        return ended

    def stop(self, names: Container[str] | None = None) -> None:
        """End these children (None: all), the last started first in line, and wait until they are gone."""
        chosen = [child for name, child in self._children.items() if names is None or name in names]
        waiting = [child for child in reversed(chosen) if child.process.poll() is None]
        for number, limit_s in self._stop_s:
            for child in waiting:
                child.signal(number)
            deadline = time.monotonic() + limit_s
            while waiting and time.monotonic() < deadline:
                waiting = [child for child in waiting if child.process.poll() is None]
                time.sleep(POLL_S if waiting else 0)
        for child in chosen:
            self._sweep(child)
            child.gone = True

    def _sweep(self, child: _Child) -> None:
        """What a dead child left behind: grandchildren in its group, its open log."""
        if not child.command.terminal:
            child.signal(signal.SIGKILL)
        if child.log is not None:
            child.log.close()


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log, "" when there is none."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
