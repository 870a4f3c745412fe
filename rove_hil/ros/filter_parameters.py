"""Parameters of filter_node, and what they configure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydantic import Field

from rove_core.config import ConfigModel
from rove_core.errors import ConfigError, nearest
from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.command.decision import ArbiterConfig
from rove_hil.command.palm_motion import PalmMotion
from rove_hil.command.ways import Motion, joint_motion
from rove_hil.guard.clearance import BODY_DISTANCE_M, HAND_DISTANCE_M, Clearance
from rove_hil.guard.command_guard import Guard


class FilterParameters(ConfigModel):
    """Parameters of filter_node."""

    robot: str = Field("iron_r01", description="robot name or YAML file")
    rate_hz: float = Field(200.0, ge=10, le=1000, description="commands per second [Hz]")
    margin_rad: float = Field(0.002, ge=0, le=0.1, description="kept from the joints' position limits [rad]")
    handover_s: float = Field(0.2, ge=0.02, le=5, description="time constant of a hand-over's offset [s]")
    handover_groups: tuple[str, ...] = Field(
        ("left_hand=0.1", "right_hand=0.1"), description="joint groups with another time constant, group=seconds"
    )
    chunk_join_s: float = Field(0.1, ge=0.01, le=2, description="time constant by which a new chunk joins [s]")
    mode_timeout_s: float = Field(0.5, ge=0.05, le=10, description="supervisor silent for longer than this: hold [s]")
    operator_timeout_s: float = Field(0.1, ge=0.01, le=2, description="operator target older than this: hold [s]")
    blend_weight: float = Field(
        1.0, ge=0, le=1, description="blended takeovers: share of the operator's motion that is added to the policy's"
    )
    blend_groups: tuple[str, ...] = Field(
        (), description="joint groups with another share, group=share; 0 leaves a group to the policy"
    )
    arm_motion: str = Field(
        "palm", description="clutch and blended takeovers: arms follow the operator's 'palm' or his 'joints'"
    )
    guard: str = Field(
        "off", description="'self_collision': slow and hold what would run into the robot itself; or 'off'"
    )
    guard_distance_m: float = Field(BODY_DISTANCE_M, ge=0, le=0.1, description="smallest distance of two parts [m]")
    guard_hand_distance_m: float = Field(
        HAND_DISTANCE_M,
        ge=-0.05,
        le=0.1,
        description="of two parts of two hands [m]; below 0 they may press each other",
    )
    workspace: str = Field("", description="YAML file of where the palms may be; empty: anywhere")
    output: str = Field("joint_state", description="message of commands: joint_state, position_array or trajectory")
    output_topic: str = Field("", description="topic of commands; empty: the usual one of that message")
    output_joints: tuple[str, ...] = Field(
        (), description="all joints in the order that the driver wants; empty: the robot file's order"
    )
    relax_topic: str = Field(
        "", description="std_msgs/Bool topic on which the driver can be told to relax in FAULT; empty: it cannot"
    )
    relax_after_s: float = Field(5.0, ge=0.5, le=3600, description="at rest in FAULT for this long: relax [s]")
    realtime_priority: int = Field(0, ge=0, le=99, description="SCHED_FIFO priority of the control thread, 0 is off")

    def arbiter_config(self, space: JointSpace, warn: Callable[[str], None]) -> ArbiterConfig:
        """Time limits and shares per joint.

        Args:
            warn: told of groups that this robot does not have.

        Raises:
            ConfigError: an entry is not group=number in its range.
        """
        return ArbiterConfig(
            handover_s=_per_joint("handover_groups", self.handover_groups, self.handover_s, (0.02, 5.0), space, warn),
            blend_weight=_per_joint("blend_groups", self.blend_groups, self.blend_weight, (0.0, 1.0), space, warn),
            chunk_join_s=self.chunk_join_s,
            mode_timeout_s=self.mode_timeout_s,
            operator_timeout_s=self.operator_timeout_s,
        )

    def guard_of(self, space: JointSpace, dt_s: float) -> Guard | None:
        """What stands before the filter; None when nothing was asked for. Raises ConfigError.

        Args:
            dt_s: tick of the filter [s].
        """
        if self.guard not in ("off", "self_collision"):
            raise ConfigError(f"parameter 'guard' is '{self.guard}', expected 'off' or 'self_collision'")
        if self.guard == "off" and not self.workspace:
            return None
        try:
            clearance = Clearance(
                space,
                self_collision=self.guard == "self_collision",
                workspace=Path(self.workspace) if self.workspace else None,
                body_distance_m=self.guard_distance_m,
                hand_distance_m=self.guard_hand_distance_m,
            )
        except (ValueError, KeyError) as error:
            raise ConfigError(f"guard: {error}") from None
        return Guard(space, dt_s, clearance)

    def motion(self, space: JointSpace, warn: Callable[[str], None]) -> Motion:
        """How the operator's motion becomes joint increments. Raises ConfigError."""
        if self.arm_motion not in ("palm", "joints"):
            raise ConfigError(f"parameter 'arm_motion' is '{self.arm_motion}', expected 'palm' or 'joints'")
        if self.arm_motion == "joints":
            return joint_motion
        try:
            return PalmMotion(space)
        except (ValueError, KeyError) as error:
            warn(f"clutch and blended takeovers carry the operator's joints, not his palms: {error}")
            return joint_motion


def _per_joint(
    parameter: str,
    entries: tuple[str, ...],
    otherwise: float,
    limits: tuple[float, float],
    space: JointSpace,
    warn: Callable[[str], None],
) -> FloatArray:
    """Values per joint, shape (dim,), from group=number entries."""
    values = np.full(space.dim, otherwise)
    for entry in entries:
        group, _, text = entry.partition("=")
        if group not in space.groups:
            warn(f"{parameter}: {space.robot} has no joint group '{group}', {nearest(group, space.groups)}")
            continue
        try:
            value = float(text)
        except ValueError:
            value = np.nan
        if not limits[0] <= value <= limits[1]:
            raise ConfigError(f"{parameter}: '{entry}', expected group=number from {limits[0]:g} to {limits[1]:g}")
        values[space.groups[group]] = value
    return values
