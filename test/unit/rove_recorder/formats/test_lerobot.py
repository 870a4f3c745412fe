"""Our LeRobot datasets as files. What the real LeRobot makes of them: test/interop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from rove_core.errors import EpisodeError
from rove_core.modes import Source
from rove_recorder.formats import lerobot, lerobot_v30
from rove_recorder.formats.lerobot_reader import LeRobotDataset, video_images
from rove_recorder.formats.lerobot_statistics import Aggregate, ImageStatistics, feature_statistics
from rove_recorder.labels.labels import label_outcome
from rove_recorder.reader import open_episode

CAMERA = "observation.images.head"


def rows_of(root: Path, name: str = "data/*/*.parquet") -> dict[str, Any]:
    """All tables of a dataset, column by column."""
    paths = sorted(root.glob(name))
    tables = [pq.read_table(path).to_pydict() for path in paths]
    return {key: np.array([value for table in tables for value in table[key]]) for key in tables[0]}


def episodes_of(root: Path) -> list[dict[str, Any]]:
    return pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist()


def test_a_row_holds_what_was_recorded(convert, two_attempts: list[Path], tmp_path: Path) -> None:
    report = convert("lerobot", two_attempts)
    found, table = rows_of(tmp_path / "out"), episodes_of(tmp_path / "out")
    assert (report.attempts, report.episodes, report.rows) == (2, 4, len(found["index"]))
    at = 0
    for path in two_attempts:
        episode = open_episode(path)
        steps, rows = episode.steps, episode.training_view().rows
        mine = slice(at, at + len(rows))
        assert np.array_equal(found["hil.row"][mine], rows)
        assert np.array_equal(found["observation.state"][mine].astype(np.float32), steps["state"][rows].astype("f4"))
        assert np.array_equal(found["action"][mine].astype(np.float32), steps["command_sent"][rows].astype("f4"))
        assert np.array_equal(found["intervention"][mine], steps["control"][rows] == Source.OPERATOR)
        assert np.array_equal(found["hil.t_ros_ns"][mine], steps["t_ros_ns"][rows])
        assert {row["attempt"] for row in table if at <= row["dataset_from_index"] < mine.stop} == {episode.episode_id}
        at = mine.stop
    assert np.array_equal(found["index"], np.arange(at))
    for row in table:
        part = slice(row["dataset_from_index"], row["dataset_to_index"])
        assert np.all(found["episode_index"][part] == row["episode_index"])
        assert np.allclose(found["timestamp"][part], np.arange(row["length"]) / 30, atol=1e-6)


def test_there_is_one_image_per_row_and_it_is_the_row_s(convert, two_attempts: list[Path], tmp_path: Path) -> None:
    convert("lerobot", two_attempts)
    found = rows_of(tmp_path / "out")
    video = tmp_path / "out/videos" / CAMERA / "chunk-000/file-000.mp4"
    images = list(video_images(video, 0.0, len(found["index"]), 30))
    sources = {path.stem: open_episode(path) for path in two_attempts}
    names = [row["attempt"] for row in episodes_of(tmp_path / "out")]
    for image, number, row in zip(images, found["episode_index"], found["hil.row"], strict=True):
        wanted = sources[names[number]].frame_at(int(row), "head")
        assert wanted is not None
        assert np.abs(image.astype(int) - wanted).mean() < 2
    with pytest.raises(EpisodeError, match="ends after"):
        list(video_images(video, 0.0, len(images) + 1, 30))


def test_only_the_end_of_a_success_is_rewarded(convert, two_attempts: list[Path], tmp_path: Path) -> None:
    convert("lerobot", two_attempts, "images=false")
    found = rows_of(tmp_path / "out")
    last = {row["attempt"]: row["dataset_to_index"] - 1 for row in episodes_of(tmp_path / "out")}
    assert np.flatnonzero(found["next.reward"]).tolist() == [last["takeover"]]
    assert np.flatnonzero(found["next.success"]).tolist() == [last["takeover"]]
    assert np.flatnonzero(found["next.done"]).tolist() == [last["takeover"], last["failed"]]
    ends = np.append(np.flatnonzero(np.diff(found["episode_index"])), len(found["index"]) - 1)
    assert np.array_equal(np.flatnonzero(found["next.done"] | found["next.truncated"]), ends)


def test_a_masked_attempt_is_done_in_a_row_for_training(convert, two_attempts: list[Path], tmp_path: Path) -> None:
    convert("lerobot", two_attempts, "images=false", "pauses=mask", "adaptation=false")
    found = rows_of(tmp_path / "out")
    assert np.all(found["hil.keep"][np.flatnonzero(found["next.done"])])
    assert found["next.reward"].sum() == 1


def test_an_outcome_that_was_corrected_is_the_one_that_counts(convert, takeover_episode: Path, tmp_path: Path) -> None:
    label_outcome(open_episode(takeover_episode), "failure", "anna", datetime(2026, 5, 5, tzinfo=UTC))
    convert("lerobot", [takeover_episode], "images=false")
    assert {(row["outcome"], row["labelled_by"]) for row in episodes_of(tmp_path / "out")} == {("failure", "anna")}
    assert not rows_of(tmp_path / "out")["next.success"].any()


def test_version_2_1_has_a_table_and_a_video_per_episode(convert, two_attempts: list[Path], tmp_path: Path) -> None:
    report = convert("lerobot", two_attempts, "version=v2.1")
    out = tmp_path / "out"
    info = json.loads((out / "meta/info.json").read_bytes())
    episodes = [json.loads(line) for line in (out / "meta/episodes.jsonl").read_text().splitlines()]
    assert info["codebase_version"] == "v2.1"
    assert len(episodes) == info["total_episodes"] == info["total_videos"] == report.episodes
    for number, episode in enumerate(episodes):
        table = pq.read_table(out / info["data_path"].format(episode_chunk=0, episode_index=number))
        video = out / info["video_path"].format(episode_chunk=0, episode_index=number, video_key=CAMERA)
        assert len(table) == episode["length"] == len(list(video_images(video, 0.0, episode["length"], 30)))


def test_full_files_are_followed_by_further_ones(
    convert, two_attempts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATA_MB", "VIDEO_MB"):
        monkeypatch.setattr(lerobot_v30, name, 0)
    convert("lerobot", two_attempts)
    dataset = LeRobotDataset(tmp_path / "out")
    episodes = list(dataset.episodes())
    assert [episode.facts["data/file_index"] for episode in episodes] == [0, 1, 2, 3]
    assert [episode.facts[f"videos/{CAMERA}/file_index"] for episode in episodes] == [0, 1, 2, 3]
    for episode in episodes:
        columns = dataset.columns(episode)
        assert len(list(dataset.images(episode, "head", columns))) == episode.length


def test_an_episode_that_their_loader_would_refuse_is_refused(
    convert, failed_episode: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lerobot, "MAX_EPISODE_S", 0.5)
    with pytest.raises(EpisodeError, match="minutes in one LeRobot episode"):
        convert("lerobot", [failed_episode])
    convert("lerobot", [failed_episode], "images=false")


def test_what_exists_is_left_alone(convert, takeover_episode: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(EpisodeError, match="exists already"):
        convert("lerobot", [takeover_episode])
    assert list((tmp_path / "out").iterdir()) == []


def test_a_damaged_attempt_leaves_no_dataset(convert, two_attempts: list[Path], tmp_path: Path) -> None:
    (two_attempts[1] / "steps/command_sent/c/0/0").unlink()
    with pytest.raises(EpisodeError, match="command_sent"):
        convert("lerobot", two_attempts)
    assert list(tmp_path.glob("out*")) == []


def test_a_killed_conversion_leaves_nothing_that_looks_complete(
    convert, takeover_episode: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from rove_recorder.formats import writer;"
        "from rove_recorder.formats.options import Options;"
        "writer('lerobot')([Path(sys.argv[1])] * 200, Path(sys.argv[2]), Options())"
    )
    partial = tmp_path / "out.partial"
    with subprocess.Popen([sys.executable, "-c", code, str(takeover_episode), str(tmp_path / "out")]) as process:
        deadline = time.monotonic() + 60
        while not list(partial.glob("data/*/*.parquet")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    assert not (tmp_path / "out").exists()
    assert not (partial / "meta/info.json").exists()
    convert("lerobot", [takeover_episode])
    assert not partial.exists()


def test_statistics_of_episodes_merge_into_those_of_all_rows() -> None:
    rng = np.random.default_rng(3)
    pieces = [rng.normal(3, 2, (count, 4)) for count in (5, 50, 17)]
    aggregate = Aggregate()
    for piece in pieces:
        aggregate.add({"state": feature_statistics(piece)})
    found, everything = aggregate.statistics["state"], feature_statistics(np.concatenate(pieces))
    for name in ("min", "max", "mean", "std", "count"):
        assert np.allclose(found[name], everything[name])


def test_statistics_of_images_are_those_of_their_pixels() -> None:
    rng = np.random.default_rng(4)
    images = rng.integers(0, 256, (6, 40, 60, 3), dtype=np.uint8)
    counted = ImageStatistics()
    for image in images:
        counted.add(image)
    found, pixels = counted.result(), images.reshape(-1, 3) / 255
    assert np.allclose(found["mean"].ravel(), pixels.mean(axis=0))
    assert np.allclose(found["std"].ravel(), pixels.std(axis=0))
    assert np.allclose(found["q10"].ravel(), np.quantile(pixels, 0.1, axis=0), atol=1 / 255)
    assert found["min"].shape == (3, 1, 1)
