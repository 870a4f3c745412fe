"""supervisor_node over real DDS: presses, answers, watchdogs."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rove_msgs.msg import Alignment, CommandTrace, ControlMode, EpisodeStatus, SupervisorEvent, TeleopTarget
from rove_msgs.srv import SendEvent, StartEpisode
from sensor_msgs.msg import CameraInfo, JointState
from std_msgs.msg import Bool

from rove_core.clocks import NS_PER_S
from rove_core.errors import ConfigError
from rove_core.ros import stamps, topics
from rove_hil.ros import incumbent
from rove_hil.ros.supervisor_node import SupervisorNode

DEADLINE_S = 10.0


class World(Node):
    """Everybody but the supervisor: says what it is told to, and keeps what it hears."""

    def __init__(self) -> None:
        super().__init__("world")
        self.says = {"joint_states", "trace", "recorder", "policy", "operator"}
        self.hold_reason = ""
        self.recorder = EpisodeStatus(state=EpisodeStatus.STATE_IDLE)
        self.policy = DiagnosticStatus(name="policy_node", level=DiagnosticStatus.OK)
        self.alignment_rad = 0.05
        self.palm_off_m = 0.03
        self.alignment = Alignment()
        self.mode = ControlMode()
        self.beats: list[int] = []
        self.source = CommandTrace.SOURCE_HOLD
        self.tracked = [True, True]
        self.modes: list[tuple[int, int]] = []
        self.answers: list[SupervisorEvent] = []
        self.stops: list[bool] = []
        self.create_subscription(ControlMode, topics.MODE, self._on_mode, topics.QOS_MODE)
        self.create_subscription(SupervisorEvent, topics.EVENTS, self.answers.append, topics.QOS_EVENTS)
        self.create_subscription(Bool, topics.ESTOP, lambda message: self.stops.append(message.data), topics.QOS_ESTOP)
        self.create_subscription(Alignment, topics.ALIGNMENT, self._on_alignment, topics.QOS_ALIGNMENT)
        self._joints = self.create_publisher(JointState, topics.JOINT_STATES, topics.QOS_JOINT_STATES)
        self._traces = self.create_publisher(CommandTrace, topics.COMMAND_TRACE, topics.QOS_COMMAND_TRACE)
        self._targets = self.create_publisher(TeleopTarget, topics.TELEOP_TARGET, topics.QOS_TELEOP_TARGET)
        self._statuses = self.create_publisher(EpisodeStatus, topics.EPISODE_STATUS, topics.QOS_EPISODE_STATUS)
        self._diagnostics = self.create_publisher(DiagnosticArray, topics.DIAGNOSTICS, topics.QOS_DIAGNOSTICS)
        self.requests = self.create_publisher(SupervisorEvent, topics.EVENT_REQUEST, topics.QOS_EVENTS)
        self.sender = self.create_client(SendEvent, topics.SEND_EVENT)
        self.starter = self.create_client(StartEpisode, topics.START_EPISODE)
        self.create_timer(0.02, self._speak)

    def _on_mode(self, mode: ControlMode) -> None:
        if mode.epoch != self.mode.epoch:
            self.modes.append((mode.mode, mode.epoch))
        self.mode = mode
        self.beats.append(mode.mode)

    def _on_alignment(self, alignment: Alignment) -> None:
        self.alignment = alignment

    def _speak(self) -> None:
        if "joint_states" in self.says:
            self._joints.publish(JointState())
        if "trace" in self.says:
            self._traces.publish(CommandTrace(epoch=self.mode.epoch, source=self.source, hold_reason=self.hold_reason))
        if "recorder" in self.says:
            self._statuses.publish(self.recorder)
        if "policy" in self.says:
            self._diagnostics.publish(DiagnosticArray(status=[self.policy]))
        if "operator" in self.says:
            groups = ["left_arm", "right_arm"]
            target = TeleopTarget(epoch=self.mode.epoch, converged=True, group=groups, group_valid=self.tracked)
            target.alignment_rms = target.alignment_max = [self.alignment_rad] * 2
            target.alignment_position_m, target.alignment_rotation = [self.palm_off_m] * 2, [0.1] * 2
            target.guidance = ["left hand 3 cm forward", "right elbow 12 deg lower"]
            self._targets.publish(target)


class JumpingSupervisor(SupervisorNode):
    """A supervisor on a machine whose wall clock has jumped by `jump_ns`."""

    jump_ns = 0

    def ros_now_ns(self) -> int:
        return super().ros_now_ns() + self.jump_ns


class Rig:
    """A supervisor and the world around it, both spinning."""

    def __init__(self) -> None:
        self.world = World()
        self.node = JumpingSupervisor()
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.world)
        self._threads = [threading.Thread(target=self._spin_world), threading.Thread(target=self.node.spin)]
        self._ending = threading.Event()

    def _spin_world(self) -> None:
        while not self._ending.is_set():
            self._executor.spin_once(timeout_sec=0.1)

    def begin(self) -> None:
        self.node.trigger_configure()
        self.node.trigger_activate()
        for thread in self._threads:
            thread.start()
        self.until(lambda: self.world.mode.epoch > 0)
        assert self.world.sender.wait_for_service(DEADLINE_S)
        assert self.world.starter.wait_for_service(DEADLINE_S)

    def end(self) -> None:
        self.node.stop()
        self._ending.set()
        for thread in self._threads:
            thread.join()
        self.node.trigger_deactivate()
        self.node.destroy_node()
        self.world.destroy_node()

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"it did not happen; mode {self.world.mode}"
            time.sleep(0.01)

    def until_mode(self, mode: int) -> None:
        self.until(lambda: self.world.mode.mode == mode)

    def _call(self, client: Any, request: Any) -> Any:
        future = client.call_async(request)
        self.until(future.done)
        return future.result()

    def start(self, **more: object) -> StartEpisode.Response:
        request = StartEpisode.Request(task="whiteboard", device="test", metadata_json='{"lab": 2}', **more)
        return self._call(self.world.starter, request)

    def started(self, **more: object) -> StartEpisode.Response:
        """Start as a person would: again, until everybody was heard."""
        deadline = time.monotonic() + DEADLINE_S
        while not (answer := self.start(**more)).accepted:
            assert time.monotonic() < deadline, answer.reason
        self.until(lambda: self.world.mode.episode_id == answer.episode_id)
        return answer

    def press(self, event: str, **more: object) -> SendEvent.Response:
        fields = {"expected_mode": SupervisorEvent.MODE_ANY, **more}
        return self._call(
            self.world.sender, SendEvent.Request(event=SupervisorEvent(event=event, device="test", **fields))
        )


@contextmanager
def rig_of(domain_id: int, monkeypatch: pytest.MonkeyPatch, *parameters: str) -> Iterator[Rig]:
    """A rig whose supervisor has these parameters."""
    monkeypatch.setattr(incumbent, "LISTEN_S", 0.1)
    monkeypatch.setattr(incumbent, "LEGACY_S", 0.1)
    arguments = [word for parameter in parameters for word in ("-p", parameter)]
    rclpy.init(args=["--ros-args", *arguments] if arguments else [], domain_id=domain_id)
    subject = Rig()
    subject.begin()
    try:
        yield subject
    finally:
        subject.end()
        rclpy.shutdown()


@pytest.fixture
def rig(domain_id: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    with rig_of(domain_id, monkeypatch) as subject:
        yield subject


def test_an_attempt_through_takeover_and_hand_back(rig: Rig) -> None:
    first_epoch = rig.world.mode.epoch
    episode_id = rig.started(instruction="wipe").episode_id
    assert rig.world.mode.session_metadata_json == '{"lab": 2}'
    assert rig.press("takeover").accepted
    assert not rig.press("go").accepted
    assert rig.press("operator_ready").accepted
    rig.until(lambda: rig.world.mode.gate_met)
    assert rig.press("go").accepted
    rig.until(lambda: rig.world.mode.stage == ControlMode.STAGE_ADAPTATION)
    assert rig.press("mark_progress").accepted
    rig.until(lambda: rig.world.mode.stage == ControlMode.STAGE_RECOVERY)
    assert rig.press("hand_back").accepted
    rig.until_mode(ControlMode.MODE_ROLLOUT)
    assert rig.press("succeed", episode_id=episode_id).accepted
    rig.until_mode(ControlMode.MODE_IDLE)
    assert (rig.world.mode.event, rig.world.mode.episode_id) == ("succeed", "")
    # Six changes of mode, one of which (the pause on the way back) nobody may have seen.
    assert rig.world.mode.epoch == first_epoch + 6
    rig.until(lambda: any(answer.event == "succeed" for answer in rig.world.answers))
    accepted = [answer for answer in rig.world.answers if answer.accepted]
    assert [answer.event for answer in accepted] == [
        "start",
        "takeover",
        "operator_ready",
        "go",
        "mark_progress",
        "hand_back",
        "resume",
        "succeed",
    ]
    assert {answer.episode_id for answer in accepted} == {episode_id}
    assert accepted[0].payload == '{"lab": 2}'


def test_nothing_starts_without_a_recorder_and_a_policy(rig: Rig) -> None:
    rig.world.recorder = EpisodeStatus(state=EpisodeStatus.STATE_FAULT, message="disk is full")
    rig.world.policy = DiagnosticStatus(name="policy_node", level=DiagnosticStatus.ERROR, message="warming up")
    rig.until(lambda: "disk is full" in rig.start().reason)
    rig.world.recorder = EpisodeStatus(state=EpisodeStatus.STATE_IDLE)
    rig.until(lambda: "warming up" in rig.start().reason)
    rig.world.policy = DiagnosticStatus(name="policy_node", level=DiagnosticStatus.OK)
    rig.started()


def test_the_mode_says_which_policy_it_is(rig: Rig) -> None:
    rig.until(lambda: len(rig.world.beats) > 0)
    assert (rig.world.mode.policy_id, rig.world.mode.policy_index) == ("", -1)
    known = [KeyValue(key="policy_id", value="reach@0123456789ab"), KeyValue(key="policy_index", value="4")]
    rig.world.policy = DiagnosticStatus(name="policy_node", level=DiagnosticStatus.OK, values=known)
    rig.until(lambda: (rig.world.mode.policy_id, rig.world.mode.policy_index) == ("reach@0123456789ab", 4))


def test_a_topic_request_is_answered_too(rig: Rig) -> None:
    rig.until(lambda: rig.world.requests.get_subscription_count() > 0)
    rig.world.requests.publish(SupervisorEvent(event="puase", device="pedal:test", expected_mode=-1))
    rig.until(lambda: any(answer.device == "pedal:test" for answer in rig.world.answers))
    answer = next(answer for answer in rig.world.answers if answer.device == "pedal:test")
    assert not answer.accepted
    assert "did you mean 'pause'?" in answer.reason


def test_an_old_press_is_refused(rig: Rig) -> None:
    rig.started()
    answer = rig.press("pause", stamp=stamps.to_msg(time.time_ns() - 5 * 10**9))
    assert not answer.accepted
    assert "5.0 s ago" in answer.reason


def test_an_emergency_stop_reaches_the_driver_and_is_reset(rig: Rig) -> None:
    rig.started()
    assert rig.press("estop").accepted
    rig.until(lambda: rig.world.stops == [True])
    assert not rig.press("resume").accepted
    assert rig.press("reset").accepted
    rig.until(lambda: rig.world.stops == [True, False])
    rig.until_mode(ControlMode.MODE_IDLE)
    assert rig.world.mode.event == "abort"


def test_a_policy_that_stalls_pauses(rig: Rig) -> None:
    rig.started()
    rig.world.hold_reason = "no chunk"
    rig.until_mode(ControlMode.MODE_PAUSED)
    assert rig.world.mode.event == "policy_stalled"
    assert "no chunk" in rig.world.mode.reason


def test_an_operator_who_is_lost_aligns_again(rig: Rig) -> None:
    rig.started(demonstration=True)
    rig.press("force_go")
    rig.until_mode(ControlMode.MODE_TAKEOVER)
    rig.world.says.remove("operator")
    rig.until_mode(ControlMode.MODE_ALIGNING)
    assert rig.world.mode.event == "operator_lost"


def test_what_keeps_the_gate_shut_is_shown_and_a_forced_go_keeps_it(rig: Rig) -> None:
    rig.world.palm_off_m = 0.2
    rig.started()
    rig.press("takeover", payload="groups=right_arm,right_hand")
    rig.until(lambda: rig.world.alignment.epoch == rig.world.mode.epoch and len(rig.world.alignment.group) == 2)
    assert list(rig.world.mode.operator_groups) == ["right_arm", "right_hand"]
    assert rig.world.mode.policy_runs is False
    shown = rig.world.alignment
    assert (list(shown.group), list(shown.met)) == (["left_arm", "right_arm"], [True, False])
    assert list(shown.guidance) == ["", "right elbow 12 deg lower"]
    assert shown.reason == "right_arm is off by 20 cm (limit 15)"
    assert shown.position_limit_m[1] == pytest.approx(0.15)
    assert math.isnan(shown.position_limit_m[0]), "the policy keeps that arm"
    rig.press("operator_ready")
    assert "right_arm is off by 20 cm" in rig.press("go").reason
    assert rig.press("force_go", payload="it will do").accepted
    rig.until(lambda: any(answer.event == "force_go" for answer in rig.world.answers))
    (forced,) = [answer for answer in rig.world.answers if answer.event == "force_go"]
    kept = json.loads(forced.payload)
    assert kept["said"] == "it will do"
    assert kept["alignment"]["gate"] == "right_arm is off by 20 cm (limit 15)"
    assert kept["alignment"]["groups"]["right_arm"] == {
        "rms_rad": 0.05,
        "max_rad": 0.05,
        "position_m": 0.2,
        "rotation_rad": 0.1,
    }
    rig.until(lambda: rig.world.mode.policy_runs)


def test_a_takeover_of_a_group_that_the_robot_lacks_is_refused(rig: Rig) -> None:
    rig.started()
    answer = rig.press("takeover", payload="groups=right_amr")
    assert not answer.accepted
    assert "did you mean 'right_arm'?" in answer.reason
    assert answer.mode == ControlMode.MODE_ROLLOUT


def test_a_hand_that_is_lost_does_not_end_the_takeover_and_an_arm_does(rig: Rig) -> None:
    rig.started(demonstration=True)
    rig.press("force_go")
    rig.until_mode(ControlMode.MODE_TAKEOVER)
    rig.world.source, rig.world.hold_reason = CommandTrace.SOURCE_OPERATOR, "not tracked: left_hand"
    heard = len(rig.world.beats)
    rig.until(lambda: len(rig.world.beats) > heard + 10)  # half a second, longer than the limit
    assert rig.world.mode.mode == ControlMode.MODE_TAKEOVER
    rig.world.tracked = [True, False]
    rig.until_mode(ControlMode.MODE_ALIGNING)
    assert "right_arm not tracked" in rig.world.mode.reason
    # The dwell counts from nothing: it is not enough that poses were close before.
    rig.until(lambda: "right_arm is not tracked" in rig.world.alignment.reason)
    rig.world.tracked = [True, True]
    rig.until(lambda: rig.world.mode.gate_met)
    # Nor is it after the operator has let go by choice.
    assert rig.press("operator_lost").accepted
    rig.until(lambda: not rig.world.mode.gate_met)
    rig.until(lambda: rig.world.mode.gate_met)


@pytest.mark.parametrize("jump_s", [-5, 5])
def test_a_jump_of_the_wall_clock_leaves_the_attempt_alone(rig: Rig, jump_s: int) -> None:
    rig.started()
    rig.node.jump_ns = jump_s * NS_PER_S
    heard = len(rig.world.beats)
    rig.until(lambda: len(rig.world.beats) > heard + 20)  # a second: watchdogs would have had their time
    assert rig.world.mode.mode == ControlMode.MODE_ROLLOUT
    old = rig.press("pause", stamp=stamps.to_msg(time.time_ns()))
    assert not old.accepted
    assert ("s ago" if jump_s > 0 else "clocks disagree") in old.reason
    assert rig.press("pause", stamp=stamps.to_msg(time.time_ns() + rig.node.jump_ns)).accepted
    rig.world.says.remove("joint_states")
    assert rig.press("resume").accepted
    rig.until_mode(ControlMode.MODE_FAULT)


def test_silent_joint_states_are_a_fault_until_they_are_back(rig: Rig) -> None:
    rig.started()
    rig.world.says.remove("joint_states")
    rig.until_mode(ControlMode.MODE_FAULT)
    assert "joint states" in rig.press("clear").reason
    rig.world.says.add("joint_states")
    rig.until(lambda: rig.press("clear").accepted)
    rig.until_mode(ControlMode.MODE_PAUSED)


def test_the_successor_of_a_killed_supervisor_ends_its_attempt_and_no_epoch_comes_twice(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.world.says.add("trace")
    newest = rig.world.mode.epoch + 10**9  # as if the wall clock had been set back by days
    rig.world.mode = ControlMode(epoch=newest)
    rig.world.recorder = EpisodeStatus(state=EpisodeStatus.STATE_RECORDING, episode_id="orphan")
    rig.node.deactivate()  # no more heartbeats: the world keeps saying the epoch of before
    rig.world.mode = ControlMode(epoch=newest)
    monkeypatch.setattr(incumbent, "LEGACY_S", DEADLINE_S)
    successor = JumpingSupervisor()
    successor.trigger_configure()
    successor.trigger_activate()
    rig.until(lambda: rig.world.mode.epoch > newest)
    rig.until(lambda: any(answer.episode_id == "orphan" for answer in rig.world.answers))
    (answer,) = [answer for answer in rig.world.answers if answer.episode_id == "orphan"]
    assert (answer.event, answer.accepted) == ("abort", True)
    assert "restarted during attempt orphan" in answer.reason
    successor.deactivate()
    successor.destroy_node()


def test_people_are_asked_when_the_time_of_an_attempt_is_over(domain_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with rig_of(domain_id, monkeypatch, "max_attempt_s:=0.5", "confirm_reset:=true") as rig:
        rig.started(start_stage=2)
        rig.until_mode(ControlMode.MODE_PAUSED)
        assert rig.world.mode.question == "time limit 0.5 s reached: success, failure or abort? resume to go on"
        assert (rig.world.mode.event, rig.world.mode.event_device) == ("pause", "node:supervisor_node")
        assert rig.press("resume").accepted
        rig.until(lambda: rig.world.mode.mode == ControlMode.MODE_ROLLOUT and not rig.world.mode.question)
        assert rig.press("fail").accepted
        rig.until_mode(ControlMode.MODE_IDLE)
        assert rig.world.mode.question == "scene reset? then start the next attempt"


def test_everything_that_an_attempt_lacks_is_named_before_it_starts(
    domain_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rig_of(domain_id, monkeypatch, "cameras:=['head']", "operator:=true") as rig:
        missing = ["camera head (camera_info): nothing heard yet", "the operator is not tracked"]
        rig.until(lambda: rig.start().reason.splitlines() == missing)
        camera = rig.world.create_publisher(CameraInfo, topics.CAMERA_INFO.format(name="head"), topics.QOS_IMAGE)
        ghost = rig.world.create_publisher(JointState, topics.GHOST, topics.QOS_GHOST)
        rig.world.create_timer(0.02, lambda: (camera.publish(CameraInfo()), ghost.publish(JointState())))
        rig.started()


def test_a_second_supervisor_is_refused(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incumbent, "LISTEN_S", DEADLINE_S)
    second = SupervisorNode()
    with pytest.raises(ConfigError, match="another supervisor_node"):
        second.configure()
    second.destroy_node()
