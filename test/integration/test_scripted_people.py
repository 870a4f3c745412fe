"""The scripted people over real DDS and the real motion-capture wire, with this test as the rest of the lab."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rove_msgs.msg import ControlMode, SupervisorEvent
from rove_msgs.srv import ResetScene, StartEpisode
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from rove_core.joint_space import JointSpace
from rove_core.modes import Mode, Stage
from rove_core.ros import stamps, topics
from rove_hil.operator.mocap import MocapFrame
from rove_hil.operator.mocap_wire import MocapReceiver
from rove_sim.ros.scripted_operator import ScriptedOperatorNode
from rove_sim.ros.scripted_supervisor import ScriptedSupervisor
from rove_sim.world import World

SPACE = JointSpace.load("iron_r01")
DEADLINE_S = 20.0


@pytest.fixture
def ros(domain_id: int) -> Iterator[Callable[..., None]]:
    """Begins ROS with node parameters."""

    def begin(**values: object) -> None:
        flags = [argument for name, value in values.items() for argument in ("-p", f"{name}:={value}")]
        rclpy.init(args=["--ros-args", *flags])

    yield begin
    rclpy.try_shutdown()


class Lab(Node):
    """Robot, scene, supervisor_node's mode and services, as far as the people look at them."""

    def __init__(self) -> None:
        super().__init__("lab")
        self.world = World(SPACE, "whiteboard")
        self.mode = ControlMode(mode=Mode.IDLE.number, epoch=1)
        self.success = False
        self.resets: list[tuple[str, int]] = []
        self.presses: list[str] = []
        self._joints = self.create_publisher(JointState, topics.JOINT_STATES, topics.QOS_JOINT_STATES)
        self._commands = self.create_publisher(JointState, topics.JOINT_COMMANDS, topics.QOS_COMMAND)
        self._scene = self.create_publisher(String, topics.SCENE, topics.QOS_SCENE)
        self._modes = self.create_publisher(ControlMode, topics.MODE, topics.QOS_MODE)
        self.create_subscription(SupervisorEvent, topics.EVENT_REQUEST, self._on_press, topics.QOS_EVENTS)
        self.create_service(ResetScene, topics.RESET_SCENE, self._on_reset)
        self.create_service(StartEpisode, topics.START_EPISODE, self._on_start)
        self.create_timer(0.02, self._publish)

    def enter(self, mode: Mode, **more: object) -> None:
        self.mode = ControlMode(mode=mode.number, epoch=self.mode.epoch + 1, episode_id=self.mode.episode_id, **more)

    def _publish(self) -> None:
        now_ns = time.time_ns()
        message = JointState(name=list(SPACE.names), position=self.world.observe().position.tolist())
        message.velocity = [0.0] * SPACE.dim
        message.header.stamp = stamps.to_msg(now_ns)
        self._joints.publish(message)
        self._commands.publish(message)
        scene = self.world.scene().model_copy(update={"stamp_ns": now_ns, "success": self.success})
        self._scene.publish(String(data=scene.model_dump_json()))
        self._modes.publish(self.mode)

    def _on_press(self, event: SupervisorEvent) -> None:
        self.presses.append(event.event)
        match event.event:
            case "operator_ready":
                self.mode.operator_ready = True
            case "go":
                self.enter(Mode.TAKEOVER, stage=int(Stage.RECOVERY), demonstration=True)
                self.success = True
            case "succeed":
                self.enter(Mode.IDLE, event="succeed")
                self.mode.episode_id, self.success = "", False

    def _on_reset(self, request: ResetScene.Request, response: ResetScene.Response) -> ResetScene.Response:
        self.world.reset(request.task, int(request.seed), int(request.start_stage))
        self.resets.append((request.task, int(request.seed)))
        response.accepted = True
        return response

    def _on_start(self, request: StartEpisode.Request, response: StartEpisode.Response) -> StartEpisode.Response:
        # The stack is not ready the first time that it is asked.
        if len(self.resets) == 1 and not self.presses and not self.mode.reason:
            self.mode.reason = response.reason = "recorder_node: nothing heard"
            return response
        response.accepted, response.episode_id = True, f"attempt{len(self.resets)}"
        self.mode.episode_id = response.episode_id
        self.enter(Mode.ALIGNING, demonstration=request.demonstration, gate_met=True, operator_ready=True)
        return response


def spin_until(executor: SingleThreadedExecutor, condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, "not within the deadline"
        executor.spin_once(timeout_sec=0.05)


def started(node: ScriptedOperatorNode | ScriptedSupervisor) -> None:
    node.trigger_configure()
    node.trigger_activate()


def test_the_operator_is_seen_through_the_wire_late_and_says_ready(ros: Callable[..., None]) -> None:
    ros(profile="expert", bind_url="tcp://127.0.0.1:*")
    lab, operator = Lab(), ScriptedOperatorNode()
    executor = SingleThreadedExecutor()
    executor.add_node(lab)
    executor.add_node(operator)
    started(operator)
    receiver = MocapReceiver(operator.mocap_url)
    frames: list[tuple[int, MocapFrame]] = []

    def seen() -> bool:
        frame = receiver.poll(0.0)
        if frame is not None:
            frames.append((time.time_ns(), frame))
        return "operator_ready" in lab.presses and len(frames) > 60

    lab.enter(Mode.ALIGNING)
    spin_until(executor, seen)
    latency_ms = [(at_ns - frame.capture_ns) / 1e6 for at_ns, frame in frames]
    assert 20 < float(np.median(latency_ms)) < 200
    palm = frames[-1][1].wrist_positions[1]
    robot = lab.world.data.site("right_palm_site").xpos
    assert float(np.linalg.norm(palm - robot)) < 0.05
    receiver.close()
    operator.trigger_deactivate()
    executor.shutdown()
    operator.destroy_node()
    lab.destroy_node()


def test_the_supervisor_runs_its_attempts_and_ends(ros: Callable[..., None], tmp_path: Path) -> None:
    truth = tmp_path / "ground_truth.jsonl"
    ros(task="whiteboard", episodes=2, seed=40, demonstration="true", ground_truth=truth)
    lab, supervisor = Lab(), ScriptedSupervisor()
    executor = SingleThreadedExecutor()
    executor.add_node(lab)
    executor.add_node(supervisor)
    started(supervisor)
    spin_until(executor, lambda: supervisor.ended)
    assert lab.resets == [("whiteboard", 40), ("whiteboard", 41)]
    assert lab.presses == ["go", "succeed"] * 2
    assert [line.count('"called": "succeed"') for line in truth.read_text().splitlines()] == [1, 1]
    supervisor.trigger_deactivate()
    executor.shutdown()
    supervisor.destroy_node()
    lab.destroy_node()
