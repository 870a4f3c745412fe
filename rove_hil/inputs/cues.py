"""Cues that are heard: a text to speech command of the user's, never waited for."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from rove_core.modes import Mode
from rove_hil.inputs.mapping import Cues

REFUSED, DEVICE_LOST = "refused", "device_lost"


class Speaker:
    """Says texts with a command. What is being said is cut short by what comes next: old news is no news.

    Args:
        tell: takes a line when the command cannot be run; after that it stays silent.
    """

    def __init__(self, cues: Cues, tell: Callable[[str], None]) -> None:
        self._command, self._texts, self._tell = cues.say, cues.texts, tell
        self._process: subprocess.Popen[bytes] | None = None
        self._mode: Mode | None = None

    def mode(self, mode: Mode) -> None:
        """The mode is `mode`; said when it is another than the last."""
        before, self._mode = self._mode, mode
        if before not in (None, mode):
            self.say(mode)

    def say(self, what: str) -> None:
        """Say the text of `what`: a mode, "refused" or "device_lost". Returns at once."""
        text = self._texts.get(what)
        if not self._command or not text:
            return
        self.close()
        argv = [part.replace("{text}", text) for part in self._command]
        quiet = subprocess.DEVNULL
        try:
            self._process = subprocess.Popen(argv, stdin=quiet, stdout=quiet, stderr=quiet)
        except OSError as error:
            self._tell(f"cues.say: cannot run {self._command[0]}: {error.strerror}")
            self._command = ()

    def close(self) -> None:
        """Stop speaking."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
