"""Telling what killed processes left from what living ones use."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from rove_hil.session.shared_memory import orphans, remove_orphans

NAME = "fastdds_0123456789abcdef"


def segment(folder: Path, name: str = NAME) -> tuple[Path, Path]:
    data, lock = folder / name, folder / f"{name}_el"
    data.write_bytes(b"x" * 100)
    lock.touch()
    return data, lock


def test_a_segment_whose_lock_nobody_holds_is_removed_with_its_lock(tmp_path: Path) -> None:
    data, lock = segment(tmp_path)
    assert orphans(folder=tmp_path) == [data, lock]
    assert remove_orphans(folder=tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_segment_in_use_stays(tmp_path: Path) -> None:
    data, lock = segment(tmp_path)
    handle = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert remove_orphans(folder=tmp_path) == 0
        assert data.exists()
    finally:
        os.close(handle)


def test_only_what_was_made_in_the_given_time_is_ours_to_judge(tmp_path: Path) -> None:
    _, lock = segment(tmp_path)
    made_s = lock.stat().st_ctime
    assert orphans(since_s=made_s + 1, folder=tmp_path) == []
    assert orphans(until_s=made_s - 1, folder=tmp_path) == []


def test_files_of_others_are_not_touched(tmp_path: Path) -> None:
    segment(tmp_path, "fastdds_port7400")
    segment(tmp_path, "somebody_elses")
    assert orphans(folder=tmp_path) == []
