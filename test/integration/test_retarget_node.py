"""retarget_node as a process: frames over ZeroMQ in, operator targets over DDS out."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
import zmq
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rove_msgs.msg import ControlMode, TeleopTarget
from sensor_msgs.msg import JointState

from rove_core.clocks import MonotonicClock
from rove_core.joint_space import FloatArray, JointSpace
from rove_core.modes import Mode
from rove_core.ros import stamps, topics
from rove_hil.operator.bvh import mocap_frames, read_bvh
from rove_hil.operator.mocap import MocapFrame, Tracked, encode
from rove_hil.operator.mocap_replay import replay
from rove_hil.retargeting.kinematics import Kinematics

DATA = Path(__file__).parents[1] / "data/mocap"
SPACE = JointSpace.load("iron_r01")
DEADLINE_S = 20.0


class Around:
    """Robot, supervisor and headset around retarget_node. Modes and joints are said again until heard."""

    def __init__(self, node: Node, socket: zmq.Socket[bytes]) -> None:
        self.node, self.socket = node, socket
        self.targets: list[TeleopTarget] = []
        self.ghosts: list[JointState] = []
        self.diagnostics: dict[str, str] = {}
        self.measured: FloatArray = SPACE.home.copy()
        self.mode, self.epoch, self.sequence = Mode.IDLE, 1, 0
        self._states = node.create_publisher(JointState, topics.JOINT_STATES, topics.QOS_JOINT_STATES)
        self._modes = node.create_publisher(ControlMode, topics.MODE, topics.QOS_MODE)
        node.create_subscription(TeleopTarget, topics.TELEOP_TARGET, self.targets.append, topics.QOS_TELEOP_TARGET)
        node.create_subscription(JointState, topics.GHOST, self.ghosts.append, topics.QOS_GHOST)
        node.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, topics.QOS_DIAGNOSTICS)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == "retarget_node":
                self.diagnostics = {"": status.message, **{value.key: value.value for value in status.values}}

    def say(self, mode: Mode) -> None:
        self.mode, self.epoch = mode, self.epoch + 1
        self.targets.clear()

    def live(self) -> None:
        names = list(reversed(SPACE.names))  # any order will do
        order = [SPACE.index(name) for name in names]
        self._states.publish(JointState(name=names, position=self.measured[order].tolist()))
        self._modes.publish(ControlMode(mode=self.mode.number, epoch=self.epoch))

    def send(self, frame: MocapFrame) -> None:
        self.sequence += 1
        stamped = dataclasses.replace(frame, sequence=self.sequence, capture_ns=time.time_ns())
        self.socket.send(encode(stamped, "test"))

    def until(self, done: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None) -> None:
        """Run callbacks, and `meanwhile` 100 times a second, until `done`."""
        deadline, again = time.monotonic() + DEADLINE_S, 0.0
        while not done():
            assert time.monotonic() < deadline, f"it did not happen in time; {self.diagnostics}"
            if time.monotonic() > again:
                again = time.monotonic() + 0.01
                self.live()
                meanwhile()
            rclpy.spin_once(self.node, timeout_sec=0.005)


@pytest.fixture
def around(domain_id: int, request: pytest.FixtureRequest) -> Iterator[Around]:
    """retarget_node with its surroundings; a parameter gives it other ROS parameters."""
    socket = zmq.Context.instance().socket(zmq.PUB)
    socket.setsockopt(zmq.LINGER, 0)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    rclpy.init()
    node = rclpy.create_node("around")
    parameters = {"mocap_url": f"tcp://127.0.0.1:{port}"} | getattr(request, "param", {})
    arguments = ["--ros-args", *(word for name, value in parameters.items() for word in ("-p", f"{name}:={value}"))]
    process = subprocess.Popen([sys.executable, "-m", "rove_hil.ros.retarget_node", *arguments])
    try:
        yield Around(node, socket)
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        process.wait()
        node.destroy_node()
        rclpy.try_shutdown()
        socket.close()


def test_the_operators_pose_arrives_with_its_error_against_the_robot(around: Around) -> None:
    pose = SPACE.home.copy()
    right_arm = SPACE.groups["right_arm"]
    pose[right_arm] += 0.2
    frame = Kinematics(SPACE).frame_from_joints(pose)
    around.say(Mode.ALIGNING)
    around.until(lambda: len(around.targets) > 5, lambda: around.send(frame))
    target = around.targets[-1]
    np.testing.assert_allclose(np.array(target.position)[right_arm], pose[right_arm], atol=0.03)
    errors = dict(zip(target.group, zip(target.alignment_rms, target.alignment_max, strict=True), strict=True))
    assert errors["right_arm"][0] == pytest.approx(0.2, abs=0.03)
    assert errors["left_arm"][1] < 0.05
    positions = dict(zip(target.group, target.alignment_position_m, strict=True))
    palms = Kinematics(SPACE)
    palms.forward(pose)
    there = palms.site_positions(palms.palms)[1].copy()
    palms.forward(SPACE.home)
    distance_m = np.linalg.norm(there - palms.site_positions(palms.palms)[1])
    assert positions["right_arm"] == pytest.approx(distance_m, abs=0.01)
    assert np.isnan(positions["waist"])
    words = dict(zip(target.group, target.guidance, strict=True))
    assert words["right_arm"].startswith(("right hand", "right elbow", "turn", "tip", "roll"))
    assert words["left_arm"] == ""
    assert list(target.group) == list(SPACE.groups)
    assert all(target.group_valid)
    assert target.converged
    assert target.epoch == around.epoch
    assert target.palm_error_m < 2e-3
    assert target.fingertip_error_m < 3e-3
    assert 0 <= stamps.to_ns(target.stamp) - stamps.to_ns(target.source_stamp) < 5e9

    # A glove that loses its hand is told per group.
    lost = dataclasses.replace(frame, tracked=Tracked(right_hand=False))
    around.until(
        lambda: not dict(zip(around.targets[-1].group, around.targets[-1].group_valid, strict=True))["right_hand"],
        lambda: around.send(lost),
    )
    assert sum(around.targets[-1].group_valid) == len(SPACE.groups) - 1


def test_garbage_is_counted_and_frames_go_on_and_idle_modes_cost_nothing(around: Around) -> None:
    frame = Kinematics(SPACE).frame_from_joints(SPACE.home)

    def noisy() -> None:
        for _ in range(10):
            around.socket.send(b"\xc1 garbage")
        around.send(dataclasses.replace(frame, elbows=np.full((2, 3), np.nan)))
        around.send(frame)

    around.say(Mode.TAKEOVER)
    around.until(lambda: len(around.targets) > 20, noisy)
    around.until(lambda: int(around.diagnostics.get("rejected_malformed", 0)) > 0, noisy)
    around.until(lambda: int(around.diagnostics.get("rejected_values", 0)) > 0, noisy)
    assert all(target.converged for target in around.targets)

    around.say(Mode.ROLLOUT)
    for _ in range(2):  # the first report may have been made before the mode was heard
        before = around.diagnostics
        around.until(lambda before=before: around.diagnostics is not before, lambda: around.send(frame))
    published = around.diagnostics["published"]
    received = int(around.diagnostics["received"])
    around.until(lambda: int(around.diagnostics["received"]) > received + 50, lambda: around.send(frame))
    assert around.diagnostics["published"] == published
    # But the ghost goes on, so that people can warm up.
    around.ghosts.clear()
    around.until(lambda: len(around.ghosts) > 5, lambda: around.send(frame))
    assert list(around.ghosts[-1].name) == list(SPACE.names)
    np.testing.assert_allclose(around.ghosts[-1].position, SPACE.home, atol=0.03)


def test_real_motion_with_measured_latencies_stays_inside_the_limits(around: Around) -> None:
    hands = np.load(DATA / "human_hand_right_21.npz")["keypoints_m"].astype(np.float64)
    latency = np.load(DATA / "headset_video_latency_ms.npz")["wireless_stereo_720p_ms"]
    walk = list(mocap_frames(read_bvh(DATA / "cmu_12_01_walk.bvh"), SPACE, hands))[1:241]
    around.say(Mode.TAKEOVER)
    around.until(lambda: bool(around.targets), lambda: around.send(walk[0]))
    done, stop = threading.Event(), threading.Event()
    started_ns = time.time_ns()

    def send(frame: MocapFrame) -> None:
        around.socket.send(encode(frame, "walk"))

    def play() -> None:
        replay(walk, latency, send, MonotonicClock(), time.time_ns, stop)
        done.set()

    player = threading.Thread(target=play)
    player.start()
    try:
        around.until(lambda: done.is_set() and around.targets[-1].sequence == walk[-1].sequence)
    finally:
        stop.set()
        player.join()
    # Without what is left of the frames before.
    targets = [target for target in around.targets if stamps.to_ns(target.source_stamp) >= started_ns]
    q = np.array([target.position for target in targets])
    stamps_ns = np.array([stamps.to_ns(target.source_stamp) for target in targets])
    assert len(targets) > 30
    assert (q >= SPACE.lower - 1e-9).all()
    assert (q <= SPACE.upper + 1e-9).all()
    # Between targets that both arrived there may have been one that DDS dropped: its time counts as well.
    allowed = SPACE.max_velocity * np.maximum(np.diff(stamps_ns) * 1e-9, 2e-3)[:, None]
    assert (np.abs(np.diff(q, axis=0)) <= allowed + 1e-6).all()
    assert np.median([target.palm_error_m for target in targets]) < 2e-3


@pytest.mark.parametrize("around", [{"mocap_url": f"bvh:{DATA / 'cmu_12_01_walk.bvh'}"}], indirect=True)
def test_a_recording_as_the_source_plays_at_its_rate(around: Around) -> None:
    around.say(Mode.ALIGNING)
    around.until(lambda: len(around.targets) > 30)
    captured_ns = [stamps.to_ns(target.source_stamp) for target in around.targets]
    assert 4e6 < np.median(np.diff(captured_ns)) < 25e6  # 120 Hz, but for what DDS and a busy machine drop
    assert not any(target.group_valid[list(SPACE.groups).index("left_hand")] for target in around.targets)


@pytest.mark.parametrize("around", [{"max_frame_age_s": 0.1}], indirect=True)
def test_frames_that_are_too_old_give_no_target_and_are_told(around: Around) -> None:
    frame = Kinematics(SPACE).frame_from_joints(SPACE.home)

    def send_old() -> None:
        around.sequence += 1
        stamped = dataclasses.replace(frame, sequence=around.sequence, capture_ns=time.time_ns() - 500_000_000)
        around.socket.send(encode(stamped, "test"))

    around.say(Mode.TAKEOVER)
    around.until(lambda: bool(around.targets), lambda: around.send(frame))
    around.until(lambda: around.sequence == around.targets[-1].sequence)
    around.targets.clear()
    around.until(lambda: "too old" in around.diagnostics.get("", ""), send_old)
    assert not around.targets
    assert float(around.diagnostics["last_frame_age_s"]) > 0.4
    around.until(lambda: bool(around.targets), lambda: around.send(frame))
    assert around.targets[-1].converged
