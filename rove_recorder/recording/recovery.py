"""Ending an episode: cut to what is complete, describe it, rename it. Closing and recovery do the same.

Every step can be cut off at any instruction and be done again: what is kept is decided once and written down
(`sealing.json`) before the first file changes, and the rename is the last step.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rove_core.errors import RecordingError, RoveError
from rove_core.modes import Outcome, Source
from rove_recorder.checking.flags import flags_of, frames_dropped
from rove_recorder.episode_format.hashes import HASHES, FileHash, hash_episode, write_hashes
from rove_recorder.episode_format.schema import OPEN_SUFFIX, SUFFIX
from rove_recorder.episode_format.segmenter import marks_of_takeovers, progress_marks, segment
from rove_recorder.episode_format.storage import (
    METADATA,
    PARTIAL,
    array_rows,
    group_metadata,
    sync_folder,
    write_atomically,
)
from rove_recorder.reader import SEALING, ArrayGroup, Episode
from rove_recorder.recording.session_lock import SessionLock

# What else a kill leaves behind: an episode's folder that was being made, a raw log.
LEFTOVERS = (f"{OPEN_SUFFIX}{PARTIAL}", ".mcap.open")

# Of an episode that nobody could end properly.
RECOVERED_BY = "recovery"


def seal_episode(
    folder: Path, ending: Mapping[str, Any] | None = None, full_chunks: Mapping[str, FileHash] | None = None
) -> Path:
    """Turn an open episode into a finished one.

    Args:
        folder: `<episode_id>.zarr.open`, with nobody writing to it.
        ending: attributes that the end adds (outcome ...); None when it is recovered.
        full_chunks: path -> hash of chunk files that were hashed when they were written.

    Returns:
        The finished episode's folder.

    Raises:
        EpisodeError: its metadata cannot be read. OSError: the disk refuses.
    """
    target = folder.with_name(folder.name.removesuffix(OPEN_SUFFIX) + SUFFIX)
    episode = Episode(folder)
    if not episode.attrs.get("committed"):
        if _seal_groups(episode):
            full_chunks = None  # a chunk that was full may not be any more
        attributes = {**episode.attrs, **(_recovered() if ending is None else ending), **_description(Episode(folder))}
        write_atomically(folder / METADATA, group_metadata({**attributes, "committed": True}))
    (folder / SEALING).unlink(missing_ok=True)
    sync_folder(folder, everything=True)
    if not (folder / HASHES).exists():  # what it covers is on the disk, so that it is right when it is there
        _write_hashes(folder, full_chunks or {})
    folder.rename(target)
    sync_folder(target.parent)
    return target


def _write_hashes(folder: Path, full_chunks: Mapping[str, FileHash]) -> None:
    for left_by_a_kill in [*folder.rglob(f"*{PARTIAL}")]:
        left_by_a_kill.unlink()
    write_hashes(folder, hash_episode(folder, full_chunks))
    sync_folder(folder, everything=True)


def _recovered() -> dict[str, Any]:
    return {
        "outcome": {"value": Outcome.UNLABELLED.value, "by": RECOVERED_BY, "when": None, "t_ros_ns": None},
        "recovered": True,
        "ended_by": "crash",
    }


def _groups(folder: Path) -> list[str]:
    return sorted(str(path.parent.relative_to(folder)) for path in folder.rglob(METADATA) if path.parent != folder)


def _seal_groups(episode: Episode) -> bool:
    """Cut every array to its length; whether any had more rows."""
    groups = {path: episode.group(path) for path in _groups(episode.path) if not _is_array(episode.path / path)}
    plan = _plan(groups)
    write_atomically(episode.path / SEALING, json.dumps(plan).encode())
    # Padding must not reach the disk before the plan that tells it from rows.
    sync_folder(episode.path, everything=True)
    cut = False
    for path, group in groups.items():
        if path == "chunks":
            _write_first_executed(group, plan[path], groups["streams/commands"], plan["streams/commands"])
        # Lengths first: sealing the offsets must not change what is read from them.
        rows = {name: array_rows(array, group.arrays, plan[path]) for name, array in group.arrays.items()}
        for name, array in group.arrays.items():
            cut |= array.seal(rows[name])
    return cut


def _is_array(folder: Path) -> bool:
    return bool(json.loads((folder / METADATA).read_bytes()).get("node_type") == "array")


def _plan(groups: Mapping[str, ArrayGroup]) -> dict[str, int]:
    """How many records of each group to keep: complete in all arrays, times in order, and nothing they name missing."""
    plan = {path: group.records for path, group in groups.items()}
    for path in ("streams/commands", "steps"):
        stamps = groups[path].rows_of("t_mono_ns", 0, plan[path])
        plan[path] = _first(np.diff(stamps) <= 0, plan[path] - 1) + 1 if plan[path] else 0
    steps, rows = groups["steps"], plan["steps"]
    limits = {"command_index": plan["streams/commands"]}
    for path in groups:
        if path.startswith("cameras/"):
            limits[f"camera_index_{path.removeprefix('cameras/')}"] = plan[path]
    for column, limit in limits.items():
        rows = min(rows, _first(steps.rows_of(column, 0, rows) >= limit, rows))
    plan["steps"] = rows
    return plan


def _first(bad: npt.NDArray[np.bool_], otherwise: int) -> int:
    found = np.flatnonzero(bad)
    return int(found[0]) if len(found) else otherwise


def _write_first_executed(chunks: ArrayGroup, records: int, commands: ArrayGroup, ticks: int) -> None:
    """When a command first came from each chunk [ns, control clock]; 0 when none did."""
    ids = commands.rows_of("chunk_id", 0, ticks)
    used = (commands.rows_of("source", 0, ticks) == Source.POLICY) & (ids > 0)
    executed, first = np.unique(ids[used], return_index=True)
    times = dict(zip(executed.tolist(), commands.rows_of("t_mono_ns", 0, ticks)[used][first].tolist(), strict=True))
    values = np.array([times.get(number, 0) for number in chunks.rows_of("chunk_id", 0, records).tolist()], "<i8")
    array = chunks.arrays["first_executed_ns"]
    # File by file and over what is there: at no moment the array is missing.
    for index, start in enumerate(range(0, records, array.chunk_rows)):
        path = array.chunk_path(index)
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, values[start : start + array.chunk_rows].tobytes())


def _description(episode: Episode) -> dict[str, Any]:
    """Attributes that follow from the content, so that they are the same however the episode ended."""
    steps, events = episode.steps, episode.events()
    marks = progress_marks(events)
    spans = segment(steps["mode"], steps["epoch"], steps["t_ros_ns"], marks)
    progress = marks_of_takeovers(spans, marks)
    return {
        "rows": episode.rows,
        "frames": {camera: len(episode.frames(camera)) for camera in episode.cameras},
        "frames_dropped": frames_dropped(episode),
        "flags": flags_of(episode),
        "takeovers": len(progress),
        "t_r": [None if m is None else {"t_ros_ns": m.t_ros_ns, "row": m.row, "epoch": m.epoch} for m in progress],
        "control_at_end": next((span.controller for span in reversed(spans) if span.controller != "hold"), "hold"),
        "policy": _policy(episode),
    }


def _policy(episode: Episode) -> dict[str, Any] | None:
    """The policy of the last chunk; None when there was none."""
    chunks = episode.chunks
    if not chunks.records:
        return None
    info = json.loads(chunks.record("info_json", chunks.records - 1).tobytes())
    name, _, digest = str(info.get("policy_id", "")).partition("@")
    return {"id": name.strip(), "sha256": digest.strip(), "index": int(chunks["policy_index"][-1])}


def recover(folder: Path) -> list[tuple[Path, str]]:
    """Finish every open episode below `folder` that no running recorder writes to.

    Returns:
        Per open episode its path afterwards and what was done: "recovered", or why not.

    Raises:
        RecordingError: there is no such folder.
    """
    if not folder.is_dir():
        raise RecordingError(f"no folder {folder}", "give the folder that holds sessions, or a session")
    done: list[tuple[Path, str]] = []
    orphans = [folder] if folder.name.endswith(OPEN_SUFFIX) else sorted(folder.rglob(f"*{OPEN_SUFFIX}"))
    leftovers = [path for suffix in LEFTOVERS for path in folder.rglob(f"*{suffix}")]
    for session in sorted({path.parent for path in (*orphans, *leftovers)}):
        inside = [orphan for orphan in orphans if orphan.parent == session]
        try:
            lock = SessionLock(session)
        except RecordingError as error:
            done += [(orphan, f"left alone: {error}") for orphan in inside]
            continue
        with lock:
            _tidy(session)
            done += [_recover_one(orphan) for orphan in inside]
    return done


def recover_locked(session: Path) -> list[tuple[Path, str]]:
    """`recover` for a session whose lock the caller holds."""
    _tidy(session)
    return [_recover_one(orphan) for orphan in sorted(session.glob(f"*{OPEN_SUFFIX}"))]


def _tidy(session: Path) -> None:
    """Remove folders of a recorder that was killed while it made them, empty yet, and complete its raw logs."""
    half_built, raw_logs = ([*session.glob(f"*{suffix}")] for suffix in LEFTOVERS)
    for folder in half_built:
        shutil.rmtree(folder, ignore_errors=True)
    if raw_logs:
        from rove_recorder.recording.raw_log import complete

        with suppress(OSError):  # no room: they stay for the next time, and episodes come first
            complete(session)


def _recover_one(orphan: Path) -> tuple[Path, str]:
    try:
        return seal_episode(orphan), "recovered"
    except (RoveError, OSError, KeyError, ValueError) as error:
        # Killed before its metadata was complete, or damaged: nothing to save, and nothing to delete either.
        return orphan, f"not recoverable: {error}"
