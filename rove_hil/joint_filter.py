"""The command filter: whatever comes in, what goes out stays inside the joints' limits.

**What is guaranteed.** Let p[k] be the emitted positions, one per tick of `dt_s`, and

    v[k] = (p[k] - p[k-1]) / dt,   a[k] = (v[k] - v[k-1]) / dt,   j[k] = (a[k] - a[k-1]) / dt

their finite differences; that is the definition of velocity, acceleration and jerk here, and these are the values
that `FilterOutput` carries. For any sequence of targets whatsoever, at every sample and for every joint:

    lower + margin <= p <= upper - margin,   |v| <= max_velocity,   |a| <= max_acceleration,   |j| <= max_jerk,

and the joint can come to rest (v = a = 0) inside all of those limits from where it is. A joint that starts outside
its position limits never moves further out, and comes back in.

**Why it holds.** The state of a joint is (p, v, a); the filter chooses the next acceleration a' with |a' - a| <= J dt,
then v' = v + a' dt, p' = p + v' dt (so the differences above are exactly v', a' and (a' - a) / dt). Beside the
state it keeps a *stop plan*: a finite sequence of accelerations, starting from the state, that ends at rest and
breaks no limit on the way. The invariant is "the stop plan is valid":

1. After `reset` it is valid: a state from which no plan was found is replaced by one at rest, whose plan is empty.
2. In each tick the tracking law proposes an acceleration, which is cut to the jerk limit. If a valid plan *from the
   successor state* is found (its check includes that state), the successor and its plan are taken. If not, the next
   acceleration of the plan in hand is executed; the rest of that plan is a valid plan from there, and after its end
   the joint is put exactly at rest. Either way the tick breaks no limit and the invariant holds after it.

So safety rests on the check of a plan alone (`command.stop_plan`), never on the tracking law being right, and
a law that proposes nonsense (or NaN) only makes the robot stop. A limit set inside by 1e-6 of itself absorbs rounding.

**How it tracks.** The target is taken as a point moving with estimated velocity and acceleration
(`command.target_estimator`), so a moving target is followed without steady lag; `command.tracking_law` says how.

The arithmetic of a tick is one loop over the joints, compiled (`command.compiled`). A target is finite and bounded
when it gets there: the estimator sees to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rove_core.errors import RoveError
from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.command.compiled import compiled, scalar
from rove_hil.command.joint_record import Joint, joint_records
from rove_hil.command.stop_plan import SLACK, keep_plan, plan_is_over, plan_stop, planned_jerk
from rove_hil.command.target_estimator import TargetEstimator
from rove_hil.command.tracking_law import fastest, next_acceleration

# Bits of FilterOutput.limited and CommandTrace.limited.
LIMITED_POSITION = 1
LIMITED_VELOCITY = 2
LIMITED_ACCELERATION = 4
LIMITED_JERK = 8
BAD_INPUT = 16

# Distance that is kept from the position limits: ten times the sensor noise of a good encoder.
POSITION_MARGIN_RAD = 0.002
# Bits of `limited` are set from this share of a limit on.
_AT_LIMIT = 1 - 1e-3
# Slower than this, in tick units, is rest but for rounding.
_REST = 1e-6

BoolArray = npt.NDArray[np.bool_]


class FilterStateError(RoveError, ValueError):
    """A state that the filter cannot start from."""


@dataclass(frozen=True, slots=True)
class FilterOutput:
    """One tick's command. Arrays have shape (dim,), JointSpace order, and belong to the caller.

    Attributes:
        position: [rad]. velocity: [rad/s]. acceleration: [rad/s^2]; finite differences of `position`.
        limited: uint8 bits per joint: 1 target outside position limits or braking for them, 2 velocity,
            4 acceleration, 8 jerk at its limit, 16 bad input (NaN, infinity or wrong shape).
    """

    position: FloatArray
    velocity: FloatArray
    acceleration: FloatArray
    limited: npt.NDArray[np.uint8]


class JointFilter:
    """Limits position, velocity, acceleration and jerk of all joints; see the module for the guarantee.

    First sample: `reset` must come before the first `step`. A bad target (NaN, infinity) makes that joint go to its
    last good target; before any, it stays. A dropped tick needs nothing: the next one goes on from the last command.
    There is no clock in here. At a position limit the joint comes to rest on it.
    """

    def __init__(self, space: JointSpace, dt_s: float, margin_rad: float = POSITION_MARGIN_RAD) -> None:
        """Compiles the arithmetic unless this machine has done so before: seconds the first time.

        Args:
            dt_s: tick [s].
            margin_rad: kept from the position limits, at most a quarter of a joint's range.

        Raises:
            FilterStateError: `dt_s` is not positive, or the margin is negative.
        """
        if not (np.isfinite(dt_s) and dt_s > 0) or not margin_rad >= 0:
            raise FilterStateError(f"filter: dt {dt_s} s and margin {margin_rad} rad, expected dt > 0 and margin >= 0")
        self.space, self.dt_s = space, float(dt_s)
        self._estimator = TargetEstimator(space, dt_s)
        self._joints = joint_records(space, self.dt_s, margin_rad)
        # The same memory; fields of a plain array are read ten times as fast as those of a np.recarray.
        self._fields = self._joints.view(np.ndarray)
        self._p_unit = np.array(self._joints.p_unit)
        self._no_brake = np.zeros(space.dim, dtype=np.bool_)
        self._reset = compiled(_reset_all, self._joints)
        rows, bits = np.empty((3, space.dim)), np.empty(space.dim, dtype=np.uint8)
        self._step = compiled(_step_all, self._joints, rows, self._no_brake, rows, bits)
        self._started = False
        self._at_rest = True

    @property
    def rest_position(self) -> FloatArray:
        """Where the joints come to rest when they brake from now on [rad], shape (dim,)."""
        self._check_started()
        return np.asarray(self._fields["plan_end"] * self._p_unit)

    @property
    def position(self) -> FloatArray:
        """The last command [rad], shape (dim,)."""
        self._check_started()
        return np.asarray(self._fields["p"] * self._p_unit)

    @property
    def at_rest(self) -> bool:
        """Whether the last command moved no joint, to within rounding."""
        self._check_started()
        return self._at_rest

    def reset(self, position: npt.ArrayLike, velocity: npt.ArrayLike | None = None) -> None:
        """Start from `position` [rad] and `velocity` [rad/s] (0 when None), shape (dim,), with no acceleration.

        A velocity from which the joint cannot stop inside its limits is replaced by 0.

        Raises:
            FilterStateError: wrong shape, NaN or infinity; names the joints.
        """
        p = self._checked(position, "position")
        v = np.zeros(self.space.dim) if velocity is None else self._checked(velocity, "velocity")
        self._estimator.reset(p)
        joints = self._joints
        joints.p, joints.v, joints.a = p / joints.p_unit, v / joints.v_unit, 0.0
        self._at_rest = self._reset(joints)
        self._started = True

    def step(
        self,
        target: npt.ArrayLike,
        *,
        target_velocity: npt.ArrayLike | None = None,
        brake: BoolArray | None = None,
    ) -> FilterOutput:
        """One tick towards `target` [rad], shape (dim,).

        Args:
            target_velocity: [rad/s], shape (dim,), when it is known; else it is estimated from the targets.
            brake: joints that come to rest along their stop plan and stay there exactly, whatever their target.

        Raises:
            FilterStateError: before `reset`, or `brake` has another shape. Bad targets are no errors.
        """
        self._check_started()
        aim, bad = self._estimator.update(target, target_velocity)
        command = np.empty((3, self.space.dim))
        limited = bad * np.uint8(BAD_INPUT)
        stopping = self._no_brake if brake is None else np.array(brake, dtype=np.bool_)
        if stopping.shape != self._no_brake.shape:
            raise FilterStateError(f"filter: brake has shape {stopping.shape}, expected {self._no_brake.shape}")
        self._at_rest = self._step(self._joints, aim, stopping, command, limited)
        return FilterOutput(command[0], command[1], command[2], limited)

    def _check_started(self) -> None:
        if not self._started:
            raise FilterStateError("filter: step before reset", "call reset with the measured joint positions first")

    def _checked(self, values: npt.ArrayLike, what: str) -> FloatArray:
        array = np.array(values, dtype=np.float64)
        if array.shape != (self.space.dim,):
            raise FilterStateError(f"filter: {what} has shape {array.shape}, expected ({self.space.dim},)")
        bad = ~np.isfinite(array)
        if bad.any():
            names = ", ".join(name for name, is_bad in zip(self.space.names, bad, strict=True) if is_bad)
            raise FilterStateError(f"filter: {what} is NaN or infinite for {names}")
        return array


def _reset_all(joints: Any) -> bool:
    """Give every joint a stop plan; one without is stopped. Returns whether all are at rest."""
    at_rest = True
    for i in range(len(joints)):
        joint = joints[i]
        joint.low = min(joint.lower, joint.p) - SLACK
        joint.high = max(joint.upper, joint.p) + SLACK
        plan = plan_stop(joint, joint.p, joint.v, joint.a)
        if not plan.found:
            joint.v = 0.0
            plan = plan_stop(joint, joint.p, joint.v, joint.a)
        keep_plan(joint, plan)
        at_rest = at_rest and joint.v == 0
    return at_rest


def _step_all(
    joints: Any, aim: FloatArray, brake: BoolArray, command: FloatArray, limited: npt.NDArray[np.uint8]
) -> bool:
    """One tick of all joints.

    Args:
        aim: position [rad], velocity [rad/s], acceleration [rad/s^2] of the targets, shape (3, dim).
        brake: shape (dim,).
        command: out, as `aim`. limited: gets bits set, shape (dim,).

    Returns:
        Whether all joints are at rest.
    """
    at_rest = True
    for i in range(len(joints)):
        joint = joints[i]
        limited[i] |= _step_joint(joint, aim[0, i], aim[1, i], aim[2, i], brake[i])
        command[0, i] = joint.p * joint.p_unit
        command[1, i] = joint.v * joint.v_unit
        command[2, i] = joint.a * joint.a_unit
        at_rest = at_rest and abs(joint.v) < _REST and abs(joint.a) < _REST
    return at_rest


@scalar
def _step_joint(joint: Joint, aim: float, aim_v: float, aim_a: float, brake: bool) -> int:
    """One tick of one joint towards `aim` [rad, rad/s, rad/s^2]. Returns bits of `limited`."""
    limited = 0
    aim, aim_v, aim_a = aim / joint.p_unit, aim_v / joint.v_unit, aim_a / joint.a_unit
    if not joint.lower <= aim <= joint.upper:
        # A target beyond a limit stands still on it.
        aim, aim_v, aim_a = min(max(aim, joint.lower), joint.upper), 0.0, 0.0
        limited |= LIMITED_POSITION

    least, most = joint.a - 1, joint.a + 1
    lowest, highest = max(least, -joint.a_max), min(most, joint.a_max)
    up, down = fastest(joint.v, joint.v_law), -fastest(-joint.v, joint.v_law)
    if up < highest or down > lowest:
        limited |= LIMITED_VELOCITY
    # The law may ask for what the velocity limit forbids when the jerk limit leaves nothing else; the plan decides.
    lowest, highest = min(max(lowest, down), most), max(min(highest, up), least)
    a = next_acceleration(joint, aim, aim_v, aim_a, lowest, highest)

    # From here on nothing depends on the law being right: this tick keeps the jerk limit, the plan checks all others.
    a = min(max(a, least), most)
    plan = plan_stop(joint, joint.p + joint.v + a, joint.v + a, a)
    if plan.found and not brake:
        keep_plan(joint, plan)
    else:
        if plan_is_over(joint):
            # At rest but for rounding, which would creep.
            joint.v = joint.a = 0.0
        a = joint.a + planned_jerk(joint)
        joint.plan_age += 1
        if not brake:
            limited |= LIMITED_POSITION
    if abs(a) > joint.a_max * _AT_LIMIT:
        limited |= LIMITED_ACCELERATION
    if abs(a - joint.a) > _AT_LIMIT:
        limited |= LIMITED_JERK
    joint.a = a
    joint.v += a
    joint.p += joint.v
    # A joint that began outside its limits may not go back out: its bounds follow it in.
    joint.low = min(joint.lower - SLACK, max(joint.low, joint.plan_lowest - SLACK))
    joint.high = max(joint.upper + SLACK, min(joint.high, joint.plan_highest + SLACK))
    return limited
