"""filter_node: the only publisher of commands, at 200 Hz from its own thread with absolute deadlines.

Callbacks only put what they got into mailboxes (deques, whose appends and pops need no lock); the control thread
empties them, asks the arbiter, filters and publishes. It waits for nothing but its deadline.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from rove_msgs.msg import ActionChunk, CommandTrace, ControlMode, TeleopTarget
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool

from rove_core.chunks import Chunk
from rove_core.clocks import NS_PER_S
from rove_core.errors import ConfigError, PolicyError, RoveError
from rove_core.joint_space import FloatArray, JointSpace
from rove_core.modes import Mode, Source
from rove_core.ros import stamps, topics
from rove_core.ros.node import ERROR, OK, WARN, RoveNode
from rove_core.ros.node import main as run
from rove_hil.command.arbiter import Arbiter
from rove_hil.command.decision import Decision, ModeState, OperatorTarget
from rove_hil.command.displacement import Displacement
from rove_hil.command.relaxation import Relaxation
from rove_hil.guard.braking import CommandState
from rove_hil.guard.command_guard import Guard
from rove_hil.joint_filter import FilterOutput, JointFilter
from rove_hil.ros import filter_messages as messages
from rove_hil.ros.command_output import command_output
from rove_hil.ros.filter_parameters import FilterParameters
from rove_hil.ros.measured_joints import MeasuredJoints

# How many of the last ticks the diagnostics look at: ten seconds at 200 Hz.
TICKS_KEPT = 2000
# Python hands the interpreter over every 5 ms by default: a callback could take a whole tick from the control thread.
GIL_SWITCH_S = 0.0005
# Messages that wait for the next tick; older ones are dropped first, only the newest count.
MAILBOX = 32
# How often the loop looks whether simulated time has begun, and how long its end is waited for [s of wall time].
WAIT_S = 0.01
JOIN_S = 2.0
# Whether somebody put the robot elsewhere is looked at every so many ticks.
DISPLACEMENT_TICKS = 10
# What cannot be read is told at most this often [s].
COMPLAINT_PERIOD_S = 5.0


class FilterNode(RoveNode):
    """Wires the arbiter and the joint filter to the graph."""

    NAME = "filter_node"

    def configure(self) -> None:
        p = self._settings = self.parameters(FilterParameters)
        self._space = JointSpace.load(p.robot)
        self._period_ns = round(NS_PER_S / p.rate_hz)
        self._filter = JointFilter(self._space, self._period_ns / NS_PER_S, p.margin_rad)
        self._guard = p.guard_of(self._space, self._period_ns / NS_PER_S)
        self._held_back_ticks = 0
        warn = self.get_logger().warning
        self._arbiter = Arbiter(self._space, p.arbiter_config(self._space, warn), p.motion(self._space, warn))
        self._displacement = Displacement()
        self._relaxation = Relaxation(p.relax_after_s)
        self._modes: deque[ModeState] = deque(maxlen=MAILBOX)
        self._chunks: deque[Chunk] = deque(maxlen=MAILBOX)
        self._operators: deque[OperatorTarget] = deque(maxlen=MAILBOX)
        self._measured = MeasuredJoints(self._space)
        self._ready = False
        self._tick = 0
        self._overruns = 0
        self._lateness_us: deque[float] = deque(maxlen=TICKS_KEPT)
        self._work_us: deque[float] = deque(maxlen=TICKS_KEPT)
        self._unreadable = 0
        self._last_reason = ""
        self._stopping = threading.Event()
        self._output = command_output(self, self._space, p.output, p.output_topic, p.output_joints, self._period_ns)
        self._relaxes = self.create_publisher(Bool, p.relax_topic, topics.QOS_ESTOP) if p.relax_topic else None
        self._traces = self.create_publisher(CommandTrace, topics.COMMAND_TRACE, topics.QOS_COMMAND_TRACE)
        self.create_subscription(JointState, topics.JOINT_STATES, self._measured.take, topics.QOS_JOINT_STATES)
        self.create_subscription(ControlMode, topics.MODE, self._on_mode, topics.QOS_MODE)
        self.create_subscription(ActionChunk, topics.CHUNK, self._on_chunk, topics.QOS_CHUNK)
        self.create_subscription(TeleopTarget, topics.TELEOP_TARGET, self._on_teleop, topics.QOS_TELEOP_TARGET)
        self.diagnose_with(self._report)

    def activate(self) -> None:
        self._stopping.clear()
        sys.setswitchinterval(GIL_SWITCH_S)
        # What exists now lives as long as the node: the collector need not walk it in the middle of a tick.
        gc.collect()
        gc.freeze()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        self._stopping.set()
        # Simulated time may have stopped for good; the daemon thread then ends with the process.
        self._thread.join(JOIN_S)

    # Mailboxes: called by the executor

    def _on_mode(self, msg: ControlMode) -> None:
        try:
            self._modes.append(messages.mode_of(msg, self._space, self.clock.now_ns()))
        except ConfigError as error:
            self._cannot_read(error)

    def _on_chunk(self, msg: ActionChunk) -> None:
        try:
            self._chunks.append(messages.chunk_of(msg, self.ros_to_control_ns))
        except PolicyError as error:
            self._cannot_read(error)

    def _on_teleop(self, msg: TeleopTarget) -> None:
        self._operators.append(messages.target_of(msg, self._space, self.ros_to_control_ns))

    def _cannot_read(self, error: RoveError) -> None:
        self._unreadable += 1
        self.get_logger().error(str(error), throttle_duration_sec=COMPLAINT_PERIOD_S)

    # The control thread

    def _run(self) -> None:
        self._prioritise()
        clock, period_ns = self.clock, self._period_ns
        while not self._stopping.is_set() and clock.now_ns() <= 0:
            self._stopping.wait(WAIT_S)
        deadline_ns = clock.now_ns()
        while not self._stopping.is_set():
            deadline_ns += period_ns
            clock.sleep_until_ns(deadline_ns)
            now_ns = clock.now_ns()
            late_ns = now_ns - deadline_ns
            if late_ns > period_ns:
                # A command that is more than a period late is skipped: a burst would break every limit in real time.
                missed = late_ns // period_ns
                self._overruns += missed
                deadline_ns += missed * period_ns
            self._lateness_us.append(late_ns * 1e-3)
            try:
                self._step(now_ns)
            except Exception as error:  # noqa: BLE001 - the thread's outermost edge: the driver's watchdog holds
                self.fail(f"control thread stopped, no more commands: {type(error).__name__}: {error}")
                return

    def _prioritise(self) -> None:
        priority = self._settings.realtime_priority
        if priority == 0:
            return
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
            self.get_logger().info(f"control thread runs with SCHED_FIFO priority {priority}")
        except OSError as error:
            self.get_logger().warning(
                f"SCHED_FIFO priority {priority} refused ({error.strerror}): "
                "give the user an rtprio limit or CAP_SYS_NICE"
            )

    def _step(self, now_ns: int) -> None:
        """One tick: empty the mailboxes, decide, filter, publish."""
        began_ns = time.perf_counter_ns()
        arbiter = self._arbiter
        while self._modes:
            arbiter.on_mode(self._modes.popleft())
        while self._chunks:
            arbiter.on_chunk(self._chunks.popleft(), now_ns)
        while self._operators:
            arbiter.on_operator(self._operators.popleft(), now_ns)
        if not self._ready and not self._start():
            return
        self._relax(now_ns)
        if self._tick % DISPLACEMENT_TICKS == 0:
            self._look_where_the_robot_is(now_ns)
        command = self._filter
        decision = arbiter.decide(now_ns, command.position, command.rest_position, command.at_rest)
        if self._guard is not None and not decision.held.all():
            decision = self._guarded(self._guard, decision)
        step_began_ns = time.perf_counter_ns()
        output = command.step(decision.target, target_velocity=decision.velocity, brake=decision.held)
        step_us = (time.perf_counter_ns() - step_began_ns) * 1e-3
        self._velocity, self._acceleration = output.velocity, output.acceleration
        self._publish(now_ns, decision, output, step_us)
        self._work_us.append((time.perf_counter_ns() - began_ns) * 1e-3)

    def _guarded(self, guard: Guard, decision: Decision) -> Decision:
        """`decision` without what would run the robot into itself or out of its workspace."""
        command = self._filter
        state = CommandState(command.position, self._velocity, self._acceleration, command.rest_position)
        verdict = guard.limit(state, decision.target, decision.velocity, decision.held)
        self._held_back_ticks += bool(verdict.reason)
        return replace(
            decision,
            target=verdict.target,
            velocity=verdict.velocity,
            held=decision.held | verdict.brake,
            hold_reason=decision.hold_reason or verdict.reason,
        )

    def _start(self) -> bool:
        """Begin at the measured joints; false until they came, for ever when their names are not the robot's."""
        known = self._measured.wrong_names
        self._ready = self._begin_at(self._measured.position())
        if self._measured.wrong_names != known:
            self.get_logger().fatal(f"{topics.JOINT_STATES}: {self._measured.wrong_names}; no command will be sent")
        if self._ready:
            self.get_logger().info("commands begin at the measured joint positions")
            if self._relaxes is not None:
                # A process before this one may have told it to relax.
                self._relaxes.publish(Bool(data=False))
        return self._ready

    def _begin_at(self, measured: FloatArray | None) -> bool:
        if measured is None:
            return False
        self._filter.reset(measured)
        self._velocity = self._acceleration = np.zeros(self._space.dim)
        self._arbiter.start(measured)
        return True

    def _look_where_the_robot_is(self, now_ns: int) -> None:
        """Nobody drives and the robot was put elsewhere: begin anew there, so that no command pulls it back."""
        mode, measured = self._arbiter.mode, self._measured.position()
        if self._relaxation.relaxed:
            self._begin_at(measured)
        elif measured is None or (mode is not None and mode.mode is not Mode.IDLE):
            self._displacement.reset()
        elif self._displacement.update(now_ns, self._filter.position, measured):
            self._displacement.reset()
            self.get_logger().warning("idle, and the robot stands elsewhere than commanded")
            self._begin_at(measured)

    def _relax(self, now_ns: int) -> None:
        """Let a driver that can relax do so after a fault; it takes hold again where the robot then is."""
        mode = self._arbiter.mode
        if self._relaxes is None or not self._relaxation.update(
            now_ns, None if mode is None else mode.mode, self._filter.at_rest
        ):
            return
        relaxed = self._relaxation.relaxed
        if not relaxed:
            self._begin_at(self._measured.position())
        self._relaxes.publish(Bool(data=relaxed))
        self.get_logger().warning("fault: the driver relaxes" if relaxed else "the driver takes hold again")

    def _publish(self, now_ns: int, decision: Decision, output: FilterOutput, step_us: float) -> None:
        stamp = stamps.to_msg(self.control_to_ros_ns(now_ns))
        self._output.publish(stamp, output.position, output.velocity)
        trace = messages.trace_of(stamp, now_ns, self._tick, self._arbiter.mode, decision, output)
        trace.step_us = step_us
        self._traces.publish(trace)
        self._tick += 1
        self._tell(decision)

    def _tell(self, decision: Decision) -> None:
        """Log why the robot holds, when that changes."""
        reason = decision.hold_reason
        if reason == self._last_reason:
            return
        self._last_reason = reason
        if reason:
            holds = decision.source in (Source.HOLD, Source.STOP)
            self.get_logger().info(f"holding: {reason}" if holds else reason)
        else:
            self.get_logger().info(f"driven by {decision.source.name.lower()}")

    def _report(self) -> tuple[bytes, str, Mapping[str, object]]:
        counters = self._arbiter.counters
        late, work = list(self._lateness_us), list(self._work_us)
        values: dict[str, object] = {
            "ticks": self._tick,
            "overruns": self._overruns,
            "lateness_p99_us": round(float(np.percentile(late, 99)), 1) if late else "",
            "work_p99_us": round(float(np.percentile(work, 99)), 1) if work else "",
            "hold_reason": self._last_reason,
            "held_back_ticks": self._held_back_ticks,
            "unreadable_messages": self._unreadable + self._measured.unreadable,
        }
        values |= {name: getattr(counters, name) for name in type(counters).__slots__}  # type: ignore[attr-defined]
        if self._measured.wrong_names:
            return ERROR, self._measured.wrong_names, values
        if not self._ready:
            return WARN, f"waiting for {topics.JOINT_STATES}", values
        return OK, self._last_reason or "driving", values


def main() -> None:
    """Run the node as a process."""
    run(FilterNode)


if __name__ == "__main__":
    main()
