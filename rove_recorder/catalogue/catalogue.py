"""One row per episode, to be searched by SQL: an index beside the episodes, made from them and never the truth.

The index is one parquet file in the folder of the sessions. It can be removed at any time: what it lacks or
what has changed since is read from the episodes again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rove_core.errors import EpisodeError, nearest
from rove_recorder.checking.check import find_episodes
from rove_recorder.episode_format.hashes import HASHES, covered_files, read_hashes
from rove_recorder.episode_format.schema import OPEN_SUFFIX, SUFFIX
from rove_recorder.episode_format.storage import METADATA
from rove_recorder.labels.annotations import FOLDER as ANNOTATIONS
from rove_recorder.reader import Episode, open_episode
from rove_recorder.views.attempt_facts import facts_of

if TYPE_CHECKING:
    import polars as pl

INDEX = ".catalogue.parquet"

# Column -> polars type. A column that is not known of an episode is null; `problem` says why one cannot be read.
# `opened` is UTC without a zone, so that it compares with DATE '2026-11-21' and TIMESTAMP '...' in conditions.
COLUMNS = {
    "path": "String",
    "session": "String",
    "episode_id": "String",
    "sha256": "String",
    "bytes": "Int64",
    "files": "Int64",
    "task": "String",
    "instruction": "String",
    "robot": "String",
    "embodiment": "String",
    "has_action": "Boolean",
    "outcome": "String",
    "by": "String",
    "operator": "String",
    "supervisor": "String",
    "policy_id": "String",
    "policy_index": "Int64",
    "start_stage": "Int64",
    "demonstration": "Boolean",
    "rows": "Int64",
    "seconds": "Float64",
    "takeovers": "Int64",
    "rollout_s": "Float64",
    "adaptation_s": "Float64",
    "recovery_s": "Float64",
    "paused_s": "Float64",
    "human_share": "Float64",
    "frames": "Int64",
    "frames_dropped": "Int64",
    "valid_share": "Float64",
    "opened": "Datetime",
    "committed": "Boolean",
    "recovered": "Boolean",
    "flags": "List",
    "problem": "String",
}
# A catalogue of many robots is a folder of parquet files, parted by this column; see rove_recorder.catalogue.ingest.
PARTITION = "date"
# Tells whether a row still describes the episode; only in the index file.
_STAMP = "stamp"

_log = logging.getLogger(__name__)


def schema() -> dict[str, Any]:
    """Column -> polars data type."""
    import polars as pl

    special = {"Datetime": pl.Datetime("us"), "List": pl.List(pl.String)}
    return {name: special.get(kind) or getattr(pl, kind) for name, kind in COLUMNS.items()}


def row_of(episode: Episode) -> dict[str, Any]:
    """What the catalogue says of a finished episode; `path` is its folder, `opened` a datetime in UTC without zone.

    Seconds of stages follow the annotations in force. `flags` holds their codes.

    Raises:
        EpisodeError: it cannot be read.
    """
    attrs, fact = episode.attrs, facts_of(episode.path)
    if fact.problem:
        raise EpisodeError(fact.problem)
    policy = attrs.get("policy") or {}
    stages = fact.stage_seconds
    human_s = stages["adaptation"] + stages["recovery"]
    active_s = human_s + stages["rollout"]
    sha256, size, files = _contents(episode.path)
    return {
        "path": str(episode.path),
        "session": str(attrs.get("session", "")),
        "episode_id": episode.episode_id,
        "sha256": sha256,
        "bytes": size,
        "files": files,
        "task": fact.task,
        "instruction": fact.instruction,
        "robot": str(attrs.get("robot", "")),
        "embodiment": str(attrs.get("embodiment", "robot")),
        "has_action": bool(attrs.get("has_action", True)),
        "outcome": fact.outcome,
        "by": fact.by,
        "operator": str(attrs.get("operator", "")),
        "supervisor": str(attrs.get("supervisor", "")),
        "policy_id": str(policy.get("id", "")),
        "policy_index": int(policy.get("index", -1)),
        "start_stage": fact.start_stage,
        "demonstration": fact.demonstration,
        "rows": fact.rows,
        "seconds": fact.seconds,
        "takeovers": fact.takeovers,
        **{f"{name}_s": stages[name] for name in ("rollout", "adaptation", "recovery", "paused")},
        "human_share": human_s / active_s if active_s else 0.0,
        "frames": fact.frames,
        "frames_dropped": fact.frames_dropped,
        "valid_share": fact.valid_rows / fact.rows if fact.rows else 0.0,
        "opened": _utc(attrs.get("opened_wall")),
        "committed": fact.committed,
        "recovered": fact.recovered,
        "flags": [str(flag["code"]) for flag in attrs.get("flags", [])],
        "problem": "",
    }


def _contents(folder: Path) -> tuple[str, int, int]:
    """Hash of an episode ("" when it was recorded without), bytes and files that the hash covers."""
    hashes = read_hashes(folder)
    if hashes is not None:
        return hashes.sha256, hashes.bytes, len(hashes.files)
    sizes = [(folder / name).stat().st_size for name in covered_files(folder)]
    return "", sum(sizes), len(sizes)


def _utc(stamp: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(stamp))
    except ValueError:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def catalogue_of(root: Path) -> pl.DataFrame:
    """The catalogue of the finished episodes below `root`, in order of path; `path` is relative to `root`.

    Reads what is new or changed, and keeps the rest in the index, which any number of processes may do at once.
    An index that cannot be written or read costs time, not rows: one line of warning.

    Args:
        root: folder with sessions, a session, or an episode.

    Raises:
        EpisodeError: no such folder.
    """
    import polars as pl

    alone = root.name.endswith((SUFFIX, OPEN_SUFFIX))
    known = {} if alone else _read_index(root / INDEX)
    rows, changed = [], 0
    for path in find_episodes(root):
        if path.name.endswith(OPEN_SUFFIX):
            continue
        name, stamp = path.relative_to(root).as_posix(), _stamp(path)
        row = known.pop(name, None)
        if row is None or row[_STAMP] != stamp:
            row = {**_row_at(path), "path": name, _STAMP: stamp}
            changed += 1
        rows.append(row)
    frame = pl.DataFrame(rows, schema={**schema(), _STAMP: pl.String}, orient="row")
    if (changed or known) and not alone:
        _write_index(frame, root / INDEX)
    return frame.drop(_STAMP)


def open_catalogue(place: Path) -> pl.DataFrame | pl.LazyFrame:
    """A catalogue from wherever it is: of the episodes in a folder, or as parquet that somebody made of them.

    Args:
        place: folder with episodes; a parquet file; or a folder of parquet files in folders like `date=2026-11-21`,
            of which only what a condition needs is read.

    Raises:
        EpisodeError: no such place.
    """
    import polars as pl

    if place.suffix == ".parquet" and place.is_file():
        return pl.scan_parquet(place)
    if place.is_dir() and any(place.glob(f"{PARTITION}=*")):
        return pl.scan_parquet(place / f"{PARTITION}=*" / "*.parquet", hive_partitioning=True)
    return catalogue_of(place)


def _stamp(folder: Path) -> str:
    """Changes when an episode does: its attributes, its hashes, or which annotations there are."""
    parts = []
    for name in (METADATA, HASHES):
        try:
            found = (folder / name).stat()
        except OSError:
            parts.append("-")
        else:
            parts.append(f"{found.st_mtime_ns}:{found.st_size}:{found.st_ino}")
    # By name: they are never changed, and times of folders are too coarse for two in the same moment.
    return " ".join([*parts, *sorted(path.name for path in (folder / ANNOTATIONS).glob("[!.]*@*"))])


def _row_at(path: Path) -> dict[str, Any]:
    """Row of the episode at `path`; that it cannot be read is one, with nulls but for its name."""
    try:
        return row_of(open_episode(path))
    except EpisodeError as error:
        problem = str(error)
    except (KeyError, TypeError, ValueError, OSError) as error:
        problem = f"{path} has attributes that make no sense: {type(error).__name__}: {error}"
    empty: dict[str, Any] = dict.fromkeys(COLUMNS)
    return {**empty, "episode_id": path.name.removesuffix(SUFFIX), "session": path.parent.name, "problem": problem}


def _read_index(path: Path) -> dict[str, dict[str, Any]]:
    """Rows of an index by path; none when it is missing, damaged or of another version."""
    import polars as pl

    if not path.is_file():
        return {}
    try:
        frame = pl.read_parquet(path, memory_map=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        _log.warning("%s cannot be read and is made anew: %s", path, str(error).splitlines()[0])
        return {}
    if frame.schema != {**schema(), _STAMP: pl.String}:
        return {}
    return {row["path"]: row for row in frame.iter_rows(named=True)}


def _write_index(frame: pl.DataFrame, path: Path) -> None:
    """Replace the index: another process sees the old one or the new one."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        frame.write_parquet(temporary)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        _log.warning("cannot keep the catalogue as %s: %s", path, error.strerror or error)


