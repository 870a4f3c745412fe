"""sim_node as a process, over real DDS: the topics of a robot, its driver, and the room around it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from rove_msgs.srv import ResetScene
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Bool, String

import rove_core.ros
from rove_core.joint_space import FloatArray, JointSpace
from rove_core.ros import stamps, topics
from rove_sim.scene import SceneState

SPACE = JointSpace.load("iron_r01")
ELBOW = SPACE.index("left_elbow")
DEADLINE_S = 30.0


class Around:
    """What stands around a robot: somebody who commands it and somebody who looks."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.joints: list[JointState] = []
        self.images: list[Image] = []
        self.infos: list[CameraInfo] = []
        self.scenes: list[SceneState] = []
        self.clocks: list[int] = []
        self.diagnostics: dict[str, str] = {}
        self.command: FloatArray | None = None
        node.create_subscription(JointState, topics.JOINT_STATES, self.joints.append, topics.QOS_JOINT_STATES)
        node.create_subscription(Image, topics.CAMERA_IMAGE.format(name="head"), self.images.append, topics.QOS_IMAGE)
        node.create_subscription(
            CameraInfo, topics.CAMERA_INFO.format(name="head"), self.infos.append, topics.QOS_IMAGE
        )
        node.create_subscription(String, topics.SCENE, self._on_scene, topics.QOS_SCENE)
        node.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, topics.QOS_DIAGNOSTICS)
        node.create_subscription(
            Clock, "/clock", lambda msg: self.clocks.append(stamps.to_ns(msg.clock)), topics.QOS_COMMAND
        )
        self._commands = node.create_publisher(JointState, topics.JOINT_COMMANDS, topics.QOS_COMMAND)
        self._estop = node.create_publisher(Bool, topics.ESTOP, topics.QOS_ESTOP)
        self._reset = node.create_client(ResetScene, topics.RESET_SCENE)

    def _on_scene(self, message: String) -> None:
        self.scenes.append(SceneState.model_validate_json(message.data))

    def _on_clock(self, message: Clock) -> None:
        self.clocks.append(stamps.to_ns(message.clock))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.diagnostics |= {value.key: value.value for value in message.status[0].values}

    def until(self, done: Callable[[], bool]) -> None:
        """Run callbacks, and command 100 times a second when there is a command, until `done`."""
        deadline, again = time.monotonic() + DEADLINE_S, 0.0
        while not done():
            assert time.monotonic() < deadline, f"it did not happen in time: {self.diagnostics}"
            if self.command is not None and time.monotonic() > again:
                again = time.monotonic() + 0.01
                self._commands.publish(JointState(name=list(SPACE.names), position=self.command.tolist()))
            rclpy.spin_once(self.node, timeout_sec=0.005)

    def until_more(self, what: list, count: int) -> None:
        target = len(what) + count
        self.until(lambda: len(what) >= target)

    def elbow(self) -> float:
        return float(self.joints[-1].position[ELBOW]) if self.joints else float("nan")

    def estop(self, stopped: bool) -> None:
        self._estop.publish(Bool(data=stopped))

    def reset(self, task: str, seed: int, start_stage: int) -> ResetScene.Response:
        self.until(self._reset.service_is_ready)
        future = self._reset.call_async(ResetScene.Request(task=task, seed=seed, start_stage=start_stage))
        self.until(future.done)
        return future.result()


@pytest.fixture
def around(domain_id: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Around]:
    profile = Path(rove_core.ros.__file__).with_name("fastdds_profile.xml")
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", str(profile))
    rclpy.init(domain_id=domain_id)
    node = Node("around_sim")
    yield Around(node)
    node.destroy_node()
    rclpy.shutdown()


