"""The check finds what is wrong, and finds nothing in what the recorder made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from typer import Typer
from typer.testing import CliRunner

from rove_core.modes import Mode
from rove_recorder import cli
from rove_recorder.checking.check import check_episode, exportable
from rove_recorder.cli.check import check_episode_at
from rove_recorder.episode_format.hashes import covered_files
from rove_recorder.episode_format.storage import ArrayFolder
from rove_recorder.labels.annotations import annotate
from rove_recorder.reader import open_episode
from rove_recorder.views.attempt_facts import facts_of


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
        ("chunks/chunk_id", 0, 9, "row 0 follows chunk 1, which is not in chunks"),
        ("chunks/prediction", 1, 0.9, "steps/command_policy is not what the chunk predicted"),
        ("steps/command_policy", 5, 0.5, "steps/command_policy is not what the stream says"),
        ("steps/control", 60, 1, "steps/control is not what the stream says"),
        ("steps/operator_authority", 5, 0.5, "the operator has a share while another is in control"),
        ("steps/control_group_mask", 60, 1, "control_group_mask is not the groups with a share"),
        ("steps/t_obs_ns", 7, 5, "steps/t_obs_ns is the time of no joint state"),
        ("steps/state", 7, 0.5, "steps/state is not the joint state of its time"),
        ("streams/commands/mode", 300, 4, "the robot was in TAKEOVER in epoch 3, the events say ALIGNING"),
        ("streams/commands/epoch", 300, 50, "the robot was in ALIGNING in epoch 50, and no event led there"),
        ("cameras/head/offsets", 7, 9000, "an image is not a JPEG"),
    ],
)
def test_a_change_is_found(takeover_episode: Path, array: str, row: int, value: float, problem: str) -> None:
    change(takeover_episode, array, row, value)
    assert any(problem in line for line in check_episode(open_episode(takeover_episode)))


def test_the_hashes_name_the_file_that_changed(takeover_episode: Path) -> None:
    change(takeover_episode, "steps/command_sent", 5, 0.01)
    assert "steps/command_sent/c/0/0 was changed after the episode was recorded" in check_episode(
        open_episode(takeover_episode)
    )


@pytest.fixture
def annotated_episode(takeover_episode: Path) -> Path:
    """With a corrected outcome."""
    when = datetime(2026, 5, 5, tzinfo=UTC)
    annotate(takeover_episode, "outcome", "outcome", {"value": "failure"}, by="ann", when=when, tool="test")
    return takeover_episode


# One episode for all examples: each takes its change back.
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_byte_is_found_wherever_it_is(annotated_episode: Path, data: st.DataObject) -> None:
    growing = [annotated_episode / "annotations" / "outcome@1" / "zarr.json", annotated_episode / "hashes.json"]
    files = [annotated_episode / name for name in sorted(covered_files(annotated_episode))] + growing * 20
    path = data.draw(st.sampled_from(files))
    content = path.read_bytes()
    assume(content)
    at = data.draw(st.integers(0, len(content) - 1))
    changed = bytearray(content)
    changed[at] ^= data.draw(st.integers(1, 255))
    assume(path.name != "zarr.json" or path not in growing or not same_json(content, changed))
    path.write_bytes(changed)
    try:
        problems = check_episode_at(annotated_episode).problems
    finally:
        path.write_bytes(content)
    assert problems
    assert not any("\n" in line for line in problems)


def same_json(one: bytes, other: bytearray) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


def test_a_missing_camera_is_one_line(takeover_episode: Path) -> None:
    shutil.rmtree(takeover_episode / "cameras" / "head")
    (takeover_episode / "hashes.json").unlink()
    problems = check_episode(open_episode(takeover_episode))
    assert [line for line in problems if "has no group 'cameras/head'" in line] == problems


def test_a_missing_array_is_one_line_however_many_need_it(takeover_episode: Path) -> None:
    shutil.rmtree(takeover_episode / "steps" / "epoch")
    (takeover_episode / "hashes.json").unlink()
    problems = check_episode(open_episode(takeover_episode))
    assert len([line for line in problems if "epoch" in line]) == len(problems) <= 2
    assert "steps has no array 'epoch'" in problems


def test_another_schema_version_is_one_line(takeover_episode: Path) -> None:
    path = takeover_episode / "zarr.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 7'))
    (line,) = check_episode_at(takeover_episode).problems
    assert "has schema version 7, this reader knows 1" in line


def test_an_annotation_about_other_facts_is_found(annotated_episode: Path) -> None:
    change(annotated_episode, "steps/t_mono_ns", 5, 0)
    (annotated_episode / "hashes.json").unlink()
    assert any(
        "annotation outcome@1 was made about other facts" in line
        for line in check_episode(open_episode(annotated_episode))
    )


def test_an_episode_without_hashes_is_sound_and_noted(takeover_episode: Path) -> None:
    (takeover_episode / "hashes.json").unlink()
    checked = check_episode_at(takeover_episode)
    assert checked.problems == []
    assert checked.notes[0].startswith("no hashes")


def test_check_as_json_has_one_object_per_episode(takeover_episode: Path) -> None:
    (one,) = json.loads(run("check", str(takeover_episode), "--json").output)
    assert one == {"path": str(takeover_episode), "problems": [], "notes": []}


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


def test_an_episode_without_actions_may_lack_all_that_belongs_to_them(takeover_episode: Path) -> None:
    """As somebody else would write a video of a person: images, times, nobody in control."""
    path = takeover_episode / "zarr.json"
    metadata = json.loads(path.read_text())
    kept = {"t_mono_ns", "t_ros_ns", "mode", "control", "stage", "segment_id", "epoch", "valid"}
    for name in ("takeovers", "t_r", "flags"):
        metadata["attributes"].pop(name)
    metadata["attributes"] |= {"embodiment": "human_video", "has_action": False, "joint_names": [], "joint_groups": {}}
    metadata["attributes"] |= {"takeovers": 0, "imported": {"format": "video"}}
    path.write_text(json.dumps(metadata))
    for array in ("mode", "control", "stage", "valid"):
        folder = ArrayFolder(takeover_episode / "steps" / array)
        folder.chunk_path(0).write_bytes(bytes(folder.chunk_rows))
    for array in (takeover_episode / "steps").iterdir():
        if array.is_dir() and array.name not in kept and not array.name.startswith("camera_"):
            shutil.rmtree(array)
    for group in ("streams/joint_states", "streams/commands", "chunks"):
        shutil.rmtree(takeover_episode / group)
    (takeover_episode / "hashes.json").unlink()
    episode = open_episode(takeover_episode)
    assert check_episode(episode) == []
    assert exportable(episode) == []
    assert episode.frame_at(30, "head") is not None
    assert len(episode.training_view().rows) == 0
    assert facts_of(takeover_episode).problem == ""
    shutil.rmtree(takeover_episode / "steps" / "epoch")
    assert "steps has no array 'epoch'" in check_episode(open_episode(takeover_episode))


def test_of_an_episode_that_is_still_open_only_that_is_said(scripted: Callable[[str], Any]) -> None:
    episode = scripted("open")
    for _ in range(100):
        episode.step(Mode.ROLLOUT)
    episode.recorder.flush()
    (line,) = check_episode(open_episode(episode.writer.path))
    assert "still open" in line
