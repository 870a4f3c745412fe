"""The index of a folder of episodes, and conditions on it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from rove_core.errors import EpisodeError
from rove_recorder.catalogue.catalogue import (
    COLUMNS,
    INDEX,
    catalogue_of,
    frame_of,
    open_catalogue,
    row_of,
    schema,
    select,
)
from rove_recorder.reader import open_episode


@pytest.fixture
def root(tmp_path: Path, takeover_episode: Path, failed_episode: Path) -> Path:
    """A folder with a session of two: a success with a takeover and a failure without."""
    assert takeover_episode.parent == failed_episode.parent == tmp_path / "session"
    return tmp_path


def test_a_row_says_what_the_episode_says(takeover_episode: Path) -> None:
    row = row_of(open_episode(takeover_episode))
    assert list(row) == list(COLUMNS)
    assert (row["outcome"], row["takeovers"], row["rows"], row["policy_index"]) == ("success", 1, 120, 2)
    assert row["human_share"] == pytest.approx(1.5 / 3.1, abs=0.02)
    assert row["bytes"] == sum(path.stat().st_size for path in _covered(takeover_episode))
    assert row["files"] == len(_covered(takeover_episode))
    assert row["opened"].isoformat() == "2026-05-04T12:00:00"


def _covered(episode: Path) -> list[Path]:
    growing = {"annotations", "derived", "hashes.json"}
    return [path for path in episode.rglob("*") if path.is_file() and path.relative_to(episode).parts[0] not in growing]


def test_rows_come_back_from_json(takeover_episode: Path) -> None:
    row = row_of(open_episode(takeover_episode))
    assert frame_of([json.loads(json.dumps(row, default=str))]).equals(frame_of([row]))


def test_conditions_choose_rows(root: Path) -> None:
    frame = catalogue_of(root)
    assert frame.schema == schema()
    assert frame["path"].to_list() == ["session/failed.zarr", "session/takeover.zarr"]
    for condition, expected in (
        ("outcome = 'success' AND task = 'whiteboard'", ["takeover"]),
        ("takeovers = 0", ["failed"]),
        ("opened >= DATE '2026-05-04' AND by LIKE 'keyboard%'", ["failed", "takeover"]),
        ("array_contains(flags, 'frames_dropped')", []),
    ):
        assert select(frame, condition)["episode_id"].to_list() == expected
        assert select(frame.lazy(), condition)["episode_id"].to_list() == expected


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("takeover > 1", "column 'takeover'"),
        ("outcome = success", "column 'success'"),
        ("rows", "must be of type `Boolean`"),
        ("rows = 'many'", "cannot compare string"),
        ("outcome = 'success' ORDER BY rows", "not a condition"),
        ("'", "not a condition"),
    ],
)
def test_what_is_no_condition_is_one_line(condition: str, says: str) -> None:
    with pytest.raises(EpisodeError, match=says) as caught:
        select(pl.DataFrame(schema=schema()), condition)
    assert "\n" not in f"{caught.value}{caught.value.hint}"


def test_only_what_changed_is_read_again(root: Path) -> None:
    catalogue_of(root)
    failed, takeover = (root / "session" / f"{name}.zarr" for name in ("failed", "takeover"))
    # Were it read again, it could not be: its arrays are gone.
    (takeover / "steps" / "mode" / "zarr.json").unlink()
    attributes = json.loads((failed / "zarr.json").read_bytes())
    attributes["attributes"]["task"] = "toaster"
    (failed / "zarr.json").write_text(json.dumps(attributes))
    frame = catalogue_of(root)
    assert frame["problem"].to_list() == ["", ""]
    assert frame["task"].to_list() == ["toaster", "whiteboard"]


def test_a_new_annotation_makes_the_row_anew(root: Path) -> None:
    catalogue_of(root)
    takeover = root / "session" / "takeover.zarr"
    (takeover / "annotations" / "outcome@1").mkdir()
    (takeover / "steps" / "mode" / "zarr.json").unlink()
    assert catalogue_of(root)["problem"].to_list()[1] != ""


def test_what_was_removed_leaves_the_catalogue(root: Path) -> None:
    catalogue_of(root)
    (root / "session" / "failed.zarr").rename(root / "elsewhere")
    assert catalogue_of(root)["episode_id"].to_list() == ["takeover"]
    assert pl.read_parquet(root / INDEX)["episode_id"].to_list() == ["takeover"]


def test_a_damaged_index_is_made_anew(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = catalogue_of(root)
    damaged = (root / INDEX).read_bytes()[:-20]
    (root / INDEX).write_bytes(damaged)
    with caplog.at_level(logging.WARNING):
        assert catalogue_of(root).equals(first)
    (message,) = caplog.messages
    assert "made anew" in message
    assert "\n" not in message
    assert pl.read_parquet(root / INDEX).height == 2


def test_an_index_of_other_columns_is_made_anew(root: Path) -> None:
    first = catalogue_of(root)
    pl.DataFrame({"path": ["x"]}).write_parquet(root / INDEX)
    assert catalogue_of(root).equals(first)


def test_where_nothing_can_be_written_the_catalogue_is_still_right(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root / INDEX).mkdir()
    assert len(catalogue_of(root)) == 2
    assert "cannot keep the catalogue" in caplog.text
    assert [path.name for path in root.iterdir() if "partial" in path.name] == []


def test_an_unreadable_episode_is_a_row_with_its_problem(root: Path) -> None:
    (root / "session" / "failed.zarr" / "zarr.json").write_text("{")
    row = catalogue_of(root).row(0, named=True)
    assert row["episode_id"] == "failed"
    assert "JSON" in row["problem"]
    assert row["outcome"] is None
    assert len(select(catalogue_of(root), "problem = ''")) == 1


def test_open_episodes_wait(root: Path) -> None:
    finished = root / "session" / "failed.zarr"
    finished.rename(finished.with_name("failed.zarr.open"))
    assert catalogue_of(root)["episode_id"].to_list() == ["takeover"]


def test_one_episode_is_a_catalogue_of_one_and_keeps_no_index(takeover_episode: Path) -> None:
    assert catalogue_of(takeover_episode)["path"].to_list() == ["."]
    assert not (takeover_episode / INDEX).exists()


def test_processes_do_not_disturb_one_another(root: Path) -> None:
    program = """
import sys
from pathlib import Path
from rove_recorder.catalogue.catalogue import INDEX, catalogue_of
for _ in range(20):
    assert len(catalogue_of(Path(sys.argv[1]))) == 2
    Path(sys.argv[1], INDEX).unlink(missing_ok=True)
"""
    processes = [subprocess.Popen([sys.executable, "-c", program, str(root)]) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert [path.name for path in root.iterdir() if "partial" in path.name] == []


def test_a_partitioned_catalogue_opens_like_a_folder(root: Path, tmp_path: Path) -> None:
    frame = catalogue_of(root)
    for day in ("2026-05-03", "2026-05-04"):
        part = tmp_path / "catalogue" / f"date={day}"
        part.mkdir(parents=True)
        frame.write_parquet(part / "episodes.parquet")
    found = select(open_catalogue(tmp_path / "catalogue"), "date > DATE '2026-05-03' AND outcome = 'success'")
    assert found["episode_id"].to_list() == ["takeover"]
    frame.write_parquet(tmp_path / "all.parquet")
    assert len(select(open_catalogue(tmp_path / "all.parquet"), "rows > 0")) == 2
