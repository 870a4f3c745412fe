"""Shared memory that killed DDS processes leave behind: half a megabyte to 32 of them, each time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")

# Fast DDS: a segment and, beside it, the file that its owner keeps locked for as long as it lives.
_SEGMENT_LOCK = re.compile(r"fastdds_[0-9a-f]{16}_el")


def remove_orphans(since_s: float, folder: Path = SHARED_MEMORY) -> int:
    """Remove segments made since `since_s` (wall time [s]) whose owner is gone. Returns how many."""
    removed = 0
    for lock in folder.glob("fastdds_*_el"):
        if not _SEGMENT_LOCK.fullmatch(lock.name) or not _is_orphan(lock, since_s):
            continue
        for path in (folder / lock.name.removesuffix("_el"), lock):
            path.unlink(missing_ok=True)
        removed += 1
    return removed


def _is_orphan(lock: Path, since_s: float) -> bool:
    try:
        handle = os.open(lock, os.O_RDONLY)
    except OSError:  # another user's, or just gone
        return False
    try:
        if os.fstat(handle).st_ctime < since_s:
            return False
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False
    finally:
        os.close(handle)
