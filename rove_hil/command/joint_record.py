"""What the command filter knows of one joint: a record of the array that its compiled functions work on.

All in tick units (one tick = 1, the joint's jerk limit = 1), which saves most multiplications.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from rove_core.joint_space import JointSpace

# Rounding of positions of a few rad differenced three times at 1 kHz is 1e-9 of the jerk limit.
ROUNDING = 1e-6
# The law plans with a little less velocity than allowed, so that the plan check does not refuse at the limit itself.
LAW_VELOCITY_SHARE = 0.99
# Half width of the tube around the time-optimal surface in which the linear law works: the noise of a
# headset after smoothing, and below 1 % of a 1 rad step.
TUBE_RAD = 0.003
# The linear law's pole [1/s] is where it would ask for the full jerk at the edge of the tube, times this ...
POLE_SHARE = 0.8
# ... and at most this share of the tick rate, beyond which the sampled law rings.
POLE_MAX_PER_TICK = 0.35


class Joint(Protocol):
    """One joint's constants, state and stop plan."""

    # What one unit is [rad], [rad/s], [rad/s^2].
    p_unit: float
    v_unit: float
    a_unit: float
    # Limits, margins included; the law's velocity limit lies a little inside.
    lower: float
    upper: float
    v_max: float
    v_law: float
    a_max: float
    # The tracking law: half width of its tube, gains of position, velocity and acceleration inside of it, and the tick.
    tube: float
    gain_p: float
    gain_v: float
    gain_a: float
    dt_s: float
    # Where it is, and the positions that it may not leave: its limits, further out when it began outside of them.
    p: float
    v: float
    a: float
    low: float
    high: float
    # The stop plan (`stop_plan.StopPlan`), and how many ticks of it have been executed.
    plan_first_jerk: float
    plan_last_jerk: float
    plan_first_ticks: float
    plan_hold_ticks: float
    plan_last_ticks: float
    plan_end: float
    plan_lowest: float
    plan_highest: float
    plan_age: float


_RECORD = np.dtype([(name, np.float64) for name in Joint.__annotations__])


def joint_records(space: JointSpace, dt_s: float, margin_rad: float) -> Any:
    """The joints' constants, not started: np.recarray of `Joint`, shape (dim,)."""
    joints = np.zeros(space.dim, dtype=_RECORD).view(np.recarray)
    jerk = space.max_jerk * (1 - ROUNDING)
    joints.p_unit, joints.v_unit, joints.a_unit, joints.dt_s = jerk * dt_s**3, jerk * dt_s**2, jerk * dt_s, dt_s
    margin = np.minimum(margin_rad, (space.upper - space.lower) / 4)
    joints.lower = (space.lower + margin) / joints.p_unit
    joints.upper = (space.upper - margin) / joints.p_unit
    joints.v_max = space.max_velocity * (1 - ROUNDING) / joints.v_unit
    joints.v_law = joints.v_max * LAW_VELOCITY_SHARE
    joints.a_max = space.max_acceleration * (1 - ROUNDING) / joints.a_unit
    joints.tube = TUBE_RAD / joints.p_unit
    # Triple pole z = 1 - gap of e' = e + w', w' = w + b', b' = b - (gain_p e + gain_v w + gain_a b).
    gap = 1 - np.exp(-np.minimum(POLE_SHARE * (jerk / TUBE_RAD) ** (1 / 3) * dt_s, POLE_MAX_PER_TICK))
    joints.gain_p = gap**3
    joints.gain_v = 3 * gap**2 - 2 * gap**3
    joints.gain_a = 3 * gap - 3 * gap**2 + gap**3
    return joints
