"""What `rove bench filter` compares: the command filter, ruckig and a plain limiter, behind one signature."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rove_core.errors import RoveError
from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.joint_filter import JointFilter

Follower = Callable[[FloatArray, FloatArray], FloatArray]
"""Target position [rad] and velocity [rad/s] of all joints to the next command [rad]."""

# The plain limiter's gains [1/s]: stiffer ones follow sines better and ring at the jerk limit after a step.
LIMITER_POSITION_GAIN, LIMITER_VELOCITY_GAIN = 15.0, 60.0
# Beyond this share of the limit ruckig refuses a target velocity: it could not be reached without overshoot.
RUCKIG_VELOCITY_SHARE = 0.9


def followers(dt_s: float) -> dict[str, Callable[[JointSpace, FloatArray], Follower]]:
    """Makers of followers that start from a position at rest; `given`: with the target's velocity."""
    return {
        "rove_estimated_velocity": lambda space, start: _rove(space, start, dt_s, given=False),
        "rove_given_velocity": lambda space, start: _rove(space, start, dt_s, given=True),
        "ruckig_position": lambda space, start: _ruckig(space, start, dt_s, given=False),
        "ruckig_given_velocity": lambda space, start: _ruckig(space, start, dt_s, given=True),
        "limiter_position": lambda space, start: _limiter(space, start, dt_s, given=False),
        "limiter_given_velocity": lambda space, start: _limiter(space, start, dt_s, given=True),
    }


def _rove(space: JointSpace, start: FloatArray, dt_s: float, *, given: bool) -> Follower:
    joint_filter = JointFilter(space, dt_s)
    joint_filter.reset(start)

    def follow(position: FloatArray, velocity: FloatArray) -> FloatArray:
        return joint_filter.step(position, target_velocity=velocity if given else None).position

    return follow


def _ruckig(space: JointSpace, start: FloatArray, dt_s: float, *, given: bool) -> Follower:
    try:
        import ruckig
    except ImportError:
        raise RoveError("ruckig is not installed", "pip install ruckig (or rove_hil[bench])") from None
    otg = ruckig.Ruckig(space.dim, dt_s)
    state, output = ruckig.InputParameter(space.dim), ruckig.OutputParameter(space.dim)
    state.max_velocity, state.max_acceleration = space.max_velocity, space.max_acceleration
    state.max_jerk = space.max_jerk
    state.synchronization = ruckig.Synchronization.No
    state.current_position = start
    most = RUCKIG_VELOCITY_SHARE * space.max_velocity

    def follow(position: FloatArray, velocity: FloatArray) -> FloatArray:
        state.target_position = position
        if given:
            state.target_velocity = np.clip(velocity, -most, most)
        otg.update(state, output)
        output.pass_to_input(state)
        return np.array(output.new_position)

    return follow


def _limiter(space: JointSpace, start: FloatArray, dt_s: float, *, given: bool) -> Follower:
    """A cascade of clips, as many a teleoperation loop has: no guarantee for what comes out but the clips."""
    p, v, a = start.copy(), np.zeros(space.dim), np.zeros(space.dim)
    jump = space.max_jerk * dt_s

    def follow(position: FloatArray, velocity: FloatArray) -> FloatArray:
        nonlocal p, v, a
        wanted = LIMITER_POSITION_GAIN * (position - p) + (velocity if given else 0.0)
        wanted = np.clip(wanted, -space.max_velocity, space.max_velocity)
        change = np.clip(LIMITER_VELOCITY_GAIN * (wanted - v), -space.max_acceleration, space.max_acceleration)
        a = np.clip(change, a - jump, a + jump)
        v = v + a * dt_s
        p = p + v * dt_s
        return p

    return follow
