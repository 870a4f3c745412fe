"""`rove bench catalogue`: a million episodes selected, summed up and ingested, next to duckdb and pyarrow.

Every figure is that of a whole process, imports included, as somebody at a prompt would wait for it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rove_recorder.bench.fleet import START, fleet_rows, manifest_of_a_night, write_manifests
from rove_recorder.catalogue.catalogue import PARTITION

ROBOTS, EPISODES_A_DAY = 100, 90
REPETITIONS = 3

NARROW = f"machine = 'robot-007' AND {PARTITION} = DATE '2026-11-03'"
WIDE = "task = 'toaster' AND outcome = 'success' AND takeovers > 0 AND policy_index >= 3"

# argv: folder, condition; each prints how many episodes it found, with everything known of them in memory.
SELECT = """
import sys
from pathlib import Path
from rove_recorder.catalogue.catalogue import open_catalogue, select
print(len(select(open_catalogue(Path(sys.argv[1])), sys.argv[2])))
"""
STATS = """
import sys
from pathlib import Path
from rove_recorder.catalogue.catalogue import open_catalogue
from rove_recorder.catalogue.catalogue_stats import stats_of
print(stats_of(open_catalogue(Path(sys.argv[1])))["episodes"])
"""
DUCKDB = """
import sys, duckdb
rows = f"read_parquet('{sys.argv[1]}/*/*.parquet', hive_partitioning=true)"
print(duckdb.sql(f"SELECT * FROM {rows} WHERE {sys.argv[2]}").to_arrow_table().num_rows)
"""
PYARROW = """
import sys, datetime
import pyarrow.dataset as ds
f = ds.field
conditions = {
    "narrow": (f("machine") == "robot-007") & (f("date") == "2026-11-03"),
    "wide": (f("task") == "toaster") & (f("outcome") == "success") & (f("takeovers") > 0) & (f("policy_index") >= 3),
}
print(ds.dataset(sys.argv[1], partitioning="hive").to_table(filter=conditions[sys.argv[2]]).num_rows)
"""
INGEST = """
import sys
from pathlib import Path
from rove_recorder.catalogue.ingest import ingest
print(ingest(Path(sys.argv[1]), Path(sys.argv[2])).rows)
"""
# Added to each of them. Not getrusage: it begins with the memory of the process that started this one.
PEAK = """
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def run(quick: bool) -> dict[str, Any]:
    """Measure. Takes three minutes, half a minute when `quick`."""
    days, nights = (5, 3) if quick else (112, 30)
    with TemporaryDirectory() as folder:
        return {
            "machine_cores": os.cpu_count(),
            "select": _selecting(Path(folder, "catalogue"), days),
            "attributes": _attributes(Path(folder, "attributes"), 300 if quick else 3000),
            "ingest": _ingesting(Path(folder), nights),
        }


def _selecting(catalogue: Path, days: int) -> dict[str, Any]:
    for day in range(days):
        part = catalogue / f"{PARTITION}={(START + timedelta(days=day)).date()}"
        part.mkdir(parents=True)
        rows = fleet_rows(range(ROBOTS), 1, EPISODES_A_DAY, START + timedelta(days=day))
        rows.write_parquet(part / "episodes.parquet")
    size = sum(path.stat().st_size for path in catalogue.rglob("*.parquet"))
    figures: dict[str, Any] = {"episodes": days * ROBOTS * EPISODES_A_DAY, "catalogue_mb": round(size / 1e6, 1)}
    for name, condition in (("narrow", NARROW), ("wide", WIDE)):
        found = {"rove": _process(SELECT, str(catalogue), condition)}
        if find_spec("duckdb"):
            found["duckdb"] = _process(DUCKDB, str(catalogue), condition)
        if find_spec("pyarrow"):
            found["pyarrow"] = _process(PYARROW, str(catalogue), name)
        if len({figure["episodes"] for figure in found.values()}) != 1:
            raise RuntimeError(f"they disagree on '{condition}': {found}")
        figures[name] = found
    figures["stats"] = {"rove": _process(STATS, str(catalogue))}
    return figures


def _attributes(folder: Path, count: int) -> dict[str, Any]:
    """What it would take without a catalogue: the attributes of each episode, from a warm disk."""
    joints = [f"joint_{number}" for number in range(50)]
    limits = {name: [0.123456789] * 50 for name in ("lower", "upper", "max_velocity", "max_acceleration", "max_jerk")}
    row = fleet_rows([0], 1, 1).drop("opened", "as_of", "flags").to_dicts()[0]
    text = json.dumps({"attributes": {**row, "joint_names": joints, "joint_limits": limits}}, indent=2)
    for number in range(count):
        path = folder / f"{number}.zarr"
        path.mkdir(parents=True)
        (path / "zarr.json").write_text(text)
    start = time.perf_counter()
    found = [
        path for path in folder.glob("*/zarr.json") if json.loads(path.read_bytes())["attributes"]["task"] == "toaster"
    ]
    seconds = time.perf_counter() - start
    return {"read": count, "found": len(found), "s_per_million": round(seconds / count * 1e6, 1)}


def _ingesting(folder: Path, nights: int) -> dict[str, Any]:
    target, catalogue = folder / "target", folder / "ingested"
    size = sum(
        write_manifests(
            (manifest_of_a_night(robot, START + timedelta(days=night), EPISODES_A_DAY) for robot in range(ROBOTS)),
            target,
        )
        for night in range(nights)
    )
    first = _process(INGEST, str(target), str(catalogue), repetitions=1)
    write_manifests(
        (manifest_of_a_night(robot, START + timedelta(days=nights), EPISODES_A_DAY) for robot in range(ROBOTS)), target
    )
    return {
        "manifests": nights * ROBOTS,
        "manifests_mb": round(size / 1e6, 1),
        "all": first,
        "one_more_night": _process(INGEST, str(target), str(catalogue), repetitions=1),
        "nothing_new": _process(INGEST, str(target), str(catalogue), repetitions=1),
    }


def _process(program: str, *arguments: str, repetitions: int = REPETITIONS) -> dict[str, Any]:
    """The quickest of some runs: seconds, peak memory, and the number that it printed."""
    best: dict[str, Any] = {}
    for _ in range(repetitions):
        start = time.perf_counter()
        text = subprocess.check_output([sys.executable, "-c", program + PEAK, *arguments], text=True)
        seconds = time.perf_counter() - start
        episodes, peak_kb = text.split()
        if not best or seconds < best["s"]:
            best = {"s": round(seconds, 3), "peak_mb": round(int(peak_kb) / 1024), "episodes": int(episodes)}
    return best
