"""Recorded human motion, as late as a real headset, drives the robot through the whole stack inside its limits."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rove_core.clocks import MonotonicClock
from rove_core.joint_space import JointSpace
from rove_core.modes import Mode
from rove_hil.operator.bvh import mocap_frames, read_bvh
from rove_hil.operator.mocap import MocapFrame
from rove_hil.operator.mocap_replay import replay
from rove_hil.operator.mocap_wire import MocapPublisher
from rove_recorder.checking.check import check_episode

DATA = Path(__file__).parents[1] / "data/mocap"
DRIVEN_S = 8.0


class Headset:
    """Plays the walk and the hands again and again onto the wire, with the measured latencies."""

    def __init__(self, url: str) -> None:
        hands = np.load(DATA / "human_hand_right_21.npz")["keypoints_m"].astype(np.float64)
        walk = mocap_frames(read_bvh(DATA / "cmu_12_01_walk.bvh"), JointSpace.load("iron_r01"), hands)
        self._frames = list(walk)[1:]  # the first one is the database's T-pose
        latencies = np.load(DATA / "headset_video_latency_ms.npz")
        self._latency_ms = latencies[latencies.files[0]].astype(np.float64)
        self._wire = MocapPublisher(url, source="recording")
        self._sequence = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            replay(self._frames, self._latency_ms, self._send, MonotonicClock(), time.time_ns, self._stop)

    def _send(self, frame: MocapFrame) -> None:
        self._sequence += 1
        self._wire.send(dataclasses.replace(frame, sequence=self._sequence))

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._wire.close()


@pytest.fixture
def headset(wire_url: str) -> Iterator[tuple[str, Headset]]:
    playing = Headset(wire_url)
    yield wire_url, playing
    playing.close()


def test_a_walking_person_with_moving_hands_drives_the_robot_inside_its_limits(
    begin: Callable[..., Any], supervisor: Any, headset: tuple[str, Headset]
) -> None:
    session = begin("--operator", f"mocap:{headset[0]}", "--supervisor", "none")
    supervisor.start_demonstration()
    supervisor.spin_until(lambda: supervisor.targets > 20, "retargeted motion")
    end = time.monotonic() + DRIVEN_S
    while time.monotonic() < end:
        # The person does not stand as the robot does: the hardest hand-over. A late frame may lead back to aligning.
        if supervisor.mode.mode == Mode.ALIGNING.number:
            supervisor.press("force_go")
        look_again = time.monotonic() + 0.5
        supervisor.spin_until(lambda until=look_again: time.monotonic() > until, "the walk")
    supervisor.press("succeed")
    supervisor.spin_until(lambda: list(session.out.glob("*/*.zarr")) != [], "a closed episode")
    (episode,) = session.episodes()
    assert check_episode(episode) == []
    human = episode.streams["commands"]["source"][:] == 2
    assert human.sum() > 200
    moved = np.ptp(episode.streams["commands"]["sent"][human], axis=0)
    assert (moved > 0.05).sum() > 20, "arms and hands took part"
