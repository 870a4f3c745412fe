"""The catalogue of many robots, from manifests alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from rove_core.errors import EpisodeError
from rove_recorder.bench.fleet import manifest_of_a_night, write_manifests
from rove_recorder.catalogue.catalogue import open_catalogue, select
from rove_recorder.catalogue.ingest import INGESTED, columns, ingest, rows_of
from rove_recorder.episode_format.locations import locate
from rove_recorder.episode_format.packing import packed_url
from rove_recorder.export.exporter import Order, export
from rove_recorder.export.manifest import Manifest
from rove_recorder.export.targets import open_target
from rove_recorder.reader import open_episode

DAY = datetime(2026, 11, 1, tzinfo=UTC)


def night(robot: int, day: int = 0, episodes: int = 5) -> Manifest:
    return manifest_of_a_night(robot, DAY + timedelta(days=day), episodes)


def everything(catalogue: Path) -> pl.DataFrame:
    return select(open_catalogue(catalogue), "1 = 1").sort("path")


def test_every_episode_of_every_manifest_is_a_row(tmp_path: Path) -> None:
    nights = [night(robot, day) for robot in range(3) for day in range(2)]
    write_manifests(nights, tmp_path / "target")
    assert ingest(tmp_path / "target", tmp_path / "catalogue").rows == 30
    frame = everything(tmp_path / "catalogue")
    assert frame.schema == columns()
    assert frame["path"].to_list() == sorted(entry.path for night in nights for entry in night.entries)
    day = select(open_catalogue(tmp_path / "catalogue"), "date = DATE '2026-11-02' AND machine = 'robot-001'")
    assert len(day) == 5
    assert day["opened"].dt.date().unique().to_list() == [datetime(2026, 11, 2).date()]


def test_only_new_manifests_are_read(tmp_path: Path) -> None:
    write_manifests([night(0)], tmp_path / "target")
    ingest(tmp_path / "target", tmp_path / "catalogue")
    first = everything(tmp_path / "catalogue")
    (path,) = (tmp_path / "target").rglob("*.json")
    path.write_text("no manifest any more")
    assert ingest(tmp_path / "target", tmp_path / "catalogue").manifests == 0
    write_manifests([night(1)], tmp_path / "target")
    assert ingest(tmp_path / "target", tmp_path / "catalogue").manifests == 1
    assert len(everything(tmp_path / "catalogue")) == 10
    assert everything(tmp_path / "catalogue").head(5).equals(first)


@pytest.mark.parametrize("newest_first", [False, True])
def test_of_two_manifests_the_later_one_counts(tmp_path: Path, newest_first: bool) -> None:
    old = night(0)
    (entry, *_) = old.entries
    relabelled = entry.model_copy(update={"episode": {**entry.episode, "outcome": "aborted"}, "new": False})
    new = old.model_copy(update={"created": old.created + timedelta(days=1), "entries": (relabelled,)})
    for manifest in (new, old) if newest_first else (old, new):
        write_manifests([manifest], tmp_path / "target")
        ingest(tmp_path / "target", tmp_path / "catalogue")
    frame = everything(tmp_path / "catalogue")
    assert len(frame) == 5
    assert frame.filter(path=entry.path)["outcome"].to_list() == ["aborted"]


def test_a_killed_run_is_done_again(tmp_path: Path) -> None:
    write_manifests([night(0), night(1, day=1)], tmp_path / "target")
    ingest(tmp_path / "target", tmp_path / "catalogue")
    whole = everything(tmp_path / "catalogue")
    (tmp_path / "catalogue" / INGESTED).unlink()  # killed after a day was written
    ingest(tmp_path / "target", tmp_path / "catalogue")
    assert everything(tmp_path / "catalogue").equals(whole)


def test_a_damaged_manifest_is_a_line_and_is_tried_again(tmp_path: Path) -> None:
    write_manifests([night(0), night(1)], tmp_path / "target")
    path = sorted((tmp_path / "target").rglob("*.json"))[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    (line,) = ingest(tmp_path / "target", tmp_path / "catalogue").damaged
    assert path.name in line
    assert len(everything(tmp_path / "catalogue")) == 5
    path.write_bytes(whole)
    assert ingest(tmp_path / "target", tmp_path / "catalogue").damaged == ()
    assert len(everything(tmp_path / "catalogue")) == 10


def test_packed_episodes_are_rows_that_name_their_file(takeover_episode: Path, tmp_path: Path) -> None:
    export(Order(takeover_episode, "r1", packed=True), open_target(str(tmp_path / "target")), DAY)
    assert ingest(tmp_path / "target", tmp_path / "catalogue").rows == 1
    frame = everything(tmp_path / "catalogue")
    assert frame.schema == columns()
    (path,) = frame["path"]
    assert path.endswith("session/takeover.packed/takeover.zarr.zip")
    assert open_episode(packed_url(str(tmp_path / "target" / path))).rows == frame["rows"].item()


def test_a_target_may_be_behind_a_url(tmp_path: Path) -> None:
    files = pytest.importorskip("fsspec").filesystem("memory")
    manifest = night(0)
    files.pipe_file(f"/bucket/{manifest.key()}", manifest.content())
    try:
        assert ingest(locate("memory://bucket"), tmp_path / "catalogue").rows == 5
        assert ingest(locate("memory://bucket"), tmp_path / "catalogue").manifests == 0
    finally:
        files.rm("/bucket", recursive=True)


def test_data_sets_are_no_episodes() -> None:
    manifest = night(0)
    (entry, *others) = manifest.entries
    data_set = entry.model_copy(update={"kind": "lerobot", "episode": {"rows": 3}})
    assert len(rows_of([manifest.model_copy(update={"entries": (data_set, *others)})])) == 4


def test_a_target_without_manifests_says_so(tmp_path: Path) -> None:
    with pytest.raises(EpisodeError, match="no manifests"):
        ingest(tmp_path, tmp_path / "catalogue")
