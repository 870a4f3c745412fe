"""The check finds what is wrong, and finds nothing in what the recorder made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from rove_core.modes import Mode
from rove_recorder import cli
from rove_recorder.check import check_episode
from rove_recorder.reader import open_episode
from rove_recorder.storage import ArrayFolder


def change(episode: Path, array: str, row: int, value: Any) -> None:
    """Overwrite a row of a finished array."""
    folder = ArrayFolder(episode / array)
    with folder.chunk_path(row // folder.chunk_rows).open("r+b") as file:
        file.seek(row % folder.chunk_rows * folder.row_bytes)
        file.write(np.full(folder.tail, value, folder.dtype).tobytes())


def test_what_the_recorder_made_has_no_problems(takeover_episode: Path) -> None:
    assert check_episode(open_episode(takeover_episode)) == []


@pytest.mark.parametrize(
    ("array", "row", "value", "problem"),
    [
        ("steps/command_sent", 5, 0.01, "steps/command_sent is not what the stream says"),
        ("steps/t_mono_ns", 5, 0, "steps/t_mono_ns does not increase"),
        ("steps/command_index", 9, 999_999, "names a command that is not there"),
        ("steps/camera_index_head", 9, 999_999, "names an image that is not there"),
        ("steps/camera_age_ns_head", 9, 3, "is not the image's age"),
        ("steps/stage", 40, 1, "steps/stage does not fit steps/mode"),
        ("streams/commands/sent", 100, 3.0, "over the limit"),
        ("streams/commands/epoch", 100, 77, "chunk 1 of epoch 1 moved the robot in epoch 77"),
        ("streams/commands/source", 300, 1, "the policy moved the robot outside ROLLOUT"),
        ("cameras/head/offsets", 7, 0, "does not start at 0 or goes back"),
        ("chunks/epoch", 0, 9, "chunk 1 of epoch 9 moved the robot in epoch 1"),
    ],
)
def test_a_change_is_found(takeover_episode: Path, array: str, row: int, value: float, problem: str) -> None:
    change(takeover_episode, array, row, value)
    assert any(problem in line for line in check_episode(open_episode(takeover_episode)))


def test_a_truncated_file_is_found(takeover_episode: Path) -> None:
    with (takeover_episode / "steps" / "state" / "c" / "0" / "0").open("r+b") as file:
        file.truncate(1000)
    assert any("is truncated" in line for line in check_episode(open_episode(takeover_episode)))


def test_a_jump_that_keeps_the_velocity_but_not_the_jerk_is_found(scripted: Callable[[str], Any]) -> None:
    episode = scripted("jump")
    for number in range(100):
        if number == 50:
            episode.sent = episode.sent + 0.004
            episode.move = lambda _: None
        episode.step(Mode.ROLLOUT)
    problems = check_episode(open_episode(episode.close()))
    assert any("jerk over the limit" in line for line in problems)
    assert not any("velocity over" in line for line in problems)


def run(*arguments: str) -> Any:
    app = Typer()
    app.callback()(lambda: None)
    cli.register(app)
    return CliRunner().invoke(app, ["episodes", *arguments])


def test_the_command_exits_with_1_and_a_line_per_problem(takeover_episode: Path) -> None:
    folder = str(takeover_episode.parent)
    assert run("check", folder).exit_code == 0
    change(takeover_episode, "steps/command_sent", 5, 0.01)
    result = run("check", folder)
    assert result.exit_code == 1
    assert f"{takeover_episode}: steps/command_sent" in result.output


def test_list_as_json_has_one_object_per_attempt(takeover_episode: Path) -> None:
    (fact,) = json.loads(run("list", str(takeover_episode.parent), "--json").output)
    assert fact["outcome"] == "success"
    assert fact["takeovers"] == 1
    assert fact["rows"] == 120
    assert fact["committed"] is True
    assert fact["t_r"] == [pytest.approx(2.4, abs=0.01)]
    expected = {"rollout": 1.6, "adaptation": 0.6, "recovery": 0.9, "paused": 0.9}
    assert fact["stage_seconds"] == pytest.approx(expected, abs=0.05)


def test_show_prints_stages_and_events(takeover_episode: Path) -> None:
    output = run("show", str(takeover_episode)).output
    assert "recovery    human" in output
    assert "mark_progress (keyboard:test)" in output


def test_recover_says_what_it_did(scripted: Callable[[str], Any]) -> None:
    episode = scripted("orphan")
    episode.step(Mode.ROLLOUT)
    episode.recorder.flush()
    folder = str(episode.writer.path.parent)
    assert "orphan.zarr: recovered" in run("recover", folder).output
    assert run("recover", folder).output == "nothing to recover\n"
