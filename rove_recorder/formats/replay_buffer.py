"""Attempts as the ReplayBuffer of diffusion_policy and UMI: zarr format 2, one array per quantity over all rows."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from rove_core import __version__
from rove_core.modes import Outcome, Source
from rove_recorder.formats.options import Options, Report
from rove_recorder.formats.parts import (
    Attempt,
    Part,
    Shape,
    nothing_to_convert,
    parts_of,
    picture,
    shape_of,
    usable,
)
from rove_recorder.formats.work_folder import WorkFolder
from rove_recorder.reader import open_episode

NAME = "replay_buffer.zarr.zip"

# About what their loaders read at once: a few images, some thousand rows of numbers.
_CHUNK_BYTES = 1024 * 1024
# Blosc with bit shuffle, as numcodecs has described it since before zarr 2.16.
_COMPRESSOR = {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 2, "blocksize": 0}


@dataclass(frozen=True, slots=True)
class _Plan:
    """What will be written: known before the first byte, because zarr arrays want their length."""

    shape: Shape
    parts: list[tuple[Path, Part]]
    lengths: list[int]
    left_out: int


def write(episodes: Sequence[Path], out: Path, options: Options) -> Report:
    """Convert finished episodes, in the order given.

    Args:
        out: the zip file, as UMI ships them, where its name ends in `.zip`; else a folder with the file NAME in it.

    Raises:
        EpisodeError: `out` exists, nothing can be converted, attempts do not fit together, or one is damaged.
    """
    skipped: list[tuple[Path, str]] = []
    with WorkFolder(out) as folder:
        plan = _plan(episodes, options, skipped)
        if plan is None:
            raise nothing_to_convert(skipped)
        store, packed = folder.path / "store", folder.path / NAME
        _fill(store, plan, options)
        _zip(store, packed)
        shutil.rmtree(store)
        folder.publish(packed if out.suffix == ".zip" else None)
    attempts = len({path for path, _ in plan.parts})
    return Report(out, attempts, len(plan.parts), sum(plan.lengths), plan.left_out, tuple(skipped))


def _plan(episodes: Sequence[Path], options: Options, skipped: list[tuple[Path, str]]) -> _Plan | None:
    plan: _Plan | None = None
    left_out = 0
    for path in episodes:
        attempt = Attempt(open_episode(path))
        why = usable(attempt, options, plan.shape if plan else None)
        if why:
            skipped.append((path, why))
            continue
        plan = plan or _Plan(shape_of(attempt.episode, options), [], [], 0)
        parts = parts_of(attempt, options)
        plan.parts.extend((path, part) for part in parts)
        plan.lengths.extend(len(part.rows) for part in parts)
        left_out += attempt.episode.rows - sum(len(part.rows) for part in parts)
    return None if plan is None else _Plan(plan.shape, plan.parts, plan.lengths, left_out)


def _columns(attempt: Attempt, part: Part) -> dict[str, npt.NDArray[Any]]:
    """What stands in `data` beside the images, shape (n,) or (n, D)."""
    rows, steps = part.rows, attempt.episode.steps
    return {
        "state": steps["state"][rows].astype(np.float32),
        "action": steps["command_sent"][rows].astype(np.float32),
        "intervention": (steps["control"][rows] == Source.OPERATOR).astype(np.uint8),
        "keep": part.keep.astype(np.uint8),
        "control": steps["control"][rows],
        "stage": attempt.stage[rows],
        "segment": steps["segment_id"][rows],
        "policy_index": steps["policy_index"][rows],
        "t_ros_ns": steps["t_ros_ns"][rows],
        "row": rows.astype(np.int64),
    }


def _facts(attempt: Attempt, part: Part) -> dict[str, Any]:
    """What the attributes of the store say of an episode; strings have no place in its arrays."""
    attrs = attempt.episode.attrs
    return {
        "attempt": attempt.episode.episode_id,
        "session": attrs["session"],
        "part": part.number,
        "last_part": part.last,
        "instruction": attrs["instruction"],
        "task": attrs["task"],
        "outcome": attempt.outcome.value.value,
        "demonstration": attrs["demonstration"],
    }


def _fill(store: Path, plan: _Plan, options: Options) -> None:
    root = zarr.create_group(store, zarr_format=2)
    data, meta = root.create_group("data"), root.create_group("meta")
    total = sum(plan.lengths)
    arrays: dict[str, Any] = {}
    facts, success = [], []
    start = 0
    attempt: Attempt | None = None
    for path, part in plan.parts:
        if attempt is None or attempt.episode.path != path:
            attempt = Attempt(open_episode(path))
        columns = _columns(attempt, part)
        if not arrays:
            arrays = {name: _array(data, name, total, values) for name, values in columns.items()}
            for camera, (width, height) in plan.shape.cameras.items():
                arrays[f"camera_{camera}"] = _array(
                    data, f"camera_{camera}", total, np.empty((1, height, width, 3), np.uint8)
                )
        stop = start + len(part.rows)
        for name, values in columns.items():
            arrays[name][start:stop] = values
        for camera in plan.shape.cameras:
            _fill_images(arrays[f"camera_{camera}"], start, attempt, part, camera, plan.shape)
        facts.append(_facts(attempt, part))
        success.append(part.last and attempt.outcome.value is Outcome.SUCCESS)
        start = stop
    # Their class cuts and appends to it and expects it uncompressed.
    ends = np.cumsum(plan.lengths).astype(np.int64)
    meta.create_array("episode_ends", data=ends, chunks=ends.shape, compressors=None)
    meta.create_array("success", data=np.array(success, np.uint8), chunks=ends.shape, compressors=None)
    root.attrs.update(
        {
            "robot": plan.shape.robot,
            "joint_names": list(plan.shape.joints),
            "control_hz": plan.shape.control_hz,
            "options": options.model_dump(mode="json"),
            "software": {"rove": __version__},
            "episodes": facts,
        }
    )


def _array(group: Any, name: str, total: int, like: npt.NDArray[Any]) -> Any:
    row_bytes = max(int(like.dtype.itemsize * np.prod(like.shape[1:], dtype=np.int64)), 1)
    rows = int(np.clip(_CHUNK_BYTES // row_bytes, 1, total))
    return group.create_array(
        name,
        shape=(total, *like.shape[1:]),
        chunks=(rows, *like.shape[1:]),
        dtype=like.dtype,
        compressors=_COMPRESSOR,
    )


def _fill_images(array: Any, start: int, attempt: Attempt, part: Part, camera: str, shape: Shape) -> None:
    """The images of a part, a chunk of the array at a time: each chunk is compressed once."""
    frames = attempt.episode.frames(camera)
    numbers = attempt.episode.steps[f"camera_index_{camera}"][part.rows]
    chunk = array.chunks[0]
    done = 0
    while done < len(numbers):
        count = min(chunk - (start + done) % chunk, len(numbers) - done)
        images = [picture(frames, int(number), shape.cameras[camera]) for number in numbers[done : done + count]]
        array[start + done : start + done + count] = np.stack(images)
        done += count


def _zip(store: Path, target: Path) -> None:
    """The store as a zip file, not compressed again, the same bytes for the same content."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(path for path in store.rglob("*") if path.is_file()):
            archive.writestr(zipfile.ZipInfo(path.relative_to(store).as_posix()), path.read_bytes())
