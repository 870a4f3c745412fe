"""Other ways to give an operator the robot, fed with what the operator truly did, without latency."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rove_core.errors import RoveError
from rove_core.joint_space import FloatArray, JointSpace

# LeRobot's DAgger mode slides the follower to the teleoperator's pose for this long, and blocks meanwhile.
SLIDE_S = 1.0

Method = Callable[[JointSpace, float, FloatArray, FloatArray, FloatArray], FloatArray]
"""space, dt [s], last command (dim,) [rad], operator's positions (n, dim) [rad], velocities -> commands (n, dim)."""


def direct(_space: JointSpace, _dt_s: float, _last: FloatArray, operator: FloatArray, _rate: FloatArray) -> FloatArray:
    """The robot is told to be where the operator is, at once."""
    return operator.copy()


def slide(_space: JointSpace, dt_s: float, last: FloatArray, operator: FloatArray, _rate: FloatArray) -> FloatArray:
    """A straight line to where the operator was at the switch, then the operator."""
    share = np.minimum((np.arange(len(operator)) + 1) * dt_s / SLIDE_S, 1.0)[:, None]
    return np.where(share < 1.0, last + share * (operator[0] - last), operator)


def ruckig(space: JointSpace, dt_s: float, last: FloatArray, operator: FloatArray, rate: FloatArray) -> FloatArray:
    """Time-optimal inside the limits to a target that moves with the operator's velocity.

    Raises:
        RoveError: ruckig is not installed.
    """
    try:
        from ruckig import InputParameter, OutputParameter, Ruckig, Synchronization
    except ImportError:
        raise RoveError("ruckig is not installed", "pip install ruckig (or rove_hil[bench])") from None
    generator, state, output = Ruckig(space.dim, dt_s), InputParameter(space.dim), OutputParameter(space.dim)
    state.max_velocity, state.max_acceleration = space.max_velocity, space.max_acceleration
    state.max_jerk, state.synchronization = space.max_jerk, Synchronization.No
    state.current_position = last
    commands = np.empty_like(operator)
    for tick, (position, velocity) in enumerate(zip(operator, rate, strict=True)):
        state.target_position = position
        state.target_velocity = np.clip(velocity, -0.9 * space.max_velocity, 0.9 * space.max_velocity)
        generator.update(state, output)
        output.pass_to_input(state)
        commands[tick] = output.new_position
    return commands


METHODS: dict[str, Method] = {"direct_switch": direct, "linear_slide": slide, "ruckig_given_velocity": ruckig}
