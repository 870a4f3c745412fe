"""Replaying motion with measured latencies."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from rove_core.joint_space import JointSpace
from rove_hil.operator.mocap import MocapFrame
from rove_hil.operator.mocap_replay import arrivals_ns, replay
from rove_hil.retargeting.kinematics import Kinematics

LATENCIES = Path(__file__).parents[2] / "data/mocap/headset_video_latency_ms.npz"
SPACE = JointSpace.load("iron_r01")
MS = 1_000_000


class SteppedClock:
    """Time that passes only while somebody sleeps."""

    def __init__(self, start_ns: int) -> None:
        self.time_ns = start_ns

    def now_ns(self) -> int:
        return self.time_ns

    def sleep_until_ns(self, deadline_ns: int) -> None:
        self.time_ns = max(self.time_ns, deadline_ns)


def test_a_slow_frame_holds_back_the_ones_behind_it() -> None:
    arrivals = arrivals_ns([0, 10 * MS, 20 * MS, 30 * MS], np.array([5.0, 25.0]))
    assert arrivals.tolist() == [5 * MS, 35 * MS, 35 * MS, 55 * MS]


def test_measured_latencies_delay_every_frame_and_keep_the_order() -> None:
    latency = np.load(LATENCIES)["wireless_stereo_720p_ms"]
    captures = np.arange(1000) * 13_888_889
    arrivals = arrivals_ns(captures.tolist(), latency)
    assert (np.diff(arrivals) >= 0).all()
    assert (arrivals - captures >= np.rint(latency * MS)).all()


def frames(count: int) -> list[MocapFrame]:
    kinematics = Kinematics(SPACE)
    return [kinematics.frame_from_joints(SPACE.home, i, 7 * MS + i * 10 * MS) for i in range(count)]


def test_frames_are_sent_when_they_arrive_and_stamped_when_they_were_captured() -> None:
    clock, sent = SteppedClock(1000 * MS), []
    stamp_offset = 5_000_000 * MS
    count = replay(
        frames(4),
        np.array([30.0, 50.0]),
        lambda frame: sent.append((clock.now_ns(), frame.capture_ns)),
        clock,
        lambda: clock.now_ns() + stamp_offset,
        threading.Event(),
    )
    assert count == 4
    assert [sent_ns - 1000 * MS for sent_ns, _ in sent] == [30 * MS, 60 * MS, 60 * MS, 80 * MS]
    assert [stamp - stamp_offset - 1000 * MS for _, stamp in sent] == [0, 10 * MS, 20 * MS, 30 * MS]


def test_a_replay_can_be_ended() -> None:
    stop = threading.Event()
    sent: list[MocapFrame] = []

    def send(frame: MocapFrame) -> None:
        sent.append(frame)
        stop.set()

    clock = SteppedClock(0)
    assert replay(frames(4), np.array([1.0]), send, clock, clock.now_ns, stop) == 1
    assert len(sent) == 1