def _start(*parameters: str) -> subprocess.Popen[str]:
    arguments = [item for parameter in parameters for item in ("-p", parameter)]
    return subprocess.Popen(
        [sys.executable, "-m", "rove_sim.ros.sim_node", "--ros-args", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        assert process.wait(20) == 0
    finally:
        process.kill()


@pytest.fixture
def sim(around: Around) -> Iterator[Around]:
    process = _start("task:=whiteboard", "seed:=1", "image_width:=160", "image_height:=120")
    yield around
    _stop(process)


def test_a_robot_that_senses_is_commanded_stopped_and_reset(sim: Around) -> None:
    _senses(sim)
    _follows(sim)
    _holds_without_commands(sim)
    _stops(sim)
    _is_reset(sim)


def _senses(sim: Around) -> None:
    sim.until(lambda: len(sim.joints) > 100 and len(sim.images) > 10 and len(sim.scenes) > 3 and bool(sim.infos))
    message = sim.joints[-1]
    assert tuple(message.name) == SPACE.names
    assert len(message.position) == len(message.velocity) == len(message.effort) == SPACE.dim
    assert abs(stamps.to_ns(message.header.stamp) - time.time_ns()) < DEADLINE_S * 1e9
    image = sim.images[-1]
    assert (image.width, image.height, image.encoding, image.step) == (160, 120, "rgb8", 480)
    assert np.frombuffer(image.data, np.uint8).std() > 20
    captured = {stamps.to_ns(image.header.stamp) for image in sim.images[-5:]}
    sensed = {stamps.to_ns(joints.header.stamp) for joints in sim.joints}
    assert captured & sensed, "a capture stamp is that of a physics instant"
    assert sim.infos[-1].k[2] == 80.0
    assert sim.scenes[-1].task == "whiteboard"
    assert not sim.clocks, "at speed 1 the clock is the system's"


def _follows(sim: Around) -> None:
    sim.command = SPACE.home.copy()
    sim.until(lambda: sim.diagnostics.get("driver") == "follow")
    sim.command[ELBOW] -= 0.2
    sim.until(lambda: abs(sim.elbow() - sim.command[ELBOW]) < 0.01)


def _holds_without_commands(sim: Around) -> None:
    command, sim.command = sim.command, None
    sim.until(lambda: sim.diagnostics.get("driver") == "hold")
    assert abs(sim.elbow() - command[ELBOW]) < 0.01
    sim.command = command
    sim.until(lambda: sim.diagnostics.get("driver") == "follow")


def _stops(sim: Around) -> None:
    where = sim.elbow()
    sim.estop(True)
    sim.until(lambda: sim.diagnostics.get("driver") == "estop")
    sim.command = sim.command - np.eye(SPACE.dim)[ELBOW]
    sim.until_more(sim.joints, 50)
    assert abs(sim.elbow() - where) < 0.01
    sim.estop(False)
    sim.until(lambda: sim.diagnostics.get("driver") == "resynchronise")
    sim.command[ELBOW] = where
    sim.until(lambda: sim.diagnostics.get("driver") == "follow")


def _is_reset(sim: Around) -> None:
    sim.command[ELBOW] = SPACE.home[ELBOW] - 0.6
    sim.until(lambda: abs(sim.elbow() - sim.command[ELBOW]) < 0.01)
    assert sim.reset("toaster", 4, 1).accepted
    sim.until(lambda: sim.scenes[-1].task == "toaster")
    assert sim.scenes[-1].grasp["right"] == "bread"
    sim.until_more(sim.joints, 100)
    assert abs(sim.elbow() - SPACE.home[ELBOW]) < 0.01, "commands for the old pose are not followed"
    sim.until_more(sim.images, 2)
    refused = sim.reset("toaster", 4, 7)
    assert not refused.accepted
    assert "stage 0 to 2" in refused.reason
    assert "no task" in sim.reset("laundry", 0, 0).reason


def test_at_another_speed_it_leads_the_clock(around: Around) -> None:
    process = _start("speed:=3.0", "use_sim_time:=true")
    try:
        around.until(lambda: len(around.clocks) > 5)
        began_ns = around.clocks[-1]
        around.until(lambda: around.clocks[-1] - began_ns > 1e9)
        assert around.clocks[0] > 1e18, "never near zero"
        assert np.all(np.diff(around.clocks) > 0)
        assert abs(stamps.to_ns(around.joints[-1].header.stamp) - around.clocks[-1]) < 1e9
    finally:
        _stop(process)


@pytest.mark.parametrize(
    ("parameter", "says"), [("task:=laundry", "no task 'laundry'"), ("cameras:=['hed']", "did you mean 'head'?")]
)
def test_a_wrong_parameter_is_one_line(around: Around, parameter: str, says: str) -> None:
    process = _start(parameter)
    _, stderr = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert says in stderr
    assert "Traceback" not in stderr
