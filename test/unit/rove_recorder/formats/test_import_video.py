from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from rove_core.errors import EpisodeError
from rove_core.modes import Outcome
from rove_recorder.checking.check import check_episode, exportable
from rove_recorder.cli import register
from rove_recorder.formats.import_video import VideoImport, import_video, timed_images
from rove_recorder.formats.options import Options
from rove_recorder.formats.parts import Attempt, usable
from rove_recorder.formats.video import VideoWriter
from rove_recorder.reader import open_episode

HOW = VideoImport("wipe the board", Outcome.SUCCESS, "anna")
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def record(path: Path, fps: int, count: int) -> Path:
    with VideoWriter(path, (128, 96), fps) as video:
        for number in range(count):
            image = np.full((96, 128, 3), 30, np.uint8)
            cv2.circle(image, (10 + number * 4 % 100, 48), 9, (250, 250, 250), -1)
            video.add(image)
        video.finish()
    return path


def test_a_video_becomes_an_episode_without_actions(tmp_path: Path) -> None:
    path = record(tmp_path / "hands.mp4", 30, 45)
    written = import_video(path, tmp_path / "session", "iron_r01", HOW, NOW)
    assert written == tmp_path / "session/hands.zarr"
    episode = open_episode(written)
    assert (episode.attrs["embodiment"], episode.attrs["has_action"]) == ("human_video", False)
    assert episode.attrs["instruction"] == "wipe the board"
    assert (episode.outcome.value, episode.outcome.by) == (Outcome.SUCCESS, "anna")
    assert check_episode(episode) == exportable(episode) == []
    assert episode.rows == 45
    for name in ("state", "state_velocity", "command_sent", "command_operator"):
        assert np.isnan(episode.steps[name]).all()
    assert episode.streams["joint_states"].records == 0
    for row, (_, wanted) in enumerate(timed_images(path)):
        image = episode.frame_at(row, "head")
        assert image is not None
        assert np.abs(image.astype(int) - wanted).mean() < 3


@pytest.mark.parametrize("fps", [15, 24, 60])
def test_rows_have_the_newest_image_at_their_time_at_any_rate(tmp_path: Path, fps: int) -> None:
    path = record(tmp_path / "hands.mp4", fps, fps)
    written = import_video(path, tmp_path / "session", "iron_r01", HOW, NOW)
    assert written is not None
    episode = open_episode(written)
    assert episode.rows == 1 + int((fps - 1) / fps * 30)  # none after the last image
    rows = np.arange(episode.rows)
    assert np.array_equal(episode.steps["camera_index_head"], rows * fps // 30)
    assert len(episode.frames("head")) == fps
    assert check_episode(episode) == []


def test_trainers_of_actions_leave_it_out(tmp_path: Path) -> None:
    written = import_video(record(tmp_path / "a.mp4", 30, 10), tmp_path / "s", "iron_r01", HOW, NOW)
    assert written is not None
    attempt = Attempt(open_episode(written))
    assert usable(attempt, Options(), None) == "it has no actions"
    assert len(attempt.episode.training_view().rows) == 0


def test_a_file_that_is_no_video_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("not a video")
    with pytest.raises(EpisodeError, match=r"cannot read .*notes\.mp4") as error:
        import_video(path, tmp_path / "session", "iron_r01", HOW, NOW)
    assert "\n" not in str(error.value)
    assert list(tmp_path.glob("session/*.zarr*")) == []


def test_the_command_imports_each_file_once(tmp_path: Path) -> None:
    app = typer.Typer()
    register(app)
    record(tmp_path / "a.mp4", 30, 5)
    command = ["episodes", "import", "video", str(tmp_path / "a.mp4"), "--to", str(tmp_path / "session")]
    command += ["--instruction", "wipe", "--outcome", "failure", "--by", "anna"]
    first, again = (CliRunner().invoke(app, command) for _ in range(2))
    assert first.exit_code == again.exit_code == 0, first.output
    assert "1 episodes imported" in first.output
    assert "is there already" in again.output
