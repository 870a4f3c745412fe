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
2. In each tick the tracking law proposes a successor state. If a valid plan *from the successor* is found, the
   successor and its plan are taken. If not, the next acceleration of the plan in hand is executed; the rest of that
   plan is a valid plan from there. Either way the tick breaks no limit and the invariant holds after it.

So safety rests on the check of a plan alone (`rove_hil.stop_plan`), never on the tracking law being right, and
a law that proposes nonsense (or NaN) only makes the robot stop. A limit set inside by 1e-6 of itself absorbs rounding.

**How it tracks.** The target is taken as a point moving with estimated velocity and acceleration
(`rove_hil.target_estimator`), so a moving target is followed without steady lag. Far from it the law is time-optimal:
it picks the acceleration whose time-optimal stop (relative to the target) ends at the target, by a secant over one tick
(continuous closed form; the semi-implicit samples map exactly to a continuous triple integrator with piecewise constant
jerk by v_c = v - a dt / 2, p_c = p - v dt + a dt^2 / 6). Within `TUBE_RAD` of that surface a linear law with one
triple pole takes over, so that noise is not answered with full jerk.

All quantities inside are in tick units (jerk limit = 1, tick = 1), which saves most multiplications.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rove_core.errors import RoveError
from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.stop_plan import SLACK, StopPlanner
from rove_hil.target_estimator import TargetEstimator

# Bits of FilterOutput.limited and CommandTrace.limited.
LIMITED_POSITION = 1
LIMITED_VELOCITY = 2
LIMITED_ACCELERATION = 4
LIMITED_JERK = 8
BAD_INPUT = 16

# Distance that is kept from the position limits: ten times the sensor noise of a good encoder.
POSITION_MARGIN_RAD = 0.002
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

# Bits of `limited` are set from this share of a limit on.
_AT_LIMIT = 1 - 1e-3

