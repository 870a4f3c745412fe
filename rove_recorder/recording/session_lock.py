"""One recorder per session folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from rove_core.errors import RecordingError

LOCK_FILE = ".recorder.lock"


class SessionLock:
    """Holds a session folder until it is closed or the process ends, however it ends.

    Raises:
        RecordingError: another process holds it, or the folder is not writable.
    """

    def __init__(self, session: Path) -> None:
        try:
            self._handle = os.open(session / LOCK_FILE, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise RecordingError(
                f"cannot write to {session}: {error.strerror}", "check the folder's owner and that the disk is mounted"
            ) from None
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            raise RecordingError(
                f"another recorder writes to {session}", "stop it, or give this one another out_dir"
            ) from None

    def close(self) -> None:
        """Let go of the folder."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> SessionLock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
