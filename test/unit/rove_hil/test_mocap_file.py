"""Recorded sessions: what was received comes back, also from a file that was cut off or damaged."""

from __future__ import annotations

import contextlib
import dataclasses
import random
from pathlib import Path

import numpy as np
import pytest
from mcap.writer import Writer

from rove_core.errors import WireError
from rove_core.joint_space import JointSpace
from rove_hil.operator.mocap import MocapFrame, Tracked
from rove_hil.operator.mocap_file import ENCODING, TOPIC, MocapRecorder, read_recording
from rove_hil.retargeting.kinematics import Kinematics

SPACE = JointSpace.load("iron_r01")
PERIOD_NS = 10_000_000


def frames(count: int) -> list[MocapFrame]:
    kinematics, rng = Kinematics(SPACE), np.random.default_rng(0)
    return [
        dataclasses.replace(
            kinematics.frame_from_joints(SPACE.clip(rng.normal(SPACE.home, 0.1)), index, (index + 1) * PERIOD_NS),
            tracked=Tracked(left_hand=index % 2 == 0),
            source="glove",
        )
        for index in range(count)
    ]


@pytest.fixture(scope="module")
def recorded() -> list[MocapFrame]:
    return frames(120)


@pytest.fixture
def path(tmp_path: Path, recorded: list[MocapFrame]) -> Path:
    with MocapRecorder(tmp_path / "session.mcap") as recorder:
        for frame in recorded:
            recorder.write(frame, frame.capture_ns + 3_000_000)
    return tmp_path / "session.mcap"


def test_frames_come_back_as_they_were_with_the_time_they_arrived(path: Path, recorded: list[MocapFrame]) -> None:
    recording = read_recording(path)
    assert recording.complete
    assert len(recording.frames) == len(recorded)
    for ours, theirs in zip(recording.frames, recorded, strict=True):
        np.testing.assert_array_equal(ours.hands, theirs.hands)
        assert (ours.sequence, ours.capture_ns, ours.tracked) == (theirs.sequence, theirs.capture_ns, theirs.tracked)
        assert ours.source == "glove"
    assert recording.received_ns == [frame.capture_ns + 3_000_000 for frame in recorded]


def test_what_a_recording_holds_is_told(path: Path) -> None:
    recording = read_recording(path)
    assert recording.rate_hz == pytest.approx(100.0)
    assert recording.duration_s == pytest.approx(1.19)
    assert recording.longest_gap_s == pytest.approx(0.01)
    assert recording.tracked_share() == {
        "head": 1.0,
        "left_arm": 1.0,
        "right_arm": 1.0,
        "left_hand": 0.5,
        "right_hand": 1.0,
    }


def test_a_recording_is_not_overwritten(path: Path) -> None:
    with pytest.raises(WireError, match="exists"):
        MocapRecorder(path)
    with pytest.raises(WireError, match="cannot write"):
        MocapRecorder(path / "below/a/file.mcap")


def test_a_file_that_was_cut_off_gives_what_is_whole_and_says_so(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    recording = read_recording(path)
    assert not recording.complete
    assert 20 < len(recording.frames) < 120


def test_damage_is_refused_or_leaves_whole_frames(path: Path) -> None:
    data, chance = path.read_bytes(), random.Random(0)  # noqa: S311 - damage, not secrets
    for _ in range(60):
        damaged = bytearray(data[: chance.randrange(len(data))] if chance.random() < 0.5 else data)
        for _ in range(3):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        # Anything but a WireError fails here.
        with contextlib.suppress(WireError):
            assert all(frame.source == "glove" for frame in read_recording(path).frames)


def test_messages_that_are_no_frames_are_counted_and_left_out(tmp_path: Path, recorded: list[MocapFrame]) -> None:
    broken = dataclasses.replace(recorded[0], elbows=np.full((2, 3), np.nan))
    with MocapRecorder(tmp_path / "a.mcap") as recorder:
        for frame in (recorded[0], broken, recorded[1]):
            recorder.write(frame, 0)
    recording = read_recording(tmp_path / "a.mcap")
    assert len(recording.frames) == 2
    assert recording.refused == {"values": 1}


def test_other_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(WireError, match="cannot read"):
        read_recording(tmp_path / "missing.mcap")
    (tmp_path / "text.mcap").write_text("hello, this is no recording at all")
    with pytest.raises(WireError, match=r"text\.mcap"):
        read_recording(tmp_path / "text.mcap")
    with (tmp_path / "other.mcap").open("wb") as file:
        writer = Writer(file)
        writer.start()
        channel = writer.register_channel("/camera", ENCODING, writer.register_schema("a", "b", b""))
        writer.add_message(channel, 0, b"x", 0)
        writer.finish()
    with pytest.raises(WireError, match=TOPIC):
        read_recording(tmp_path / "other.mcap")
