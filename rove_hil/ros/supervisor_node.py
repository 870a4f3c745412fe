"""Owns the mode. Everybody may press; nobody else decides."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from rove_msgs.msg import Alignment, ControlMode, SupervisorEvent, TeleopTarget
from rove_msgs.srv import SendEvent, StartEpisode
from std_msgs.msg import Bool

from rove_core.clocks import NS_PER_S
from rove_core.errors import ConfigError, IllegalEventError
from rove_core.modes import Event, Mode
from rove_core.ros import topics
from rove_core.ros.node import ERROR, OK, WARN, RoveNode
from rove_core.ros.node import main as run
from rove_hil.ros import supervision_messages as messages
from rove_hil.ros.alignment_monitor import AlignmentMonitor
from rove_hil.ros.incumbent import is_supervised, legacy
from rove_hil.ros.supervisor_parameters import SupervisorParameters
from rove_hil.ros.surroundings import Surroundings
from rove_hil.supervision.attempt import Answer, Conditions, Press
from rove_hil.supervision.supervisor_core import SELF, SupervisorCore
from rove_hil.supervision.watchdogs import Watch

# The filter may not have heard of the last few epochs of a supervisor that was killed.
EPOCHS_APART = 1000

# A simulated clock cannot be waited on without a limit, so the loop looks this often whether a beat is due.
SIMULATED_POLL_S = 0.005


class SupervisorNode(RoveNode):
    """Wires `SupervisorCore`, `AlignmentGate` and `Watch` to topics and services."""

    NAME = "supervisor_node"

    def configure(self) -> None:
        self._settings = parameters = self.parameters(SupervisorParameters)
        if is_supervised(self):
            raise _not_alone()
        self._alignment = AlignmentMonitor(parameters.gate())
        self._takeover = parameters.takeover()
        self._watch = Watch(parameters.limits(), parameters.cameras, parameters.operator)
        # Wall time in milliseconds: larger than any epoch of a process before this one, also after a reset of
        # simulated time; an epoch would have to grow by a thousand a second to be met again.
        self._first_epoch = time.time_ns() // 1_000_000
        self._core = SupervisorCore(
            epoch=self._first_epoch,
            since_ns=self.ros_now_ns(),
            rules=parameters.rules(),
        )
        self._lock = threading.RLock()
        self._mode_since_ns = 0
        self._warned = ""
        self._pause_warned_epoch = -1
        self._connect()
        self.diagnose_with(self._report)

    def _connect(self) -> None:
        self._modes = self.create_publisher(ControlMode, topics.MODE, topics.QOS_MODE)
        self._alignments = self.create_publisher(Alignment, topics.ALIGNMENT, topics.QOS_ALIGNMENT)
        self._events = self.create_publisher(SupervisorEvent, topics.EVENTS, topics.QOS_EVENTS)
        self._estops = self.create_publisher(Bool, topics.ESTOP, topics.QOS_ESTOP)
        listen = self.create_subscription
        listen(ControlMode, topics.MODE, self._on_mode, topics.QOS_MODE)
        listen(SupervisorEvent, topics.EVENT_REQUEST, self._on_request, topics.QOS_EVENTS)
        listen(TeleopTarget, topics.TELEOP_TARGET, self._on_teleop_target, topics.QOS_TELEOP_TARGET)
        self._surroundings = Surroundings(self, self._watch)
        self.create_service(SendEvent, topics.SEND_EVENT, self._on_send_event)
        self.create_service(StartEpisode, topics.START_EPISODE, self._on_start_episode)

    def activate(self) -> None:
        left = legacy(self)
        # A wall clock that was set back would begin at an epoch that is in use.
        self._first_epoch = self._core.epoch = max(self._first_epoch, left.epoch + EPOCHS_APART)
        if left.attempt:
            answer = self._core.disown(left.attempt, self.ros_now_ns())
            self._answered([answer] if answer else [])
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat")
        self._thread.start()

    def deactivate(self) -> None:
        self._stopping.set()
        self._thread.join()
        with self._lock:
            if self._core.attempt is not None and self._core.mode is not Mode.ESTOP:
                press = Press(Event.ABORT, SELF, payload="supervisor_node is ending")
                self._answered(self._core.press(press, self._conditions()))

    # Heartbeat

    def _beat(self) -> None:
        """Publish the mode and the alignment, each at its own rate."""
        work = [_Periodic(self._settings.heartbeat_hz, self._heartbeat)]
        work.append(_Periodic(self._settings.alignment_hz, self._publish_alignment))
        wait_s = 0.0
        while not self._stopping.wait(wait_s):
            for part in work:
                part.run_if_due(self.clock.now_ns())
            due_ns = min(part.due_ns for part in work)
            remaining_s = max((due_ns - self.clock.now_ns()) / NS_PER_S, 0.0)
            wait_s = min(remaining_s, SIMULATED_POLL_S) if self._simulated else remaining_s

    def _heartbeat(self, now_ns: int) -> None:
        with self._lock:
            self._look(now_ns)
            self._publish_mode()

    def _publish_alignment(self, now_ns: int) -> None:
        with self._lock:
            if self._core.mode is Mode.ALIGNING:
                self._alignments.publish(self._alignment.message(now_ns, self.ros_now_ns(), self._core.state()))

    def _look(self, now_ns: int) -> None:
        """Press what the watchdogs call for, and warn of what needs a person."""
        self._surroundings.catch_up()
        call = self._watch.judge(now_ns, self._core.mode, self._core.epoch, self._mode_since_ns)
        if call is not None:
            event, reason = call
            press = Press(event, SELF, self.ros_now_ns(), payload=reason)
            self._answered(self._core.press(press, self._conditions()))
        asked = self._core.question
        self._answered(self._core.watch_time(self._conditions()))
        if self._core.question != asked:
            self.get_logger().warning(self._core.question)
        warning = self._watch.recorder_problem(now_ns) if self._core.attempt else ""
        if warning and warning.split(" for ")[0] != self._warned:
            self.get_logger().error(f"THIS ATTEMPT IS NOT BEING RECORDED: {warning}")
        self._warned = warning.split(" for ")[0]
        paused_s = (now_ns - self._mode_since_ns) / NS_PER_S
        if self._core.mode is Mode.PAUSED and paused_s > self._settings.pause_warning_s:
            if self._pause_warned_epoch != self._core.epoch:
                self.get_logger().warning(f"paused for {paused_s:.0f} s: resume, take over or end the attempt")
            self._pause_warned_epoch = self._core.epoch

    def _publish_mode(self) -> None:
        gate_met = self._core.mode is Mode.ALIGNING and self._alignment.gate.state(self.clock.now_ns()).met
        message = messages.mode_message(self._core.state(), self.ros_now_ns(), gate_met=gate_met)
        policy = self._surroundings.policy()
        message.policy_id, message.policy_index = policy.policy_id, policy.index
        self._modes.publish(message)

    # Presses

    def _conditions(self) -> Conditions:
        now_ns = self.clock.now_ns()
        gate = self._alignment.gate.state(now_ns)
        return Conditions(
            now_ns=self.ros_now_ns(),
            control_ns=now_ns,
            gate_met=gate.met,
            gate_reason=gate.reason,
            alignment=self._alignment.errors_json(now_ns),
            recording_problem=self._watch.recorder_problem(now_ns),
            policy_problem=self._surroundings.policy().problem,
            fault_cause=self._watch.fault_cause(now_ns),
            not_ready=self._watch.not_ready(now_ns),
        )

    def _request(self, request: SupervisorEvent) -> SupervisorEvent:
        """Apply a request and return its answer, published already."""
        with self._lock:
            try:
                answers = self._core.press(messages.press_of(request, self._takeover), self._conditions())
            except IllegalEventError as refusal:
                answer = messages.refusal_message(request, str(refusal), self._core.state())
                self.get_logger().warning(f"refused: {answer.reason}")
                self._events.publish(answer)
                return answer
            self._answered(answers)
            return messages.answer_message(answers[0], self.ros_now_ns())

    def _answered(self, answers: list[Answer]) -> None:
        """Tell everybody what became of presses: the mode first, because it is what stops the robot."""
        for answer in answers:
            if answer.accepted and answer.after is not answer.before:
                self._mode_since_ns = self.clock.now_ns()
            if answer.accepted and (answer.after is not answer.before or answer.press.event is Event.OPERATOR_LOST):
                self._alignment.begin(self._core.attempt)
        accepted = any(answer.accepted for answer in answers)
        if accepted:
            self._publish_mode()
        for answer in answers:
            self._events.publish(messages.answer_message(answer, self.ros_now_ns()))
            self._log(answer)
            if answer.accepted and answer.after is Mode.ESTOP:
                self._estops.publish(Bool(data=True))
            elif answer.accepted and answer.before is Mode.ESTOP:
                self._estops.publish(Bool(data=False))

    def _log(self, answer: Answer) -> None:
        pressed = datetime.fromtimestamp((answer.press.stamp_ns or self.ros_now_ns()) / NS_PER_S, UTC)
        who = f"{answer.press.event} by {answer.press.device} at {pressed:%H:%M:%S.%f}"
        if answer.accepted:
            self.get_logger().info(f"{answer.before} -> {answer.after}: {who}: {answer.reason}")
        else:
            self.get_logger().warning(f"refused in {answer.before}: {who}: {answer.reason}")

    def _on_request(self, request: SupervisorEvent) -> None:
        self._request(request)

    def _on_send_event(self, request: SendEvent.Request, response: SendEvent.Response) -> SendEvent.Response:
        answer = self._request(request.event)
        with self._lock:
            response.accepted, response.reason = answer.accepted, answer.reason
            response.mode, response.epoch = self._core.mode.number, self._core.epoch
        return response

    def _on_start_episode(
        self, request: StartEpisode.Request, response: StartEpisode.Response
    ) -> StartEpisode.Response:
        with self._lock:
            try:
                attempt = messages.attempt_of(request, self._takeover)
            except ConfigError as error:
                response.reason, response.epoch = str(error), self._core.epoch
                return response
            answer = self._core.open(attempt, request.device or "unknown", self._conditions())
            self._answered([answer])
        response.accepted, response.reason, response.epoch = answer.accepted, answer.reason, answer.epoch
        response.episode_id = attempt.episode_id if answer.accepted else ""
        return response

    # What it hears

    def _on_mode(self, mode: ControlMode) -> None:
        """Its own heartbeat, or that of an older supervisor that was discovered late: then it is too much here."""
        if mode.epoch < self._first_epoch:
            self._stopping.set()
            raise _not_alone()

    def _on_teleop_target(self, target: TeleopTarget) -> None:
        with self._lock:
            now_ns = self.clock.now_ns()
            not_tracked = self._alignment.not_tracked(target)
            if not_tracked is not None:
                self._watch.heard_operator(now_ns, not_tracked)
            # A target of another epoch was solved against a robot that has moved since.
            if self._core.mode is Mode.ALIGNING and target.epoch == self._core.epoch:
                self._alignment.take(now_ns, target)

    def _report(self) -> tuple[bytes, str, Mapping[str, object]]:
        with self._lock:
            state, conditions = self._core.state(), self._conditions()
        values = {
            "mode": state.mode,
            "epoch": state.epoch,
            "attempt": state.attempt.episode_id if state.attempt else "",
        }
        values |= {"policy": conditions.policy_problem or "ready", "recorder": conditions.recording_problem or "ready"}
        if state.attempt and conditions.recording_problem:
            return ERROR, f"not recording: {conditions.recording_problem}", values
        problem = "; ".join(conditions.not_ready)
        return (WARN, problem, values) if problem else (OK, str(state.mode), values)


class _Periodic:
    """Something to do at a rate. What comes late is done once and not made up for."""

    def __init__(self, rate_hz: float, work: Callable[[int], None]) -> None:
        self._period_ns, self._work = int(NS_PER_S / rate_hz), work
        self.due_ns = 0

    def run_if_due(self, now_ns: int) -> None:
        if now_ns >= self.due_ns:
            self._work(now_ns)
            self.due_ns = max(self.due_ns + self._period_ns, now_ns)


def _not_alone() -> ConfigError:
    return ConfigError(
        "another supervisor_node is already at work in this domain",
        "end the other deployment, or set another ROS_DOMAIN_ID",
    )


def main() -> None:
    """Run the node."""
    run(SupervisorNode)


if __name__ == "__main__":
    main()
