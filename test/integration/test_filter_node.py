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
from std_msgs.msg import Bool, Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from rove_core.joint_space import FloatArray, JointSpace
from rove_core.modes import Mode, Source
from rove_core.ros import stamps, topics
from rove_hil.guard.clearance import Clearance

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

    def say(self, mode: Mode, **how: object) -> None:
        if mode is not self.mode:
            self.mode, self.epoch = mode, self.epoch + 1
        self._modes.publish(ControlMode(mode=mode.number, epoch=self.epoch, **how))

    def measure(self, names: list[str], position: FloatArray = SPACE.home) -> None:
        at = dict(zip(SPACE.names, position.tolist(), strict=True))
        self._states.publish(JointState(name=names, position=[at.get(name, 0.0) for name in names]))

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
def around(domain_id: int, request: pytest.FixtureRequest) -> Iterator[Around]:
    """Its parameters, if any, are those of filter_node: name=value."""
    rclpy.init()
    node = rclpy.create_node("around")
    parameters = [
        word for parameter in getattr(request, "param", ()) for word in ("-p", parameter.replace("=", ":=", 1))
    ]
    process = subprocess.Popen([sys.executable, "-m", "rove_hil.ros.filter_node", "--ros-args", *parameters])
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


def check_epochs(traces: list[CommandTrace], epoch_of_chunk: dict[int, int]) -> None:
    """No chunk moves the robot in another epoch than its own."""
    used = {(trace.chunk_id, trace.epoch) for trace in traces if trace.chunk_id}
    assert used <= set(epoch_of_chunk.items())


def test_a_takeover_at_any_step_of_a_chunk_leaves_no_command_of_a_policy_that_answers_late(around: Around) -> None:
    around.until(lambda: bool(around.traces), lambda: around.measure(list(SPACE.names)))
    epoch_of_chunk: dict[int, int] = {}
    for step in range(8):
        around.say(Mode.ROLLOUT)
        last = np.array(around.last().sent)
        rows = last + np.linspace(0, 0.1, 10)[:, None] * np.where(last > SPACE.home, -1, 1)
        chunk_id, late_id = 2 * step + 1, 2 * step + 2
        epoch_of_chunk |= {chunk_id: around.epoch, late_id: around.epoch}
        around.chunk(rows, around.epoch, chunk_id, dt_s=0.05)
        around.until(
            lambda chunk_id=chunk_id, step=step: (
                around.last().chunk_id == chunk_id and around.last().chunk_step >= step
            ),
            lambda: around.say(Mode.ROLLOUT),
        )
        policy_epoch = around.epoch
        around.say(Mode.TAKEOVER)
        # It was asked before the takeover and answers again and again after it.
        around.until(
            lambda: around.last().epoch == around.epoch and around.last().source == Source.HOLD,
            lambda rows=rows, epoch=policy_epoch, late_id=late_id: (
                around.say(Mode.TAKEOVER),
                around.chunk(rows + 0.3, epoch, late_id, dt_s=0.05),
            ),
        )
        assert around.last().hold_reason == "waiting for the operator"
    check_epochs(around.traces, epoch_of_chunk)
    assert {trace.chunk_id for trace in around.traces if trace.chunk_id} == set(range(1, 16, 2))
    check_limits(around.traces)


def test_flips_of_the_mode_at_any_tick_stay_inside_the_limits(around: Around) -> None:
    around.until(lambda: bool(around.traces), lambda: around.measure(list(SPACE.names)))
    rng = np.random.default_rng(0)
    epoch_of_chunk: dict[int, int] = {}
    ways = ("absolute", "clutch", "blended")
    how: dict[str, object] = {}
    ends = time.monotonic() + 2.0

    def stir() -> None:
        nonlocal how
        if rng.random() < 0.4:
            around.mode = Mode.IDLE  # the next word is a new epoch
            groups = [group for group in SPACE.groups if rng.random() < 0.3]
            how = {"takeover_way": ways[rng.integers(3)], "operator_groups": groups, "policy_runs": True}
        around.say((Mode.ROLLOUT, Mode.TAKEOVER, Mode.PAUSED)[around.epoch % 3], **how)
        chunk_id = len(epoch_of_chunk) + 1
        epoch_of_chunk[chunk_id] = around.epoch - int(rng.random() < 0.3)
        rows = rng.uniform(SPACE.lower, SPACE.upper, (8, SPACE.dim))
        around.chunk(rows, epoch_of_chunk[chunk_id], chunk_id, dt_s=0.05)
        around.operate(rng.uniform(SPACE.lower, SPACE.upper))

    around.until(lambda: time.monotonic() > ends, stir)
    assert {Source.POLICY, Source.OPERATOR} < {trace.source for trace in around.traces}
    check_epochs(around.traces, epoch_of_chunk)
    check_limits(around.traces)


