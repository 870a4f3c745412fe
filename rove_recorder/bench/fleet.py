"""A fleet that was never there: rows and manifests of many robots, as exports would make them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rove_recorder.catalogue.catalogue import COLUMNS, schema
from rove_recorder.export.layout import episode_prefix
from rove_recorder.export.manifest import Entry, Manifest, counted

if TYPE_CHECKING:
    import polars as pl

TASKS = ("whiteboard", "toaster", "drawer", "laundry")
OPERATORS = tuple(f"operator-{number:02d}" for number in range(40))
START = datetime(2026, 11, 1, tzinfo=UTC)

# An attempt of a minute with three 640x480 cameras, as measured: docs/explanation/scale.md.
BYTES_PER_SECOND, FILES_PER_SECOND, FILES_AT_LEAST = 6.3e6, 12.4, 180


def machine_name(robot: int) -> str:
    """Name of a robot."""
    return f"robot-{robot:03d}"


def fleet_rows(robots: Iterable[int], days: int, episodes: int, start: datetime = START) -> pl.DataFrame:
    """Rows of the catalogue of many robots: what `rove_recorder.catalogue.ingest.rows_of` makes of their manifests.

    Args:
        robots: their numbers. days: how many. episodes: attempts of a robot on a day. start: the first day [UTC].
    """
    import polars as pl

    numbers = np.asarray(list(robots))
    robot = np.repeat(numbers, days * episodes)
    day = np.tile(np.repeat(np.arange(days), episodes), len(numbers))
    attempt = np.tile(np.arange(episodes), len(numbers) * days)
    rng = np.random.default_rng([*numbers[:1].tolist(), days, episodes, start.toordinal()])
    opened = np.datetime64(start.replace(tzinfo=None), "us") + day * np.timedelta64(86_400, "s")
    opened = opened + (8 * 3600 + attempt * (12 * 3600 // max(episodes, 1))) * np.timedelta64(1, "s")
    machine = [machine_name(number) for number in robot.tolist()]
    known = {
        **_names(machine, opened, rng),
        **_about(robot, day, rng),
        **_seconds(rng, len(robot)),
        "opened": opened,
    }
    flagged = pl.when(pl.col("frames_dropped") > 0).then(pl.concat_list(pl.lit("frames_dropped")))
    frame = pl.DataFrame({name: known[name] for name in COLUMNS if name in known}).with_columns(
        flags=flagged.otherwise(pl.lit([], pl.List(pl.String)))
    )
    return frame.select(pl.col(name).cast(kind) for name, kind in schema().items()).with_columns(
        machine=pl.Series(machine, dtype=pl.String),
        as_of=pl.Series(opened).dt.truncate("1d") + timedelta(days=1, hours=2),
    )


def _names(machine: list[str], opened: npt.NDArray[np.datetime64], rng: np.random.Generator) -> dict[str, Any]:
    """Names and hashes of attempts."""
    stamps = opened.astype("datetime64[s]").tolist()
    bits = rng.integers(0, 1 << 24, len(machine)).tolist()
    ids = [f"{stamp:%Y%m%dT%H%M%S}_{number:06x}" for stamp, number in zip(stamps, bits, strict=True)]
    sessions = [f"{stamp:%Y%m%d}T080000_fleet" for stamp in stamps]
    path = list(map(episode_prefix, machine, stamps, sessions, ids))
    return {
        "path": path,
        "session": sessions,
        "episode_id": ids,
        "sha256": [hashlib.sha256(name.encode()).hexdigest() for name in path],
    }


def _about(robot: npt.NDArray[np.int64], day: npt.NDArray[np.int64], rng: np.random.Generator) -> dict[str, Any]:
    """What was done, by whom, and how it ended."""
    count = len(robot)
    outcome = rng.choice(["success", "failure", "aborted", "unlabelled"], count, p=[0.7, 0.25, 0.03, 0.02])
    return {
        "task": np.array(TASKS)[(robot + day) % len(TASKS)],
        "instruction": "do the task",
        "robot": "iron_r01",
        "embodiment": "robot",
        "has_action": True,
        "outcome": outcome,
        "by": np.where(outcome == "unlabelled", "", "pedal:left"),
        "operator": np.array(OPERATORS)[rng.integers(0, len(OPERATORS), count)],
        "supervisor": np.array(OPERATORS)[robot % len(OPERATORS)],
        "policy_id": "flow@3f21",
        "policy_index": 3 + day // 7,
        "start_stage": rng.integers(0, 4, count),
        "demonstration": False,
        "committed": True,
        "recovered": rng.random(count) < 0.002,
        "problem": "",
    }


def _seconds(rng: np.random.Generator, count: int) -> dict[str, Any]:
    """How long the stages were, and what follows from that; half of the attempts have a takeover."""
    taken_over = rng.random(count) < 0.5
    rollout = rng.gamma(4.0, 6.0, count)
    adaptation, recovery = taken_over * rng.gamma(2.0, 2.0, count), taken_over * rng.gamma(3.0, 6.0, count)
    paused = taken_over * rng.gamma(2.0, 3.0, count)
    seconds = rollout + adaptation + recovery + paused
    return {
        "bytes": (seconds * BYTES_PER_SECOND).astype(np.int64),
        "files": (FILES_AT_LEAST + seconds * FILES_PER_SECOND).astype(np.int64),
        "rows": (seconds * 30).astype(np.int64),
        "seconds": seconds,
        "takeovers": taken_over.astype(np.int64),
        "rollout_s": rollout,
        "adaptation_s": adaptation,
        "recovery_s": recovery,
        "paused_s": paused,
        "human_share": (adaptation + recovery) / (seconds - paused),
        "frames": (seconds * 90).astype(np.int64),
        "frames_dropped": rng.poisson(0.02, count),
        "valid_share": 1 - rng.random(count) * 0.02,
    }


def manifest_of_a_night(robot: int, day: datetime, episodes: int) -> Manifest:
    """What a robot's nightly export publishes of the attempts of `day`."""
    entries = []
    for row in fleet_rows([robot], 1, episodes, day).drop("machine", "as_of", "problem").iter_rows(named=True):
        path = row.pop("path")
        row["opened"] = row["opened"].isoformat()
        entries.append(Entry(path=path, sha256=row["sha256"], files=row["files"], bytes=row["bytes"], episode=row))
    return Manifest(
        robot=machine_name(robot),
        software="0",
        created=day + timedelta(days=1, hours=2),
        counts=counted(entries),
        entries=tuple(entries),
    )


def write_manifests(manifests: Iterable[Manifest], target: Path) -> int:
    """Put manifests where exports put them; returns their size [bytes]."""
    size = 0
    for manifest in manifests:
        path = target / manifest.key()
        path.parent.mkdir(parents=True, exist_ok=True)
        size += path.write_bytes(manifest.content())
    return size
