"""filter_node as a process, over real DDS: what comes in by topics, what goes out at 200 Hz."""

from __future__ import annotations

import array
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import rclpy
from rclpy.node import Node
from rove_msgs.msg import ActionChunk, CommandTrace, ControlMode, TeleopTarget
from sensor_msgs.msg import JointState

from rove_core.joint_space import FloatArray, JointSpace
from rove_core.modes import Mode, Source
from rove_core.ros import stamps, topics

SPACE = JointSpace.load("iron_r01")
PERIOD_S = 0.005
DEADLINE_S = 20.0


class Around:
    """Everything around filter_node: driver, supervisor, policy and operator in one node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.traces: list[CommandTrace] = []
        self.commands: list[JointState] = []
        self.mode, self.epoch, self.sequence = Mode.IDLE, 0, 0
        self._states = node.create_publisher(JointState, topics.JOINT_STATES, topics.QOS_JOINT_STATES)
        self._modes = node.create_publisher(ControlMode, topics.MODE, topics.QOS_MODE)
        self._chunks = node.create_publisher(ActionChunk, topics.CHUNK, topics.QOS_CHUNK)
        self._teleop = node.create_publisher(TeleopTarget, topics.TELEOP_TARGET, topics.QOS_TELEOP_TARGET)
        node.create_subscription(CommandTrace, topics.COMMAND_TRACE, self.traces.append, topics.QOS_COMMAND_TRACE)
        node.create_subscription(JointState, topics.JOINT_COMMANDS, self.commands.append, topics.QOS_COMMAND)

    def say(self, mode: Mode) -> None:
        if mode is not self.mode:
            self.mode, self.epoch = mode, self.epoch + 1
        self._modes.publish(ControlMode(mode=mode.number, epoch=self.epoch))

    def measure(self, names: list[str]) -> None:
        place = {name: i for i, name in enumerate(SPACE.names)}
        position = [float(SPACE.home[place[name]]) if name in place else 0.0 for name in names]
        self._states.publish(JointState(name=names, position=position))

    def chunk(self, data: FloatArray, epoch: int, chunk_id: int, dt_s: float = 0.1) -> None:
        msg = ActionChunk(epoch=epoch, chunk_id=chunk_id, dt_s=dt_s, execute=1)
        msg.observation_stamp = stamps.to_msg(time.time_ns())
        msg.horizon, msg.dim = data.shape
        msg.data = array.array("f", data.astype(np.float32).tobytes())
        self._chunks.publish(msg)

    def operate(self, position: FloatArray) -> None:
        self.sequence += 1
        msg = TeleopTarget(epoch=self.epoch, sequence=self.sequence, stamp=stamps.to_msg(time.time_ns()))
        msg.position = array.array("d", position.tobytes())
        msg.group, msg.group_valid = list(SPACE.groups), [True] * len(SPACE.groups)
        self._teleop.publish(msg)

    def until(self, done: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None) -> None:
        """Run callbacks, and `meanwhile` 50 times a second, until `done`."""
        deadline, again = time.monotonic() + DEADLINE_S, 0.0
        while not done():
            assert time.monotonic() < deadline, "it did not happen in time"
            if time.monotonic() > again:
                again = time.monotonic() + 0.02
                meanwhile()
            rclpy.spin_once(self.node, timeout_sec=0.005)

    def last(self) -> CommandTrace:
        return self.traces[-1]


@pytest.fixture
def around(domain_id: int) -> Iterator[Around]:
    rclpy.init()
    node = rclpy.create_node("around")
    process = subprocess.Popen([sys.executable, "-m", "rove_hil.ros.filter_node"])
    try:
        yield Around(node)
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        process.wait()
        node.destroy_node()
        rclpy.try_shutdown()


def test_policy_pause_takeover_over_dds_inside_the_limits(around: Around) -> None:
    names = list(reversed(SPACE.names))  # any order will do
    around.until(lambda: bool(around.traces), lambda: around.measure(names))
    np.testing.assert_allclose(around.last().sent, SPACE.home, rtol=0, atol=1e-12)
    assert around.last().source == Source.HOLD

    around.say(Mode.ROLLOUT)
    rows = SPACE.home + np.linspace(0, 0.4, 20)[:, None] * np.ones(SPACE.dim)
    policy_epoch = around.epoch
    around.chunk(rows, policy_epoch, 1)
    around.until(lambda: around.last().chunk_step >= 4, lambda: around.say(Mode.ROLLOUT))
    assert around.last().source == Source.POLICY

    around.say(Mode.PAUSED)
    # A policy that answers late, for the mode before.
    around.chunk(rows + 0.3, policy_epoch, 2)
    around.until(
        lambda: around.last().source == Source.HOLD and around.last().mode == Mode.PAUSED.number,
        lambda: around.say(Mode.PAUSED),
    )
    held = np.array(around.last().sent)
    still = len(around.traces) + 40
    around.until(lambda: len(around.traces) >= still, lambda: around.say(Mode.PAUSED))
    np.testing.assert_array_equal(around.last().sent, held)

    around.say(Mode.TAKEOVER)

    def operate() -> None:
        around.say(Mode.TAKEOVER)
        around.operate(SPACE.home)

    around.until(
        lambda: around.last().source == Source.OPERATOR and np.abs(around.last().sent - SPACE.home).max() < 0.02,
        operate,
    )
    around.until(lambda: around.last().hold_reason == "operator target stale", lambda: around.say(Mode.TAKEOVER))
    around.until(lambda: around.last().hold_reason == "supervisor silent")

    assert 2 not in {trace.chunk_id for trace in around.traces}
    assert list(around.commands[-1].name) == list(SPACE.names)
    check_limits(around.traces)


def check_limits(traces: list[CommandTrace]) -> None:
    ticks = np.array([trace.tick for trace in traces])
    sent = np.array([trace.sent for trace in traces])
    runs = np.split(sent, np.flatnonzero(np.diff(ticks) != 1) + 1)  # best effort: a trace may be lost
    assert max(len(run) for run in runs) > 100
    for run in runs:
        for order, limit in ((1, SPACE.max_velocity), (2, SPACE.max_acceleration), (3, SPACE.max_jerk)):
            assert (np.abs(np.diff(run, order, axis=0)) / PERIOD_S**order <= limit * (1 + 1e-6)).all()


def test_joint_names_of_another_robot_get_no_command(around: Around) -> None:
    names = [*SPACE.names[1:], "tail"]
    sent = 0

    def measure() -> None:
        nonlocal sent
        sent += around._states.get_subscription_count() > 0
        around.measure(names)

    around.until(lambda: sent > 20, measure)
    assert not around.traces
    assert not around.commands
