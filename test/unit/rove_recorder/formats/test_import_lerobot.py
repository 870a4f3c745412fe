from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from rove_core.errors import ConfigError, EpisodeError
from rove_core.modes import Outcome, Source
from rove_recorder.checking.check import check_episode
from rove_recorder.cli import register
from rove_recorder.formats.import_lerobot import LeRobotImport, import_lerobot
from rove_recorder.formats.options import Options
from rove_recorder.formats.parts import Attempt, parts_of
from rove_recorder.reader import open_episode

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def dataset(convert, two_attempts: list[Path], tmp_path: Path) -> Path:
    convert("lerobot", two_attempts)
    return tmp_path / "out"


@pytest.fixture
def bring(dataset: Path, tmp_path: Path) -> Callable[..., list[Path]]:
    """Imports the dataset."""

    def run(how: LeRobotImport | None = None, robot: str = "") -> list[Path]:
        return import_lerobot(dataset, tmp_path / "imported", robot, how or LeRobotImport(), NOW, lambda _: None)

    return run


def edit_info(dataset: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = dataset / "meta/info.json"
    info = json.loads(path.read_bytes())
    change(info)
    path.write_text(json.dumps(info))


def test_ours_to_lerobot_and_back_keeps_states_actions_and_images(bring, two_attempts: list[Path]) -> None:
    written = [open_episode(path) for path in bring()]
    originals = [Attempt(open_episode(path)) for path in two_attempts]
    parts = [(attempt, part) for attempt in originals for part in parts_of(attempt, Options())]
    assert len(written) == len(parts)
    for episode, (attempt, part) in zip(written, parts, strict=True):
        steps, wanted, rows = episode.steps, attempt.episode.steps, part.rows
        assert np.array_equal(steps["state"], wanted["state"][rows].astype(np.float32))
        assert np.array_equal(steps["command_sent"], wanted["command_sent"][rows].astype(np.float32))
        assert np.array_equal(steps["control"], wanted["control"][rows])
        assert np.array_equal(Attempt(episode).stage, attempt.stage[rows])
        assert steps["t_ros_ns"][0] == wanted["t_ros_ns"][rows[0]]
        assert np.abs(steps["t_ros_ns"] - wanted["t_ros_ns"][rows]).max() < 1e6
        for row, source in enumerate(rows):
            ours, before = episode.frame_at(row, "head"), attempt.episode.frame_at(int(source), "head")
            assert ours is not None
            assert before is not None
            assert np.abs(ours.astype(int) - before).mean() < 2


def test_imported_episodes_are_what_the_format_promises(bring) -> None:
    for path in bring():
        episode = open_episode(path)
        assert check_episode(episode) == []
        assert episode.attrs["flags"] == []
        assert episode.steps["valid"].all()
        assert np.isnan(episode.steps["state_velocity"]).all()  # nobody knows them
        assert episode.chunks.records == 0


def test_what_it_was_is_kept(bring) -> None:
    episodes = [open_episode(path) for path in bring()]
    assert [episode.attrs["imported"]["episode_index"] for episode in episodes] == [0, 1, 2, 3]
    assert {episode.attrs["imported"]["attempt"] for episode in episodes} == {"takeover", "failed"}
    assert [episode.attrs["demonstration"] for episode in episodes] == [False, True, False, False]
    # Only the end of an attempt has its outcome.
    assert [episode.outcome.value for episode in episodes] == ["aborted", "aborted", "success", "failure"]


def test_a_dataset_without_our_columns_is_a_demonstration(bring, dataset: Path) -> None:
    ours = ("hil.", "intervention", "next.", "complementary_info")

    def forget(info: dict[str, Any]) -> None:
        info["features"] = {k: v for k, v in info["features"].items() if not k.startswith(ours)}

    edit_info(dataset, forget)
    path = dataset / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["outcome", "labelled_by", "last_part", "task_name"]), path)
    for path in bring(LeRobotImport(outcome=Outcome.SUCCESS)):
        episode = open_episode(path)
        assert episode.attrs["demonstration"]
        assert np.all(episode.steps["control"] == Source.OPERATOR)
        assert [span.stage.name for span in episode.stages()] == ["RECOVERY"]
        assert episode.outcome.value is Outcome.SUCCESS
        assert "no wall time" in episode.attrs["clocks"]["t_ros_ns"]
        assert check_episode(episode) == []


