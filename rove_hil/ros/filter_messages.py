"""Messages as what the arbiter takes, and what it decides as messages."""

from __future__ import annotations

import array
from collections.abc import Callable

import numpy as np
from builtin_interfaces.msg import Time
from rove_msgs.msg import ActionChunk, CommandTrace, ControlMode, TeleopTarget

from rove_core.chunks import Chunk
from rove_core.errors import ConfigError, PolicyError, nearest
from rove_core.joint_space import FloatArray, JointSpace
from rove_core.modes import Mode, Stage, TakeoverWay
from rove_core.ros import stamps
from rove_hil.command.decision import Decision, ModeState, OperatorTarget
from rove_hil.joint_filter import FilterOutput

# A ROS stamp [ns] on the control clock.
ToControl = Callable[[int], int]


def mode_of(message: ControlMode, space: JointSpace, heard_ns: int) -> ModeState:
    """The supervisor's word. Raises ConfigError for what this version or this robot does not know."""
    try:
        mode, stage = Mode.from_number(message.mode), Stage(message.stage)
        way = TakeoverWay(message.takeover_way or TakeoverWay.ABSOLUTE)
    except ValueError as error:
        raise ConfigError(f"mode message: {error}") from None
    for group in message.operator_groups:
        if group not in space.groups:
            raise ConfigError(
                f"mode message: {space.robot} has no joint group '{group}', {nearest(group, space.groups)}"
            )
    return ModeState(
        mode=mode,
        stage=stage,
        epoch=message.epoch,
        episode_id=message.episode_id,
        heard_ns=heard_ns,
        way=way,
        operator_groups=tuple(message.operator_groups),
        policy_runs=message.policy_runs,
    )


def chunk_of(message: ActionChunk, to_control: ToControl) -> Chunk:
    """The policy's chunk. Raises PolicyError when it does not hold what it says."""
    data = np.frombuffer(message.data, dtype=np.float32)
    if message.horizon * message.dim != data.size or not data.size:
        raise PolicyError(f"chunk {message.chunk_id}: {data.size} numbers, expected {message.horizon} x {message.dim}")
    return Chunk(
        chunk_id=message.chunk_id,
        epoch=message.epoch,
        observation_ns=to_control(stamps.to_ns(message.observation_stamp)),
        positions=data.reshape(message.horizon, message.dim),
        dt_s=message.dt_s,
        execute=message.execute,
    )


def target_of(message: TeleopTarget, space: JointSpace, to_control: ToControl) -> OperatorTarget:
    """The operator's joints; groups that this robot does not have are left out."""
    valid = np.zeros(space.dim, dtype=np.bool_)
    for group, is_valid in zip(message.group, message.group_valid, strict=False):
        span = space.groups.get(group)
        if span is not None and is_valid:
            valid[span] = True
    return OperatorTarget(
        epoch=message.epoch,
        stamp_ns=to_control(stamps.to_ns(message.stamp)),
        source_ns=to_control(stamps.to_ns(message.source_stamp) or stamps.to_ns(message.stamp)),
        position=np.array(message.position),
        valid=valid,
    )


def trace_of(
    stamp: Time, now_ns: int, tick: int, mode: ModeState | None, decision: Decision, output: FilterOutput
) -> CommandTrace:
    """What one tick did, at control time `now_ns`."""
    trace = CommandTrace(stamp=stamp, mono_ns=now_ns, tick=tick)
    if mode is not None:
        trace.mode, trace.stage = mode.mode.number, int(mode.stage)
        trace.epoch, trace.episode_id = mode.epoch, mode.episode_id
    trace.source = int(decision.source)
    trace.chunk_id, trace.chunk_step = decision.chunk_id, decision.chunk_step
    trace.target, trace.sent = _doubles(decision.target), _doubles(output.position)
    if decision.operator_position is not None:
        trace.operator_position = _doubles(decision.operator_position)
    if decision.policy_position is not None:
        trace.policy_position = _doubles(decision.policy_position)
    trace.limited = array.array("B", output.limited.tobytes())
    trace.operator_authority = array.array("f", decision.authority.astype(np.float32).tobytes())
    trace.hold_reason = decision.hold_reason
    return trace


def _doubles(values: FloatArray) -> array.array[float]:
    return array.array("d", values.tobytes())
