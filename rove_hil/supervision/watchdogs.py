"""What the supervisor watches while the robot moves, and what it presses when something stops.

Pure: `Watch` is told what was heard and when, `judge` says which event that calls for.
All times are of the control clock [ns].
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rove_core.clocks import NS_PER_S
from rove_core.modes import Event, Mode

# Modes in which somebody moves the robot.
MOVING = (Mode.ROLLOUT, Mode.TAKEOVER)

# A policy whose answers come later than the chunks that they are for still moves the robot a step now and then: only
# what is followed for so long [s] ends a stall. Half of what is executed of a chunk by default (16 steps at 30 Hz).
FOLLOWED_S = 0.25


@dataclass(frozen=True, slots=True)
class Limits:
    """How long something may be missing [s]."""

    policy_stall_s: float = 2.0
    operator_stale_s: float = 0.3
    joint_states_stale_s: float = 0.5
    trace_stale_s: float = 0.5
    recorder_stale_s: float = 2.0
    camera_stale_s: float = 2.0
    ghost_stale_s: float = 1.0


@dataclass(slots=True)
class Watch:
    """When each part was heard last. None: never.

    Attributes:
        cameras: those that have to arrive before an attempt begins.
        operator: whether somebody has to be tracked before an attempt begins.
    """

    limits: Limits
    cameras: tuple[str, ...] = ()
    operator: bool = False
    joint_states_ns: int | None = None
    trace_ns: int | None = None
    teleop_ns: int | None = None
    ghost_ns: int | None = None
    recorder_ns: int | None = None
    recorder_fault: str = ""
    camera_ns: dict[str, int] = field(default_factory=dict)
    _tracked_ns: int | None = None
    _not_tracked: str = ""
    _hold_since_ns: int | None = None
    _hold_reason: str = ""
    _hold_epoch: int = -1
    _stalled_since_ns: int | None = None
    _followed_since_ns: int | None = None

    def heard_trace(self, now_ns: int, epoch: int, hold_reason: str) -> None:
        """The filter reported a tick of `epoch`; `hold_reason` says why it held, "" when it followed somebody."""
        self.trace_ns = now_ns
        another = epoch != self._hold_epoch
        if hold_reason:
            self._followed_since_ns = None
            if self._hold_since_ns is None or another:
                self._hold_since_ns = now_ns
            if self._stalled_since_ns is None or another:
                self._stalled_since_ns = now_ns
            self._hold_reason = hold_reason
        else:
            self._hold_since_ns = None
            if self._followed_since_ns is None:
                self._followed_since_ns = now_ns
            if another or now_ns - self._followed_since_ns > FOLLOWED_S * NS_PER_S:
                self._stalled_since_ns = None
        self._hold_epoch = epoch

    def heard_operator(self, now_ns: int, not_tracked: str) -> None:
        """A pose of the operator came; `not_tracked` names the joint groups that it lacks and needs."""
        self.teleop_ns, self._not_tracked = now_ns, not_tracked
        if not not_tracked:
            self._tracked_ns = now_ns

    def heard_recorder(self, now_ns: int, fault: str) -> None:
        """The recorder reported; `fault` is "" when it can record."""
        self.recorder_ns, self.recorder_fault = now_ns, fault

    def joint_states_problem(self, now_ns: int) -> str:
        """Why the robot's state cannot be trusted, "" when it can."""
        return _silent("joint states", self.joint_states_ns, now_ns, self.limits.joint_states_stale_s)

    def trace_problem(self, now_ns: int) -> str:
        """Why the filter cannot be trusted to move the robot, "" when it can."""
        return _silent("filter_node", self.trace_ns, now_ns, self.limits.trace_stale_s)

    def recorder_problem(self, now_ns: int) -> str:
        """Why an attempt would not be recorded, "" when it would be."""
        silent = _silent("recorder_node", self.recorder_ns, now_ns, self.limits.recorder_stale_s)
        return silent or (f"recorder_node cannot record: {self.recorder_fault}" if self.recorder_fault else "")

    def fault_cause(self, now_ns: int) -> str:
        """What makes it wrong to move the robot at all, "" when nothing does."""
        return self.joint_states_problem(now_ns) or self.trace_problem(now_ns)

    def not_ready(self, now_ns: int) -> tuple[str, ...]:
        """What has to be there before an attempt begins and is not, one line each."""
        limits = self.limits
        problems = [
            self.joint_states_problem(now_ns),
            self.trace_problem(now_ns),
            self.recorder_problem(now_ns),
            *(
                _silent(f"camera {name} (camera_info)", self.camera_ns.get(name), now_ns, limits.camera_stale_s)
                for name in self.cameras
            ),
        ]
        if self.operator and _silent("", self.ghost_ns, now_ns, limits.ghost_stale_s):
            problems.append("the operator is not tracked")
        return tuple(filter(None, problems))

    def judge(self, now_ns: int, mode: Mode, epoch: int, mode_since_ns: int) -> tuple[Event, str] | None:
        """The event that the situation calls for, with the reason, or None.

        Args:
            mode_since_ns: when `mode` began. Nothing is late before it could have been there.
        """
        if mode not in MOVING:
            return None
        if cause := self.fault_cause(now_ns):
            return Event.FAULT, cause
        current = self._hold_epoch == epoch
        if mode is Mode.ROLLOUT and current and self._stalled_since_ns is not None:
            stalled_ns = now_ns - max(self._stalled_since_ns, mode_since_ns)
            if stalled_ns > self.limits.policy_stall_s * NS_PER_S:
                return Event.POLICY_STALLED, f"no usable action for {stalled_ns / NS_PER_S:.1f} s: {self._hold_reason}"
        held_ns = 0
        if self._hold_since_ns is not None and current:
            held_ns = now_ns - max(self._hold_since_ns, mode_since_ns)
        if mode is Mode.TAKEOVER:
            limit_ns = self.limits.operator_stale_s * NS_PER_S
            unheard_ns = now_ns - max(self.teleop_ns or 0, mode_since_ns)
            if unheard_ns > limit_ns:
                return Event.OPERATOR_LOST, f"no operator pose for {unheard_ns / NS_PER_S:.2f} s"
            untracked_ns = now_ns - max(self._tracked_ns or 0, mode_since_ns)
            if untracked_ns > limit_ns:
                return Event.OPERATOR_LOST, f"{self._not_tracked} not tracked for {untracked_ns / NS_PER_S:.2f} s"
            if held_ns > limit_ns:
                return Event.OPERATOR_LOST, f"the filter holds for {held_ns / NS_PER_S:.2f} s: {self._hold_reason}"
        return None


def _silent(what: str, heard_ns: int | None, now_ns: int, limit_s: float) -> str:
    if heard_ns is None:
        return f"{what}: nothing heard yet"
    age_s = (now_ns - heard_ns) / NS_PER_S
    return f"{what}: nothing heard for {age_s:.1f} s" if age_s > limit_s else ""