def test_a_takeover_of_one_arm_says_who_had_which_share(around: Around) -> None:
    around.until(lambda: bool(around.traces), lambda: around.measure(list(SPACE.names)))
    how = {"takeover_way": "clutch", "operator_groups": ["right_arm"], "policy_runs": True}
    around.say(Mode.TAKEOVER, **how)
    around.chunk(np.tile(SPACE.home, (200, 1)), around.epoch, 1)

    def operate() -> None:
        around.say(Mode.TAKEOVER, **how)
        around.operate(SPACE.home + 0.1)

    around.until(lambda: around.last().source == Source.OPERATOR and around.last().chunk_id == 1, operate)
    assert dict(zip(SPACE.groups, around.last().operator_authority, strict=True)) == {
        group: float(group == "right_arm") for group in SPACE.groups
    }
    unknown = {"takeover_way": "telepathy"}
    around.mode = Mode.IDLE
    around.until(lambda: around.last().hold_reason == "supervisor silent", lambda: around.say(Mode.TAKEOVER, **unknown))


REVERSED = f"output_joints=[{','.join(reversed(SPACE.names))}]"


@pytest.mark.parametrize(
    ("around", "kind", "topic"),
    [
        (("output=position_array", REVERSED), Float64MultiArray, "/forward_position_controller/commands"),
        (
            ("output=trajectory", "output_topic=/arms/joint_trajectory", REVERSED),
            JointTrajectory,
            "/arms/joint_trajectory",
        ),
    ],
    indirect=["around"],
    ids=["position_array", "trajectory"],
)
def test_commands_in_the_message_and_order_that_a_controller_takes(around: Around, kind: type, topic: str) -> None:
    got: list[object] = []
    around.node.create_subscription(kind, topic, got.append, 1)
    around.until(lambda: bool(got), lambda: around.measure(list(SPACE.names)))
    message = got[-1]
    if isinstance(message, JointTrajectory):
        (point,) = message.points
        assert point.time_from_start.nanosec == round(PERIOD_S * 1e9)
        assert list(message.joint_names) == list(reversed(SPACE.names))
        np.testing.assert_allclose(point.positions, SPACE.home[::-1], atol=1e-12)
        assert not point.velocities
    else:
        np.testing.assert_allclose(message.data, SPACE.home[::-1], atol=1e-12)
    assert not around.commands


@pytest.mark.parametrize("around", [("relax_topic=/driver/relax", "relax_after_s=0.5")], indirect=True)
def test_in_a_fault_the_driver_relaxes_and_takes_hold_where_the_robot_then_is(around: Around) -> None:
    told: list[bool] = []
    around.node.create_subscription(Bool, "/driver/relax", lambda msg: told.append(msg.data), topics.QOS_ESTOP)
    around.until(lambda: bool(around.traces), lambda: around.measure(list(SPACE.names)))
    around.until(lambda: told[-1:] == [True], lambda: around.say(Mode.FAULT))
    sagged = SPACE.home - 0.3
    around.until(
        lambda: np.allclose(around.last().sent, sagged),
        lambda: (around.say(Mode.FAULT), around.measure(list(SPACE.names), sagged)),
    )
    around.until(lambda: told[-1:] == [False], lambda: around.say(Mode.PAUSED))
    around.until(lambda: around.last().mode == Mode.PAUSED.number, lambda: around.say(Mode.PAUSED))
    np.testing.assert_allclose(around.last().sent, sagged)


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


@pytest.mark.parametrize("around", [["guard=self_collision"]], indirect=True)
def test_the_guard_keeps_an_operators_hand_out_of_the_chest(around: Around) -> None:
    around.until(lambda: bool(around.traces), lambda: around.measure(list(SPACE.names)))
    into_the_chest = SPACE.home.copy()
    into_the_chest[SPACE.index("left_elbow")] = -2.0
    into_the_chest[SPACE.index("left_shoulder_yaw")] = -1.6

    def operate() -> None:
        around.say(Mode.TAKEOVER)
        around.operate(into_the_chest)

    around.until(lambda: around.last().hold_reason.startswith("held back: "), operate)
    seen = len(around.traces) + 200
    around.until(lambda: len(around.traces) >= seen, operate)
    assert around.last().source == Source.OPERATOR
    assert np.abs(np.array(around.last().sent) - SPACE.home).max() > 0.5
    clearance = Clearance(SPACE)
    near = np.full(len(clearance.reach), 0.001)
    for trace in around.traces[::10]:
        assert (clearance.rows(np.array(trace.sent), near).gap > -0.001).all()