def test_joints_go_by_name_and_not_by_place(bring, dataset: Path) -> None:
    straight = [open_episode(path).steps["state"] for path in bring()]

    def turn(info: dict[str, Any]) -> None:
        info["features"]["observation.state"]["names"].reverse()

    edit_info(dataset, turn)
    renamed = dataset.rename(dataset.with_name("turned"))
    paths = import_lerobot(renamed, dataset.parent / "turned-in", "", LeRobotImport(), NOW, lambda _: None)
    for before, path in zip(straight, paths, strict=True):
        assert np.array_equal(open_episode(path).steps["state"], before[:, ::-1])


def test_names_of_others_can_be_translated(bring, dataset: Path) -> None:
    def rename(info: dict[str, Any]) -> None:
        for feature in ("observation.state", "action"):
            names = info["features"][feature]["names"]
            info["features"][feature]["names"] = {"motors": ["pan.pos", *names[1:]]}

    edit_info(dataset, rename)
    with pytest.raises(EpisodeError, match="missing head_yaw; unknown pan") as error:
        bring()
    assert "--joint THEIRS=OURS" in error.value.hint
    assert len(bring(LeRobotImport(joints={"pan": "head_yaw"}))) == 4


def test_degrees_become_radians(bring, two_attempts: list[Path]) -> None:
    first = open_episode(bring(LeRobotImport(degrees=True))[0])
    rows = parts_of(Attempt(open_episode(two_attempts[0])), Options())[0].rows
    wanted = open_episode(two_attempts[0]).steps["state"][rows].astype(np.float32)
    assert np.allclose(first.steps["state"], np.deg2rad(wanted.astype(np.float64)))


def test_importing_again_adds_what_is_missing_and_changes_nothing(bring) -> None:
    paths = bring()
    left = paths[1].rename(paths[1].with_name(paths[1].name + ".open"))  # as if it had been killed there
    before = {path: (path / "zarr.json").stat().st_mtime_ns for path in paths if path != paths[1]}
    assert bring() == [paths[1]]
    assert not left.exists()
    assert {path: (path / "zarr.json").stat().st_mtime_ns for path in before} == before


def test_a_cut_video_stops_the_import_and_keeps_the_episodes_before_it(bring, dataset: Path, tmp_path: Path) -> None:
    path = next(dataset.glob("videos/*/*/*.mp4"))
    table = dataset / "meta/episodes/chunk-000/file-000.parquet"
    rows = pq.read_table(table).to_pylist()
    late = [name for name in rows[0] if name.endswith("from_timestamp")]
    rows[2][late[0]] += 1000.0
    pq.write_table(pa.Table.from_pylist(rows), table)
    with pytest.raises(EpisodeError, match=f"{path.name} ends after 0 of"):
        bring()
    assert [found.name for found in sorted((tmp_path / "imported").glob("*.zarr*"))] == [
        "out_000000.zarr",
        "out_000001.zarr",
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda info: info.update(codebase_version="v2.1"), "version v2.1, this reads v3.0"),
        (lambda info: info["features"].pop("action"), "has no feature 'action'"),
        (lambda info: info["features"]["action"].pop("names"), "does not name its joints"),
        (lambda info: info.update(fps=29), "timestamp of row"),
    ],
)
def test_a_dataset_that_cannot_be_read_is_one_line(bring, dataset: Path, change, says: str) -> None:
    edit_info(dataset, change)
    with pytest.raises(EpisodeError, match=says) as error:
        bring()
    assert "\n" not in str(error.value)


def test_a_folder_that_is_no_dataset_says_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(EpisodeError, match="no LeRobot dataset") as error:
        import_lerobot(tmp_path, tmp_path / "s", "iron_r01", LeRobotImport(), NOW, lambda _: None)
    assert "meta/info.json" in error.value.hint


def test_the_command_says_what_it_wrote(dataset: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    register(app)
    command = ["episodes", "import", "lerobot", str(dataset), "--to", str(tmp_path / "session")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "out_000003.zarr" in done.output
    assert "4 episodes imported" in done.output
    wrong = CliRunner().invoke(app, [*command, "--joint", "pan"])
    assert isinstance(wrong.exception, ConfigError)
    assert "'pan' is not THEIRS=OURS" in str(wrong.exception)
