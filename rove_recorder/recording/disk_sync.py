"""Bringing what was written to the platter once a second, so that a power cut costs no more than that."""

from __future__ import annotations

import ctypes
import os
import threading
from contextlib import suppress
from pathlib import Path


def sync_file_system(handle: int) -> None:
    """Bring everything of the file system that `handle` is on to the disk; one call for any number of files.

    Raises:
        OSError: the disk refused.
    """
    if _syncfs(handle) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


# Not in the os module. Called through ctypes it releases the GIL while it waits.
_syncfs = ctypes.CDLL(None, use_errno=True).syncfs


class DiskSync:
    """Calls syncfs(2) on the file system of a folder from its own thread: a slow disk delays nobody who writes.

    Args:
        folder: any folder of the file system. period_s: how often [s]; 0 never.
    """

    def __init__(self, folder: Path, period_s: float) -> None:
        self._folder, self._period_s = folder, period_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="disk_sync", daemon=True)

    def start(self) -> None:
        """Start the thread, unless the period is 0."""
        if self._period_s > 0:
            self._thread.start()

    def close(self) -> None:
        """Stop and join it."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            while not self._stop.wait(self._period_s):
                with suppress(OSError):  # the writer hears of a failing disk as well, and reports it
                    sync_file_system(handle)
        finally:
            os.close(handle)
