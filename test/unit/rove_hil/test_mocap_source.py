"""Sources of motion capture by URL, and recordings that play."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from rove_core.errors import ConfigError, WireError
from rove_core.joint_space import JointSpace
from rove_hil.operator.mocap import MocapFrame
from rove_hil.operator.mocap_file import MocapRecorder
from rove_hil.operator.mocap_source import RecordingSource, load_frames, open_source
from rove_hil.retargeting.kinematics import Kinematics

DATA = Path(__file__).parents[2] / "data/mocap"
SPACE = JointSpace.load("iron_r01")
MS = 1_000_000
STAMP_OFFSET_NS = 5_000_000 * MS


class SteppedClock:
    """Time that passes only while somebody sleeps or lets it."""

    def __init__(self) -> None:
        self.time_ns = 1_000 * MS

    def now_ns(self) -> int:
        return self.time_ns

    def sleep_until_ns(self, deadline_ns: int) -> None:
        self.time_ns = max(self.time_ns, deadline_ns)

    def ros_now_ns(self) -> int:
        return self.time_ns + STAMP_OFFSET_NS


@pytest.fixture
def frames() -> list[MocapFrame]:
    frame = Kinematics(SPACE).frame_from_joints(SPACE.home)
    return [
        dataclasses.replace(frame, capture_ns=77 * MS + 10 * MS * index, head_position=np.array([0.0, 0.0, index]))
        for index in range(4)
    ]


def test_a_recording_plays_at_its_rate_with_stamps_of_now_over_and_over(frames: list[MocapFrame]) -> None:
    clock = SteppedClock()
    source = RecordingSource(frames, clock, clock.ros_now_ns)
    played = [source.poll(0.1) for _ in range(9)]
    assert [frame.sequence for frame in played if frame] == list(range(9))
    assert [int(frame.head_position[2]) for frame in played if frame] == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    stamps = [frame.capture_ns - STAMP_OFFSET_NS - 1_000 * MS for frame in played if frame]
    assert stamps == [10 * MS * index for index in range(9)]


def test_a_slow_listener_gets_the_newest_frame_and_the_others_are_counted(frames: list[MocapFrame]) -> None:
    clock = SteppedClock()
    source = RecordingSource(frames, clock, clock.ros_now_ns)
    assert source.poll(0.0) is not None
    clock.time_ns += 35 * MS
    frame = source.poll(0.0)
    assert frame is not None
    assert frame.sequence == 3
    assert frame.capture_ns == clock.ros_now_ns() - 5 * MS
    assert (source.received, source.dropped) == (4, 2)


def test_waiting_ends_with_the_time_limit(frames: list[MocapFrame]) -> None:
    clock = SteppedClock()
    source = RecordingSource(frames, clock, clock.ros_now_ns)
    source.poll(0.0)
    before = clock.now_ns()
    assert source.poll(0.004) is None
    assert clock.now_ns() == before + 4 * MS


def test_urls_open_what_they_name(tmp_path: Path, frames: list[MocapFrame]) -> None:
    with MocapRecorder(tmp_path / "a.mcap") as recorder:
        for frame in frames:
            recorder.write(frame, frame.capture_ns)
    clock = SteppedClock()
    for url in (f"mcap:{tmp_path / 'a.mcap'}", f"bvh:{DATA / 'cmu_12_01_walk.bvh'}"):
        source = open_source(url, SPACE, clock, clock.ros_now_ns)
        assert source.poll(0.1) is not None
    wire = open_source("tcp://127.0.0.1:1", SPACE, clock, clock.ros_now_ns)
    assert wire.poll(0.0) is None
    wire.close()
    assert len(load_frames(tmp_path / "a.mcap", SPACE)) == 4


def test_frames_of_a_source_that_was_started_again_do_not_play_backwards(
    tmp_path: Path, frames: list[MocapFrame]
) -> None:
    with MocapRecorder(tmp_path / "a.mcap") as recorder:
        for frame in [*frames, frames[1], dataclasses.replace(frames[0], capture_ns=500 * MS)]:
            recorder.write(frame, frame.capture_ns)
    clock = SteppedClock()
    source = open_source(f"mcap:{tmp_path / 'a.mcap'}", SPACE, clock, clock.ros_now_ns)
    stamps = [frame.capture_ns for frame in (source.poll(1.0) for _ in range(5)) if frame]
    assert np.diff(stamps).tolist() == [10 * MS, 10 * MS, 10 * MS, 393 * MS]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "nonsense"),
        ("bvh:", "bvh:"),
        ("bvh:/no/such/file.bvh", "cannot read"),
        ("mcap:/no/such/file.mcap", "cannot read"),
        ("http://127.0.0.1", "http"),
        ("isaac", "isaac"),
    ],
)
def test_what_cannot_be_opened_is_one_clear_line(url: str, said: str) -> None:
    clock = SteppedClock()
    with pytest.raises(WireError, match=said):
        open_source(url, SPACE, clock, clock.ros_now_ns)


def test_keys_are_for_the_wire_and_must_be_there(tmp_path: Path) -> None:
    clock = SteppedClock()
    with pytest.raises(ConfigError, match=r"robot\.key"):
        open_source("tcp://127.0.0.1:1", SPACE, clock, clock.ros_now_ns, source_key=str(tmp_path / "robot.key"))
    with pytest.raises(WireError, match="keys"):
        open_source(f"bvh:{DATA / 'cmu_12_01_walk.bvh'}", SPACE, clock, clock.ros_now_ns, source_key="x")