# Arrays without dimension: numpy takes them in two thirds of the time of a Python number.
_ZERO, _QUARTER, _HALF, _ONE, _TWO = np.array(0.0), np.array(0.25), np.array(0.5), np.array(1.0), np.array(2.0)
_THIRD, _SIXTH, _TINY = np.array(1 / 3), np.array(1 / 6), np.array(1e-12)
_JERK_FLAG = np.array(_AT_LIMIT)

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
        """Args: dt_s: tick [s]. margin_rad: kept from the position limits, at most a quarter of a joint's range.

        Raises:
            FilterStateError: `dt_s` is not positive, or the margin is negative.
        """
        if not (np.isfinite(dt_s) and dt_s > 0) or not margin_rad >= 0:
            raise FilterStateError(f"filter: dt {dt_s} s and margin {margin_rad} rad, expected dt > 0 and margin >= 0")
        self.space, self.dt_s = space, float(dt_s)
        margin = np.minimum(margin_rad, (space.upper - space.lower) / 4)
        jerk = space.max_jerk * (1 - ROUNDING)
        self._a_unit, self._v_unit, self._p_unit = jerk * dt_s, jerk * dt_s**2, jerk * dt_s**3
        self._a_max = space.max_acceleration * (1 - ROUNDING) / self._a_unit
        self._v_max = space.max_velocity * (1 - ROUNDING) / self._v_unit
        self._a_min, self._a_flag = -self._a_max, self._a_max * _AT_LIMIT
        self._a_pair = np.stack((self._a_max, self._a_max))
        self._v_head = self._v_max * (2 * LAW_VELOCITY_SHARE) + 0.25
        self._lower, self._upper = (space.lower + margin) / self._p_unit, (space.upper - margin) / self._p_unit
        self._tube = TUBE_RAD / self._p_unit
        pole = np.minimum(POLE_SHARE * (jerk / TUBE_RAD) ** (1 / 3) * dt_s, POLE_MAX_PER_TICK)
        gap = 1 - np.exp(-pole)
        # Triple pole z = 1 - gap of e' = e + w', w' = w + b', b' = b - (k_e e + k_w w + k_b b).
        self._k_e = gap**3
        self._k_w = 3 * gap**2 - 2 * gap**3
        self._k_b = 3 * gap - 3 * gap**2 + gap**3
        self._estimator = TargetEstimator(space, dt_s)
        self._planner = StopPlanner(self._a_max, self._v_max)
        self._flags = np.zeros((5, space.dim), dtype=np.bool_)
        self._b, self._w = np.empty((2, space.dim)), np.empty((2, space.dim))
        self._position: FloatArray | None = None
        self._velocity = np.zeros(space.dim)
        self._acceleration = np.zeros(space.dim)

    @property
    def rest_position(self) -> FloatArray:
        """Where the joints come to rest when they brake from now on [rad], shape (dim,)."""
        self._started()
        return self._planner.end * self._p_unit

    @property
    def position(self) -> FloatArray:
        """The last command [rad], shape (dim,)."""
        return self._started() * self._p_unit

    @property
    def at_rest(self) -> bool:
        """Whether the last command moved no joint, to within rounding."""
        self._started()
        return bool(np.abs(self._velocity).max() < 1e-6 and np.abs(self._acceleration).max() < 1e-6)

    def reset(self, position: npt.ArrayLike, velocity: npt.ArrayLike | None = None) -> None:
        """Start from `position` [rad] and `velocity` [rad/s] (0 when None), shape (dim,), with no acceleration.

        A velocity from which the joint cannot stop inside its limits is replaced by 0.

        Raises:
            FilterStateError: wrong shape, NaN or infinity; names the joints.
        """
        p = self._checked(position, "position")
        v = np.zeros(self.space.dim) if velocity is None else self._checked(velocity, "velocity")
        self._estimator.reset(p)
        self._position = p / self._p_unit
        self._velocity, self._acceleration = v / self._v_unit, np.zeros(self.space.dim)
        self._low = np.minimum(self._lower, self._position) - SLACK
        self._high = np.maximum(self._upper, self._position) + SLACK
        self._outside = bool((self._low < self._lower - SLACK).any() or (self._high > self._upper + SLACK).any())
        planned = self._planner.propose(self._position, self._velocity, self._acceleration, self._low, self._high)
        self._velocity = np.where(planned, self._velocity, 0.0)
        self._planner.propose(self._position, self._velocity, self._acceleration, self._low, self._high)
        self._planner.accept_all()

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
        """
        position = self._started()
        aim, aim_v, aim_a, bad = self._estimator.update(target, target_velocity)
        aim = aim / self._p_unit
        clipped = np.minimum(np.maximum(aim, self._lower), self._upper)
        flags = self._flags
        np.not_equal(clipped, aim, flags[0])
        np.copyto(flags[4], bad)
        if np.count_nonzero(flags[0]):  # a target beyond a limit stands still on it
            still = ~flags[0]
            aim_v, aim_a = aim_v * still, aim_a * still
        lowest, highest = self._reachable(flags[1])
        wanted = self._law(position - clipped, aim_v / self._v_unit, aim_a / self._a_unit, lowest, highest)
        acceleration = self._certified(position, wanted, brake)
        velocity = self._velocity + acceleration
        refused = acceleration != wanted
        flags[0] |= refused if brake is None else refused & ~brake
        np.greater(np.abs(acceleration), self._a_flag, flags[2])
        np.greater(np.abs(acceleration - self._acceleration), _JERK_FLAG, flags[3])
        self._position = position + velocity
        self._velocity, self._acceleration = velocity, acceleration
        if self._outside:
            self._come_in()
        limited = np.packbits(flags, axis=0, bitorder="little")[0]
        return FilterOutput(
            self._position * self._p_unit, velocity * self._v_unit, acceleration * self._a_unit, limited
        )

    def _reachable(self, bound: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Accelerations of the next tick inside jerk, acceleration and velocity limits; `bound`: velocity decides."""
        # The velocity after taking a' back to 0 is v + a' (a' + 1) / 2: solve it for the limit.
        up = np.sqrt(np.maximum(self._v_head - self._velocity * _TWO, _QUARTER)) - _HALF
        down = _HALF - np.sqrt(np.maximum(self._v_head + self._velocity * _TWO, _QUARTER))
        least, most = self._acceleration - _ONE, self._acceleration + _ONE
        hardest = np.minimum(most, self._a_max)
        softest = np.maximum(least, self._a_min)
        np.logical_or(up < hardest, down > softest, bound)
        return np.minimum(np.maximum(down, softest), most), np.maximum(np.minimum(up, hardest), least)

    def _law(
        self, error: FloatArray, aim_v: FloatArray, aim_a: FloatArray, lowest: FloatArray, highest: FloatArray
    ) -> FloatArray:
        """The acceleration to track with: the linear law inside the time-optimal tube."""
        error = error + aim_v
        w = self._velocity - aim_v
        wanted = self._acceleration - self._k_e * error - self._k_w * (w + aim_a)
        wanted -= self._k_b * (self._acceleration - aim_a)
        # Where the time-optimal stop ends, relative to the target, for the hardest and the softest next tick.
        b, speed = self._b, self._w
        np.subtract(lowest, aim_a, b[0])
        np.subtract(highest, aim_a, b[1])
        np.add(w, lowest, speed[0])
        np.add(w, highest, speed[1])
        distance = _stop_distance(speed - b * _HALF, b, self._a_pair)
        distance += b * _SIXTH
        distance += error
        # Secant over the tick; then the tube's half width as an acceleration.
        per_miss = (highest - lowest) / np.maximum(distance[1] - distance[0], _TINY)
        middle = lowest - distance[0] * per_miss
        width = self._tube * per_miss
        wanted = np.minimum(np.maximum(wanted, middle - width), middle + width)
        return np.asarray(np.minimum(np.maximum(wanted, lowest), highest))

    def _certified(self, position: FloatArray, wanted: FloatArray, brake: BoolArray | None) -> FloatArray:
        """`wanted` where a stop plan exists after it (and no brake is asked for), else the next step of the plan."""
        planner = self._planner
        velocity = self._velocity + wanted
        good = planner.propose(position + velocity, velocity, wanted, self._low, self._high)
        if brake is not None:
            good &= ~brake
        if np.count_nonzero(good) == len(good):
            planner.accept_all()
            return wanted
        acceleration = np.where(good, wanted, self._acceleration + planner.next_jerk())
        if brake is not None:
            # A plan that has run out ends at rest but for rounding, which would creep.
            done = brake & planner.finished()
            acceleration = np.where(done, -self._velocity, acceleration)
        planner.accept(good)
        return acceleration

    def _come_in(self) -> None:
        """A joint that started outside may not go back out: its limits follow it in."""
        self._low = np.minimum(self._lower - SLACK, np.maximum(self._low, self._planner.lowest - SLACK))
        self._high = np.maximum(self._upper + SLACK, np.minimum(self._high, self._planner.highest + SLACK))
        self._outside = bool((self._low < self._lower - SLACK).any() or (self._high > self._upper + SLACK).any())

    def _started(self) -> FloatArray:
        if self._position is None:
            raise FilterStateError("filter: step before reset", "call reset with the measured joint positions first")
        return self._position

    def _checked(self, values: npt.ArrayLike, what: str) -> FloatArray:
        array = np.array(values, dtype=np.float64)
        if array.shape != (self.space.dim,):
            raise FilterStateError(f"filter: {what} has shape {array.shape}, expected ({self.space.dim},)")
        bad = ~np.isfinite(array)
        if bad.any():
            names = ", ".join(name for name, is_bad in zip(self.space.names, bad, strict=True) if is_bad)
            raise FilterStateError(f"filter: {what} is NaN or infinite for {names}")
        return array


def _stop_distance(w: FloatArray, b: FloatArray, a_max: FloatArray) -> FloatArray:
    """Distance to rest of the time-optimal stop from velocity `w` and acceleration `b`, tick units.

    Three phases: jerk against the motion to acceleration -c, hold it when c is the limit, jerk back to 0.
    """
    square = b * b * _HALF
    sign = np.copysign(_ONE, w + np.copysign(square, b))
    w = w * sign
    b = b * sign
    after = w + square
    total = np.maximum(after, _ZERO)
    c = np.minimum(np.sqrt(total), a_max)
    ramp = b + c
    c2 = c * c * _HALF
    hold = total / np.maximum(c, _TINY) - c
    distance = ramp * (w + ramp * (b * _HALF - ramp * _SIXTH))
    distance += hold * (after - c2 - c * hold * _HALF)
    distance += c2 * c * _THIRD
    return np.asarray(distance * sign)
