"""Recorded human motion, as late as a real headset, drives the robot through the whole stack inside its limits."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from rclpy.node import Node
from rove_msgs.msg import ControlMode, SupervisorEvent, TeleopTarget
from rove_msgs.srv import SendEvent, StartEpisode

from rove_core.clocks import MonotonicClock
from rove_core.joint_space import JointSpace
from rove_core.modes import Mode
from rove_core.ros import stamps, topics
from rove_hil.bvh import mocap_frames, read_bvh
from rove_hil.mocap import MocapFrame, MocapPublisher
from rove_hil.mocap_replay import replay
from rove_recorder.check import check_episode

DATA = Path(__file__).parents[1] / "data/mocap"
DEADLINE_S = 60.0
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


class Supervisor:
    """A person at the services."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.mode = ControlMode()
        self.targets = 0
        node.create_subscription(ControlMode, topics.MODE, self._on_mode, topics.QOS_MODE)
        node.create_subscription(TeleopTarget, topics.TELEOP_TARGET, self._on_target, topics.QOS_TELEOP_TARGET)
        self._start = node.create_client(StartEpisode, topics.START_EPISODE)
        self._press = node.create_client(SendEvent, topics.SEND_EVENT)

    def _on_mode(self, mode: ControlMode) -> None:
        self.mode = mode

    def _on_target(self, _: TeleopTarget) -> None:
        self.targets += 1

    def spin_until(self, done: Callable[[], bool], what: str, limit_s: float = DEADLINE_S) -> None:
        deadline = time.monotonic() + limit_s
        while not done():
            assert time.monotonic() < deadline, f"not within {limit_s} s: {what}; mode {self.mode.mode}"
            rclpy.spin_once(self.node, timeout_sec=0.02)

    def _ask(self, client: Any, request: Any) -> Any:
        self.spin_until(client.service_is_ready, client.srv_name)
        answer = client.call_async(request)
        self.spin_until(answer.done, client.srv_name)
        return answer.result()

    def start_demonstration(self) -> str:
        """Open an attempt; asks again while something is not ready."""
        request = StartEpisode.Request(task="whiteboard", demonstration=True, device="test")
        deadline = time.monotonic() + DEADLINE_S
        while not (answer := self._ask(self._start, request)).accepted:
            assert time.monotonic() < deadline, answer.reason
            rclpy.spin_once(self.node, timeout_sec=0.2)
        return str(answer.episode_id)

    def press(self, event: str) -> None:
        now = stamps.to_msg(time.time_ns())
        request = SendEvent.Request()
        request.event = SupervisorEvent(stamp=now, event=event, device="test", expected_mode=SupervisorEvent.MODE_ANY)
        answer = self._ask(self._press, request)
        assert answer.accepted, answer.reason


@pytest.fixture
def supervisor(domain_id: int) -> Iterator[Supervisor]:
    rclpy.init()
    node = Node("supervisor_in_a_test")
    yield Supervisor(node)
    node.destroy_node()
    rclpy.try_shutdown()


@pytest.fixture
def headset() -> Iterator[tuple[str, Headset]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    playing = Headset(url)
    yield url, playing
    playing.close()


def test_a_walking_person_with_moving_hands_drives_the_robot_inside_its_limits(
    begin: Callable[..., Any], supervisor: Supervisor, headset: tuple[str, Headset]
) -> None:
    session = begin("--operator", f"mocap:{headset[0]}", "--supervisor", "none")
    supervisor.start_demonstration()
    supervisor.spin_until(lambda: supervisor.targets > 20, "retargeted motion")
    supervisor.press("force_go")  # the person does not stand as the robot does: the hardest hand-over
    supervisor.spin_until(lambda: supervisor.mode.mode == Mode.TAKEOVER.number, "a takeover")
    end = time.monotonic() + DRIVEN_S
    supervisor.spin_until(lambda: time.monotonic() > end, "the walk")
    if supervisor.mode.mode != Mode.TAKEOVER.number:
        assert supervisor.mode.mode == Mode.ALIGNING.number, "a late frame may only lead back to aligning"
    supervisor.press("succeed")
    supervisor.spin_until(lambda: list(session.out.glob("*/*.zarr")) != [], "a closed episode")
    (episode,) = session.episodes()
    assert check_episode(episode) == []
    human = episode.streams["commands"]["source"][:] == 2
    assert human.sum() > 200
    moved = np.ptp(episode.streams["commands"]["sent"][human], axis=0)
    assert (moved > 0.05).sum() > 20, "arms and hands took part"
