"""A terminal as a supervisor's console: single keys, no Return, and the terminal is always given back.

Works over ssh and in tmux, because it only uses the terminal that it was started in.
"""

from __future__ import annotations

import os
import select
import subprocess
import termios
import time
import tty
from collections.abc import Set
from typing import Any

from rove_core.errors import RoveError
from rove_core.modes import Event
from rove_hil.inputs.mapping import Action, KeyboardMapping

# After ESC the rest of an arrow or function key follows at once; over a slow line a little later [s].
ESCAPE_S = 0.05

# Restores the terminal when this process is killed: waits for the end of its standard input.
_GUARDIAN = "trap '' INT TERM HUP TSTP TTOU; read -r line; [ \"$line\" = end ] || stty {settings} <{device}"


# What people call an event, where it is not its name.
WORDS = {
    Event.START: "new attempt",
    Event.TAKEOVER: "take over",
    Event.CANCEL: "cancel alignment",
    Event.RETRACT_MARK: "undo mark",
    Event.SUCCEED: "success",
    Event.FAIL: "failure",
    Event.CLEAR: "clear fault",
    Event.ESTOP: "EMERGENCY STOP",
    Event.RESET: "reset e-stop",
}


class KeyboardError(RoveError, RuntimeError):
    """There is no terminal to read keys from."""


def help_lines(mapping: KeyboardMapping, confirm: Set[Event], per_line: int = 6) -> list[str]:
    """The keys, for the screen. A key that is pressed twice stands there twice."""
    cells = [
        f"[{f'{key} {key}' if confirm & set(action.values()) else key}] {_words(action)}"
        for key, action in mapping.keys.items()
    ]
    cells.append(f"[{mapping.quit}] quit")
    return ["   ".join(cells[start : start + per_line]) for start in range(0, len(cells), per_line)]


def _words(action: Action) -> str:
    return " / ".join(dict.fromkeys(WORDS.get(event, event.replace("_", " ")) for event in action.values()))


class Keyboard:
    """Reads single keys from a terminal. Use as a context manager; leaving it restores the terminal.

    Ctrl-C still interrupts, Ctrl-Z still suspends. When the process is killed a guardian restores the terminal.

    Args:
        descriptor: of the terminal.

    Raises:
        KeyboardError: on entering, when `descriptor` is no terminal.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._saved: list[Any] = []
        self._guardian: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """The terminal, as a device of events: "keyboard:/dev/pts/3"."""
        return f"keyboard:{os.ttyname(self._descriptor)}"

    def __enter__(self) -> Keyboard:
        if not os.isatty(self._descriptor):
            raise KeyboardError("the keyboard needs a terminal", "run it in one, or press through /rove/event_request")
        self._saved = termios.tcgetattr(self._descriptor)
        self._guard()
        tty.setcbreak(self._descriptor)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()
        guardian, self._guardian = self._guardian, None
        if guardian is not None and guardian.stdin is not None:
            guardian.stdin.write(b"end\n")
            guardian.stdin.close()
            guardian.wait()

    def _restore(self) -> None:
        try:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._saved)
        except termios.error:
            return  # the terminal is gone: nothing is left to restore

    def _guard(self) -> None:
        """Have somebody restore the terminal should this process not get to it."""
        settings = subprocess.run(["stty", "-g"], stdin=self._descriptor, capture_output=True, text=True, check=True)
        script = _GUARDIAN.format(settings=settings.stdout.strip(), device=os.ttyname(self._descriptor))
        self._guardian = subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def read_key(self, timeout_s: float) -> str | None:
        """The next key, or None when none was pressed in time. Arrow and function keys are swallowed.

        Raises:
            KeyboardError: the terminal is gone (hang-up, or Ctrl-D).
        """
        byte = self._read(timeout_s)
        if byte is None:
            return None
        if byte == b"\x1b":
            deadline = time.monotonic() + ESCAPE_S
            while self._read(max(deadline - time.monotonic(), 0.0)) is not None:
                pass
            return None
        return byte.decode("ascii", errors="replace")

    def _read(self, timeout_s: float) -> bytes | None:
        if self._tampered():
            tty.setcbreak(self._descriptor)
        ready, _, _ = select.select([self._descriptor], [], [], timeout_s)
        if not ready:
            return None
        try:
            byte = os.read(self._descriptor, 1)
        except OSError:
            byte = b""
        if byte in (b"", b"\x04"):
            raise KeyboardError("the terminal was closed")
        return byte

    def _tampered(self) -> bool:
        """Whether a shell took its settings back, as it does when a job is suspended and continued."""
        try:
            return bool(termios.tcgetattr(self._descriptor)[3] & termios.ICANON)
        except termios.error:
            raise KeyboardError("the terminal was closed") from None
