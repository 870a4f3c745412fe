"""`rove bench export`: episodes into a folder of this machine, next to `cp`, `sync` and `sha256sum` of the same files.

Both end with every file at the target, on the disk, and hashed there. An export also checks every episode before,
hashes what it reads, publishes a manifest, and could go on after a kill; `sending` is the export without the check.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from rove_recorder.bench.attempts import record_attempt
from rove_recorder.export.contents import episode_content
from rove_recorder.export.exporter import DEFAULT_JOBS, Order, export
from rove_recorder.export.sender import Sender
from rove_recorder.export.state import ExportState
from rove_recorder.export.targets import open_target

# argv: source, target.
COPY_AND_HASH = (
    'cp -r "$1" "$2" && sync -f "$2" && cd "$2" && find . -type f -print0 | xargs -0 sha256sum > ../sums && sync -f ..'
)


def run(quick: bool) -> dict[str, Any]:
    """Measure. Takes five minutes, most of which make the data; half a minute when `quick`."""
    episodes, seconds, rounds = (2, 6.0, 3) if quick else (6, 45.0, 7)
    with tempfile.TemporaryDirectory(prefix="rove-export-") as folder:
        root = Path(folder)
        source = root / "episodes"
        for number in range(episodes):
            record_attempt(source / "session", f"attempt-{number}", seconds, number)
        sizes = [path.stat().st_size for path in source.rglob("*") if path.is_file()]
        ways: dict[str, Callable[[Path], None]] = {
            "cp_and_sha256sum": lambda place: _copy_and_hash(source, place),
            "export": lambda place: _export(source, place),
            "sending": lambda place: _send(source, place),
        }
        taken = _in_turns(ways, root, source, rounds)
    megabytes = sum(sizes) / 1e6
    return {
        "machine_cores": os.cpu_count(),
        "episodes": episodes,
        "files": len(sizes),
        "megabytes": round(megabytes, 1),
        "rounds": rounds,
        **{f"{name}_mb_per_s": round(megabytes / taken_s, 1) for name, taken_s in taken.items()},
        "export_vs_cp_and_sha256sum": round(taken["cp_and_sha256sum"] / taken["export"], 2),
        "sending_vs_cp_and_sha256sum": round(taken["cp_and_sha256sum"] / taken["sending"], 2),
    }


def _in_turns(ways: dict[str, Callable[[Path], None]], root: Path, source: Path, rounds: int) -> dict[str, float]:
    """Median seconds of each way, into an empty folder every time; the first round only warms up."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            place = root / "out" / "target"
            place.parent.mkdir()
            start = time.perf_counter()
            way(place)
            if number:
                taken[name].append(time.perf_counter() - start)
            shutil.rmtree(place.parent)
            shutil.rmtree(source / ".export", ignore_errors=True)
    return {name: median(seconds) for name, seconds in taken.items()}


def _copy_and_hash(source: Path, place: Path) -> None:
    subprocess.run(["sh", "-c", COPY_AND_HASH, "sh", str(source), str(place)], check=True)


def _export(source: Path, place: Path) -> None:
    target = open_target(str(place), DEFAULT_JOBS)
    summary = export(Order(source, "robot"), target, datetime.now(UTC))
    if summary.refused or not summary.manifest:
        raise RuntimeError(f"the benchmark's own episodes were refused: {summary.refused}")


def _send(source: Path, place: Path) -> None:
    target = open_target(str(place), DEFAULT_JOBS)
    state = ExportState(source, target.url, "robot")
    try:
        with Sender(target, state, DEFAULT_JOBS) as sender:
            for path in sorted((source / "session").glob("*.zarr")):
                content = episode_content(path, "robot", {})
                if content is not None:
                    sender.send(content).wait()
        target.sync()
    finally:
        state.close()
