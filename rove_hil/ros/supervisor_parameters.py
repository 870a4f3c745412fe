"""Parameters of supervisor_node, and what they configure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pydantic import Field

from rove_core.config import ConfigModel
from rove_core.errors import ConfigError, nearest
from rove_core.joint_space import JointSpace
from rove_core.modes import TakeoverWay
from rove_hil.supervision.alignment import AlignmentGate, GroupLimits
from rove_hil.supervision.attempt import Rules
from rove_hil.supervision.takeover_choice import TakeoverChoice
from rove_hil.supervision.watchdogs import Limits


class SupervisorParameters(ConfigModel):
    """Parameters of supervisor_node."""

    robot: str = Field("iron_r01", description="robot, by name or YAML file")
    heartbeat_hz: float = Field(20.0, gt=0, le=200, description="rate of /rove/mode [Hz]")
    debounce_s: float = Field(
        0.25, ge=0, description="the same event from the same device within this is one press [s]"
    )
    stale_event_s: float = Field(1.0, gt=0, description="presses older than this are refused [s]")
    policy_stall_s: float = Field(2.0, gt=0, description="ROLLOUT without a usable action for longer pauses [s]")
    operator_stale_s: float = Field(
        0.3, gt=0, description="TAKEOVER without an operator pose for longer aligns again [s]"
    )
    joint_states_stale_s: float = Field(0.5, gt=0, description="moving without joint states for longer is a fault [s]")
    trace_stale_s: float = Field(
        0.5, gt=0, description="moving without a sign of filter_node for longer is a fault [s]"
    )
    recorder_stale_s: float = Field(
        2.0, gt=0, description="without a sign of recorder_node for longer no attempt starts [s]"
    )
    pause_warning_s: float = Field(60.0, gt=0, description="PAUSED for longer is worth a warning, never motion [s]")
    alignment: tuple[str, ...] = Field(
        ("head=0.5", "waist=0.5", "left_arm=0.3", "right_arm=0.3", "left_hand=0.8", "right_hand=0.8"),
        description="alignment gate: joint group=largest rms between operator and robot [rad]",
    )
    alignment_position: tuple[str, ...] = Field(
        ("left_arm=0.15", "right_arm=0.15"),
        description="alignment gate: joint group=how far palm, head or worst fingertip may be off [m]",
    )
    alignment_rotation: tuple[str, ...] = Field(
        ("left_arm=0.6", "right_arm=0.6"), description="alignment gate: joint group=how far palm or head may turn [rad]"
    )
    alignment_required: tuple[str, ...] = Field(
        ("left_arm", "right_arm"), description="groups that must be tracked before a takeover"
    )
    alignment_dwell_s: float = Field(0.4, ge=0, description="how long the gate must hold [s]")
    alignment_dwell: tuple[str, ...] = Field((), description="joint groups with another dwell, group=seconds")
    alignment_hz: float = Field(30.0, gt=0, le=200, description="rate of /rove/alignment while ALIGNING [Hz]")
    max_attempt_s: float = Field(
        180.0, ge=0, description="an attempt that takes longer is paused and people are asked [s]; 0: no limit"
    )
    confirm_reset: bool = Field(False, description="people set the scene between attempts: ask for it")
    cameras: tuple[str, ...] = Field((), description="cameras that must arrive before an attempt starts")
    operator: bool = Field(False, description="an operator must be tracked before an attempt starts")
    takeover_way: str = Field(
        "absolute", description="takeovers of attempts that do not say: absolute, clutch or blended"
    )
    takeover_groups: tuple[str, ...] = Field(
        (), description="joint groups that the operator drives in them, the policy keeps the others; empty: all"
    )

    def takeover(self) -> TakeoverChoice:
        """How takeovers go in attempts that do not say. Raises ConfigError."""
        known = TakeoverChoice(TakeoverWay.ABSOLUTE, (), tuple(JointSpace.load(self.robot).groups))
        return replace(known, way=known.way_of(self.takeover_way), groups=known.groups_of(self.takeover_groups))

    def rules(self) -> Rules:
        """Limits on presses and attempts."""
        return Rules(
            debounce_s=self.debounce_s,
            stale_s=self.stale_event_s,
            max_attempt_s=self.max_attempt_s,
            confirm_reset=self.confirm_reset,
        )

    def limits(self) -> Limits:
        """How long something may be missing."""
        return Limits(
            policy_stall_s=self.policy_stall_s,
            operator_stale_s=self.operator_stale_s,
            joint_states_stale_s=self.joint_states_stale_s,
            trace_stale_s=self.trace_stale_s,
            recorder_stale_s=self.recorder_stale_s,
        )

    def gate(self) -> AlignmentGate:
        """The alignment gate. Raises ConfigError."""
        known = tuple(JointSpace.load(self.robot).groups)
        rms = _per_group("alignment", self.alignment, known)
        position = _per_group("alignment_position", self.alignment_position, known)
        rotation = _per_group("alignment_rotation", self.alignment_rotation, known)
        nan = float("nan")
        limits = {
            group: GroupLimits(rms.get(group, nan), position.get(group, nan), rotation.get(group, nan))
            for group in known
            if group in {*rms, *position, *rotation}
        }
        return AlignmentGate(
            limits,
            required=self.alignment_required,
            dwell_s=self.alignment_dwell_s,
            dwells=_per_group("alignment_dwell", self.alignment_dwell, known),
        )


def _per_group(parameter: str, items: Iterable[str], known: tuple[str, ...]) -> Mapping[str, float]:
    """The numbers of "group=number" items. Raises ConfigError."""
    numbers: dict[str, float] = {}
    for item in items:
        group, _, number = item.partition("=")
        if group not in known:
            raise ConfigError(f"parameter '{parameter}': the robot has no group '{group}'", nearest(group, known))
        try:
            numbers[group] = float(number)
        except ValueError:
            raise ConfigError(f"parameter '{parameter}': '{item}' is not group=number") from None
    return numbers
