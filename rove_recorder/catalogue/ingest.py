"""The catalogue of many robots, made from the manifests of their exports: no episode is opened for it.

One parquet file per day on which attempts began, in folders `date=2026-11-21`: a night of a hundred robots is one
file, a condition on `date` reads only the days that it needs, and a late manifest rewrites one day.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rove_core.errors import EpisodeError, ExportError
from rove_recorder.catalogue.catalogue import PARTITION, frame_of, schema
from rove_recorder.episode_format.locations import Location
from rove_recorder.episode_format.storage import write_atomically
from rove_recorder.export.layout import MANIFESTS, packed_key
from rove_recorder.export.manifest import ZARR, Manifest, parse_manifest

if TYPE_CHECKING:
    import polars as pl

# Which manifests the catalogue holds, one per line.
INGESTED = "manifests.txt"
_PART = "episodes.parquet"

# So many are read before their rows are written: what bounds memory, to about half a gigabyte at 90 episodes each.
BATCH_MANIFESTS = 500

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ingested:
    """What one run did. `rows`: episodes in the manifests that were new. `damaged`: a line per unusable manifest."""

    manifests: int
    rows: int
    damaged: tuple[str, ...]


def ingest(target: Location, out: Path) -> Ingested:
    """Bring the catalogue in the folder `out` up to date with the manifests at an export's target.

    Manifests that it holds are not read again. Of several entries for one episode that of the latest manifest counts,
    in whatever order they arrive. A run that was killed is done again by the next, with the same rows. One run at
    a time; readers are never disturbed.

    Args:
        target: where robots export to, here or behind a URL. out: folder of the catalogue; made when missing.

    Raises:
        EpisodeError: the target holds no manifests, or `out` cannot be written.
    """
    known = _ingested(out)
    keys = sorted((key for key in _keys(target) if key not in known), key=lambda key: key.rpartition("/")[2])
    if not keys and not known:
        raise EpisodeError(f"{target} holds no manifests", "give the folder or URL that robots export to")
    rows, done = 0, sorted(known)
    damaged: list[str] = []
    for start in range(0, len(keys), BATCH_MANIFESTS):
        batch = keys[start : start + BATCH_MANIFESTS]
        manifests, problems = _read(target, batch)
        damaged += problems.values()
        rows += _store(rows_of(manifests), out)
        done += [key for key in batch if key not in problems]
        _write(out, done)
    return Ingested(len(keys) - len(damaged), rows, tuple(damaged))


def _keys(target: Location) -> Iterator[str]:
    for machine in (target / MANIFESTS).glob("*"):
        yield from (f"{machine.name}/{found.name}" for found in machine.glob("*.json"))


def _ingested(out: Path) -> set[str]:
    try:
        return set((out / INGESTED).read_text(encoding="utf-8").split())
    except FileNotFoundError:
        return set()


def _write(out: Path, keys: Sequence[str]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / INGESTED, "".join(f"{key}\n" for key in keys).encode())
    except OSError as error:
        raise EpisodeError(f"cannot write to {out}: {error.strerror}") from None


def _read(target: Location, keys: Sequence[str]) -> tuple[list[Manifest], dict[str, str]]:
    """Manifests, and key -> problem of those that cannot be used."""
    manifests, problems = [], {}
    for key in keys:
        machine, _, name = key.partition("/")
        try:
            manifests.append(parse_manifest(name, target.joinpath(MANIFESTS, machine, name).read_bytes()))
        except (ExportError, EpisodeError, OSError) as error:
            problems[key] = str(error)
    return manifests, problems


def _store(frame: pl.DataFrame, out: Path) -> int:
    """Add rows to the days on which their episodes began."""
    import polars as pl

    for day, rows in (
        frame.with_columns(pl.col("opened").dt.date().alias(PARTITION))
        .partition_by(PARTITION, as_dict=True, include_key=False)
        .items()
    ):
        folder = out / f"{PARTITION}={day[0]}"
        path = folder / _PART
        # The latest manifest counts; sorted by machine, so that a condition on it skips row groups.
        merged = pl.concat([pl.read_parquet(path, hive_partitioning=False), rows]) if path.is_file() else rows
        merged = merged.sort("path", "as_of").unique("path", keep="last", maintain_order=True)
        temporary = folder / f".{_PART}.{os.getpid()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            merged.write_parquet(temporary, row_group_size=8192)
            temporary.replace(path)
        except OSError as error:
            raise EpisodeError(f"cannot write {path}: {error.strerror or error}") from None
    return len(frame)


def rows_of(manifests: Sequence[Manifest]) -> pl.DataFrame:
    """Rows of the catalogue, with the machine and the time of the manifest that said so; `path` is at the target, of a
    packed episode that of its zip file.
    """
    import polars as pl

    rows: list[dict[str, Any]] = []
    machines, stamps = [], []
    for manifest in manifests:
        for entry in manifest.entries:
            if entry.kind != ZARR:
                continue
            path = packed_key(entry.path) if entry.packed else entry.path
            rows.append({**entry.episode, "path": path, "sha256": entry.sha256, "problem": ""})
            machines.append(manifest.robot)
            stamps.append(manifest.created.replace(tzinfo=None))
    return frame_of(rows).with_columns(
        pl.Series("machine", machines, pl.String), pl.Series("as_of", stamps, pl.Datetime("us"))
    )


def columns() -> dict[str, Any]:
    """Columns of such a catalogue and their polars types, `date` among them."""
    import polars as pl

    return {**schema(), "machine": pl.String, "as_of": pl.Datetime("us"), PARTITION: pl.Date}
