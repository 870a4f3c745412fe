"""Room on the disk: enough to go on, a reserve to finish the open episode with, and for how long."""

from __future__ import annotations

import math
import shutil
from contextlib import suppress
from pathlib import Path

from rove_core.errors import RecordingError

# Given back to the disk when it is full, so that the open episode can be finished.
RESERVE_BYTES = 1024 * 1024
MIB = 1024 * 1024


class DiskSpace:
    """The file system of a session folder.

    Args:
        min_free_mb: with less free it is full [MiB].

    Attributes:
        free_mb: when it was last looked at [MiB].
        minutes_left: until it is full, at the rate of the last recording; NaN: nothing was recorded yet.
    """

    def __init__(self, folder: Path, min_free_mb: int) -> None:
        self.free_mb = 0
        self.minutes_left = math.nan
        self._folder, self._min_free_mb = folder, min_free_mb
        self._reserve = folder / ".reserve"
        self._last: tuple[float, int] | None = None
        self._rate = 0.0

    def check(self) -> None:
        """Look at it, and keep the reserve.

        Raises:
            RecordingError: it is full, or cannot be written.
        """
        try:
            if not self._reserve.exists():
                self._reserve.write_bytes(bytes(RESERVE_BYTES))
            # After the reserve was made: what is free must last until the next time that somebody looks.
            self.free_mb = shutil.disk_usage(self._folder).free // MIB
        except OSError as error:
            raise RecordingError(f"cannot write to {self._folder}: {error.strerror}", "check the disk") from None
        if self.free_mb < self._min_free_mb:
            raise RecordingError(
                f"only {self.free_mb} MiB free at {self._folder}, {self._min_free_mb} needed",
                "move or delete finished episodes",
            )
        if self._rate > 0:
            self.minutes_left = (self.free_mb - self._min_free_mb) * MIB / self._rate / 60

    def wrote(self, now_s: float, total: int | None) -> None:
        """How much the open episode has written until now [bytes], None without one. `now_s`: monotonic."""
        if total is None:
            self._last = None
            return
        if self._last is not None and now_s > self._last[0] and total >= self._last[1]:
            self._rate = (total - self._last[1]) / (now_s - self._last[0])
        self._last = (now_s, total)

    def give_reserve_back(self) -> None:
        """Delete the reserve, if the disk lets it."""
        with suppress(OSError):
            self._reserve.unlink()
