"""A finished episode is a plain zarr group that says everything the format promises."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zarr

from rove_core.errors import RecordingError
from rove_core.modes import Mode, Outcome, Stage
from rove_recorder.reader import open_episode
from rove_recorder.recording.records import CommandSample, JointSample
from rove_recorder.recording.resampler import Budgets, Resampler

STEPS = {
    *("t_mono_ns", "t_ros_ns", "t_obs_ns", "state", "state_velocity", "command_policy", "command_operator"),
    *(
        "command_target",
        "command_sent",
        "limited",
        "mode",
        "control",
        "control_group_mask",
        "operator_authority",
        "stage",
        "segment_id",
    ),
    *("epoch", "chunk_id", "chunk_step", "policy_index", "valid", "camera_index_head", "camera_age_ns_head"),
}


def test_plain_zarr_and_numpy_read_it(takeover_episode: Path) -> None:
    """Only what the specification says: no code of this project."""
    root = zarr.open_group(takeover_episode, mode="r")
    attributes = dict(root.attrs)
    assert attributes["format"] == "rove.episode"
    assert attributes["schema_version"] == 1
    assert attributes["committed"] is True
    assert attributes["outcome"]["value"] == "success"
    rows = attributes["rows"]
    assert {name for name, _ in root["steps"].arrays()} >= STEPS
    assert all(array.shape[0] == rows for _, array in root["steps"].arrays())

    steps = root["steps"]
    index = steps["command_index"][:]
    np.testing.assert_array_equal(root["streams/commands/sent"][:][index], steps["command_sent"][:])

    row = rows // 2
    image = int(steps["camera_index_head"][row])
    start, stop = root["cameras/head/offsets"][image : image + 2]
    picture = cv2.imdecode(root["cameras/head/jpeg"][int(start) : int(stop)], cv2.IMREAD_COLOR)
    assert picture.shape == (48, 64, 3)

    offsets, text = root["events/offsets"][:], root["events/json"][:].tobytes()
    events = [json.loads(text[a:b]) for a, b in pairwise(offsets)]
    assert "mark_progress" in {event["type"] for event in events}
    for _, array in [*root["steps"].arrays(), *root["streams/commands"].arrays()]:
        codecs = [codec["name"] for codec in array.metadata.to_dict()["codecs"]]
        assert codecs == ["bytes"]


def test_stages_takeovers_and_marks_are_in_the_attributes(takeover_episode: Path) -> None:
    episode = open_episode(takeover_episode)
    stages = [span.stage for span in episode.stages()]
    none, rollout = Stage.NONE, Stage.ROLLOUT
    assert stages == [rollout, none, none, Stage.ADAPTATION, Stage.RECOVERY, none, rollout]
    assert episode.attrs["takeovers"] == 1
    (mark,) = episode.attrs["t_r"]
    assert episode.steps["stage"][mark["row"]] == Stage.ADAPTATION
    assert episode.steps["stage"][mark["row"] + 2] == Stage.RECOVERY
    assert episode.attrs["control_at_end"] == "policy"
    assert episode.attrs["policy"] == {"id": "demo", "sha256": "abc123", "index": 2}


def test_when_each_chunk_first_moved_the_robot(takeover_episode: Path) -> None:
    episode = open_episode(takeover_episode)
    commands, chunks = episode.streams["commands"], episode.chunks
    assert chunks["chunk_id"].tolist() == [1, 6]
    for number, first_ns in zip(chunks["chunk_id"], chunks["first_executed_ns"], strict=True):
        assert first_ns == commands["t_mono_ns"][commands["chunk_id"] == number][0]
    assert chunks.record("prediction", 1).shape == (16, 50)


def test_rows_made_afterwards_from_the_streams_are_the_rows_made_live(takeover_episode: Path) -> None:
    episode = open_episode(takeover_episode)
    joints, commands, steps = episode.streams["joint_states"], episode.streams["commands"], episode.steps
    resampler = Resampler(30.0, 50, 6, ("head",), Budgets(), history=None)
    for i in range(joints.records):
        position, velocity = joints["position"][i], joints["velocity"][i]
        resampler.joint_state(JointSample(int(joints["t_ros_ns"][i]), 0, position, velocity))
    for index, capture_ns in enumerate(episode.frames("head").capture_ns.tolist()):
        resampler.frame("head", capture_ns, index)
    for number, policy_index in zip(episode.chunks["chunk_id"], episode.chunks["policy_index"], strict=True):
        resampler.chunk(int(number), int(policy_index))
    rows = []
    for i in range(commands.records):
        rows += resampler.command(i, _command(commands, i))
    rows += resampler.finish()
    assert len(rows) == episode.rows
    for name in steps:
        made = np.asarray([row.columns(np.full(50, np.nan, np.float32))[name] for row in rows])
        np.testing.assert_array_equal(made.astype(steps[name].dtype), steps[name], err_msg=name)


def _command(commands: Any, i: int) -> CommandSample:
    whole = {
        name: int(commands[name][i]) for name in ("t_mono_ns", "t_ros_ns", "tick", "source", "mode", "stage", "epoch")
    }
    chunk = {"chunk_id": int(commands["chunk_id"][i]), "chunk_step": int(commands["chunk_step"][i])}
    arrays = {name: commands[name][i] for name in ("target", "sent", "limited", "policy", "operator")}
    return CommandSample(**whole, **chunk, **arrays, episode_id="")


def test_an_episode_without_rows_is_still_an_episode(scripted: Callable[[str], Any]) -> None:
    episode = open_episode(scripted("empty").close(Outcome.UNLABELLED))
    assert episode.rows == 0
    assert episode.stages() == []
    assert episode.events() == []
    assert len(episode.frames("head")) == 0
    assert len(episode.training_view().windows(1)) == 0


def test_the_name_of_an_episode_cannot_be_used_twice(scripted: Callable[[str], Any]) -> None:
    scripted("twice").close()
    with pytest.raises(RecordingError, match="exists already"):
        scripted("twice")


def test_missing_images_become_an_event_and_a_count(scripted: Callable[[str], Any]) -> None:
    episode = scripted("drops")
    for number in range(200):
        episode.images = not 60 <= number < 110
        episode.step(Mode.ROLLOUT)
    finished = open_episode(episode.close())
    (event,) = [event for event in finished.events() if event["type"] == "frame_drop"]
    assert event["camera"] == "head"
    assert finished.attrs["frames_dropped"] == {"head": event["count"]}
    assert event["count"] == 7
