"""Shared memory that killed DDS processes leave behind: half a megabyte to 32 of them, each time."""

from __future__ import annotations

import fcntl
import math
import os
import re
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux mounts it; Fast DDS has no other place

# Fast DDS: a segment and, beside it, the file that its owner keeps locked for as long as it lives.
_SEGMENT_LOCK = re.compile(r"fastdds_[0-9a-f]{16}_el")


def orphans(since_s: float = 0.0, until_s: float = math.inf, folder: Path = SHARED_MEMORY) -> list[Path]:
    """Segments whose owner is gone, each followed by its lock file.

    Those of other users that we may not open are left out: we cannot tell, and could not remove them.

    Args:
        since_s, until_s: only those made between the two (wall time [s]). A segment that is being made is
            not locked yet, so one that is a few seconds old may still be somebody's.
    """
    found: list[Path] = []
    for lock in sorted(folder.glob("fastdds_*_el")):
        if _SEGMENT_LOCK.fullmatch(lock.name) and _is_orphan(lock, since_s, until_s):
            found += [folder / lock.name.removesuffix("_el"), lock]
    return found


def remove_orphans(since_s: float = 0.0, until_s: float = math.inf, folder: Path = SHARED_MEMORY) -> int:
    """Remove what `orphans` finds. Returns how many segments that were."""
    found = orphans(since_s, until_s, folder)
    for path in found:
        path.unlink(missing_ok=True)
    return len(found) // 2


def _is_orphan(lock: Path, since_s: float, until_s: float) -> bool:
    try:
        handle = os.open(lock, os.O_RDONLY)
    except OSError:  # another user's, or just gone
        return False
    try:
        if not since_s <= os.fstat(handle).st_ctime <= until_s:
            return False
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)  # gives the lock back too
    return True