def frame_of(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """A catalogue of rows as `row_of` makes them, also after JSON: `opened` may be text."""
    import polars as pl

    prepared = [
        {**row, "opened": _utc(row["opened"]) if isinstance(row.get("opened"), str) else row.get("opened")}
        for row in rows
    ]
    return pl.DataFrame(prepared, schema=schema(), orient="row")


def select(frame: pl.DataFrame | pl.LazyFrame, where: str) -> pl.DataFrame:
    """The rows of a catalogue for which a SQL condition holds, as "outcome = 'success' AND takeovers > 0".

    Raises:
        EpisodeError: not a condition, or it names a column that is not there.
    """
    import polars as pl

    try:
        return frame.lazy().filter(pl.sql_expr(where)).collect()
    except pl.exceptions.ColumnNotFoundError as error:
        unknown = _quoted(str(error))
        raise EpisodeError(
            f"the condition names a column '{unknown}' that the catalogue does not have",
            f"{nearest(unknown, COLUMNS)}; texts stand in single quotes: outcome = 'success'",
        ) from None
    except pl.exceptions.PolarsError as error:
        raise EpisodeError(
            f"not a condition for the catalogue: {where}: {str(error).splitlines()[0]}",
            "a SQL condition over its columns, as \"outcome = 'success' AND opened >= DATE '2026-11-21'\"",
        ) from None


def _quoted(text: str) -> str:
    parts: Sequence[str] = text.split('"')
    return parts[1] if len(parts) > 2 else text.splitlines()[0]
