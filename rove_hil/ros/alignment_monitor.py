"""The alignment gate on topics: operator targets in, `/rove/alignment` out."""

from __future__ import annotations

import json
import math

from rove_msgs.msg import Alignment, TeleopTarget

from rove_core.modes import TakeoverWay
from rove_core.ros import stamps
from rove_hil.supervision.alignment import AlignmentGate, GroupError
from rove_hil.supervision.attempt import Attempt, State


class AlignmentMonitor:
    """Feeds the gate and says what it sees. Call `begin` for every alignment."""

    def __init__(self, gate: AlignmentGate) -> None:
        self.gate = gate
        self._errors: dict[str, GroupError] = {}
        self._guidance: dict[str, str] = {}

    def begin(self, attempt: Attempt | None) -> None:
        """Another alignment: look at what the operator of `attempt` is going to drive."""
        groups = attempt.operator_groups if attempt is not None else ()
        # Clutched and blended, the robot follows the operator's motion: the pose may be any.
        absolute = attempt is None or attempt.takeover_way is TakeoverWay.ABSOLUTE
        self.gate.begin(groups, pose_matters=absolute)
        self._errors.clear()
        self._guidance.clear()

    def take(self, now_ns: int, target: TeleopTarget) -> None:
        """One operator target of this alignment. One that could not be solved says nothing: that is a gap."""
        if not target.converged:
            return
        self._errors = dict(_errors_of(target))
        self._guidance = dict(zip(target.group, target.guidance, strict=False))
        self.gate.update(now_ns, self._errors)

    def not_tracked(self, target: TeleopTarget) -> str | None:
        """The joint groups that the operator has to be tracked for and is not, "" when none; None: no pose at all."""
        tracked = {group for group, valid in zip(target.group, target.group_valid, strict=False) if valid}
        if not tracked & (self.gate.groups or tracked):
            return None
        return ", ".join(group for group in self.gate.required if group not in tracked)

    def errors_json(self, now_ns: int) -> str:
        """The errors of the last sample and what the gate says of them, as a JSON object."""
        groups = {group: _told(error) for group, error in self._errors.items()}
        return json.dumps({"gate": self.gate.state(now_ns).reason or "met", "groups": groups})

    def message(self, now_ns: int, ros_now_ns: int, state: State) -> Alignment:
        """What people see while they align."""
        gate, errors = self.gate, self._errors
        says = gate.state(now_ns)
        met = {group: gate.inside(group, error) for group, error in errors.items()}
        limits = [gate.limits(group) for group in errors]
        return Alignment(
            stamp=stamps.to_msg(ros_now_ns),
            epoch=state.epoch,
            group=list(errors),
            valid=[error.valid for error in errors.values()],
            met=list(met.values()),
            rms_rad=[error.rms_rad for error in errors.values()],
            max_rad=[error.max_rad for error in errors.values()],
            position_error_m=[error.position_m for error in errors.values()],
            rotation_error=[error.rotation_rad for error in errors.values()],
            rms_limit_rad=[limit.rms_rad for limit in limits],
            position_limit_m=[limit.position_m for limit in limits],
            rotation_limit=[limit.rotation_rad for limit in limits],
            guidance=["" if met[group] else self._guidance.get(group, "") for group in errors],
            gate_met=says.met,
            held_s=says.held_s,
            dwell_s=gate.dwell_s,
            operator_ready=state.operator_ready,
            reason=says.reason,
        )


def _errors_of(target: TeleopTarget) -> list[tuple[str, GroupError]]:
    """Per group. A sender that does not measure positions leaves those arrays empty."""
    count = len(target.group)
    nothing = [math.nan] * count
    rows = zip(
        target.group,
        target.alignment_rms,
        target.alignment_max,
        target.group_valid,
        target.alignment_position_m if len(target.alignment_position_m) == count else nothing,
        target.alignment_rotation if len(target.alignment_rotation) == count else nothing,
        strict=False,
    )
    return [(group, GroupError(*numbers)) for group, *numbers in rows]


def _told(error: GroupError) -> dict[str, float] | None:
    """The finite numbers of an error, None for a group that is not tracked."""
    if not error.valid:
        return None
    names = ("rms_rad", "max_rad", "position_m", "rotation_rad")
    return {name: round(value, 4) for name in names if math.isfinite(value := getattr(error, name))}
