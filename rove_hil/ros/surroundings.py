"""What supervisor_node hears of the other nodes, for its watchdogs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.serialization import deserialize_message
from rove_msgs.msg import CommandTrace, EpisodeStatus
from sensor_msgs.msg import CameraInfo, JointState

from rove_core.modes import Source
from rove_core.ros import topics
from rove_core.ros.node import RoveNode
from rove_hil.supervision.watchdogs import Watch

# policy_node reports once a second; two may get lost.
POLICY_REPORT_S = 3.5


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """What policy_node last said of itself.

    Attributes:
        problem: why it cannot drive, "" when it can.
        policy_id, index: of the bundle that it serves; "" and -1 when it has none.
    """

    problem: str
    policy_id: str = ""
    index: int = -1


SILENT = PolicyReport("policy_node: nothing heard")


class Surroundings:
    """Subscribes to the others on behalf of `node` and tells `watch` what came."""

    def __init__(self, node: RoveNode, watch: Watch) -> None:
        self._clock = node.clock
        self._watch = watch
        self._trace: tuple[int, bytes] | None = None
        self._policy = SILENT
        self._policy_heard_s = 0.0
        listen = node.create_subscription
        # 200 Hz each, and only the newest counts, twenty times a second: not worth unpacking every one.
        listen(JointState, topics.JOINT_STATES, self._on_joint_states, topics.QOS_JOINT_STATES, raw=True)
        listen(CommandTrace, topics.COMMAND_TRACE, self._on_trace, topics.QOS_COMMAND_TRACE, raw=True)
        listen(EpisodeStatus, topics.EPISODE_STATUS, self._on_episode_status, topics.QOS_EPISODE_STATUS)
        listen(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, topics.QOS_DIAGNOSTICS)
        if watch.operator:
            listen(JointState, topics.GHOST, self._on_ghost, topics.QOS_GHOST, raw=True)
        for name in watch.cameras:
            # It comes with every image and is a thousandth of its size.
            heard = partial(self._on_camera, name)
            listen(CameraInfo, topics.CAMERA_INFO.format(name=name), heard, topics.QOS_IMAGE, raw=True)

    def catch_up(self) -> None:
        """Look at the newest of what is not worth looking at every time."""
        if self._trace is None:
            return
        heard_ns, data = self._trace
        self._trace = None
        trace = deserialize_message(data, CommandTrace)
        # A joint group of the operator that is not tracked holds alone: that is not the robot holding.
        holds = trace.source in (Source.HOLD, Source.STOP)
        self._watch.heard_trace(heard_ns, trace.epoch, trace.hold_reason if holds else "")

    def policy(self) -> PolicyReport:
        """What is known of the policy. Reports come once a second of wall time, whatever the clock."""
        return SILENT if time.monotonic() - self._policy_heard_s > POLICY_REPORT_S else self._policy

    def _on_joint_states(self, _: bytes) -> None:
        self._watch.joint_states_ns = self._clock.now_ns()

    def _on_trace(self, data: bytes) -> None:
        self._trace = (self._clock.now_ns(), data)

    def _on_ghost(self, _: bytes) -> None:
        self._watch.ghost_ns = self._clock.now_ns()

    def _on_camera(self, name: str, _: bytes) -> None:
        self._watch.camera_ns[name] = self._clock.now_ns()

    def _on_episode_status(self, status: EpisodeStatus) -> None:
        fault = (status.message or "no reason given") if status.state == EpisodeStatus.STATE_FAULT else ""
        self._watch.heard_recorder(self._clock.now_ns(), fault)

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if status.name == "policy_node":
                ready = status.level == DiagnosticStatus.OK
                problem = "" if ready else f"policy_node is not ready: {status.message or 'no reason given'}"
                values = {value.key: value.value for value in status.values}
                index = values.get("policy_index", "")
                self._policy = PolicyReport(problem, values.get("policy_id", ""), int(index) if index.isdigit() else -1)
                self._policy_heard_s = time.monotonic()
