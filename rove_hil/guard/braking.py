"""How far joints go on when they brake: from where they are, and after one more tick in which anything may happen.

The state of a joint is its last command p, and that command's finite differences v and a (`rove_hil.joint_filter`).
The filter keeps to |a' - a| <= J dt, |a'| <= A and |v'| <= V in every tick, so one more tick ends between the hardest
push each way, and the stop after it between the stops from there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rove_core.joint_space import FloatArray, JointSpace

_TINY = 1e-12
# The filter's stops are made of whole ticks, of the same size in each phase, and so go on longer than the time-optimal
# one: by two ticks or 8 ms at most, as measured at 100, 200 and 500 Hz (test_braking).
_ROUNDING_TICKS = 2.0
_ROUNDING_S = 0.008


@dataclass(frozen=True, slots=True)
class CommandState:
    """Where a command is and how it moves. Arrays of shape (dim,), JointSpace order.

    Attributes:
        position: [rad]. velocity: [rad/s]. acceleration: [rad/s^2]. rest: where it ends when it brakes now [rad].
    """

    position: FloatArray
    velocity: FloatArray
    acceleration: FloatArray
    rest: FloatArray


class Braking:
    """Where joints can come to rest."""

    def __init__(self, space: JointSpace, dt_s: float) -> None:
        """Args: dt_s: tick of the filter [s]."""
        self._dt_s = dt_s
        self._v_max, self._a_max, self._jerk = space.max_velocity, space.max_acceleration, space.max_jerk
        self._a_step = np.array([[-1.0], [1.0]]) * self._jerk * dt_s

    def ends(self, motion: CommandState, held: npt.NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest position of rest [rad] when joints brake after one more tick, free for all but `held`."""
        dt_s = self._dt_s
        a = np.minimum(np.maximum(motion.acceleration + self._a_step, -self._a_max), self._a_max)
        v = np.minimum(np.maximum(motion.velocity + a * dt_s, -self._v_max), self._v_max)
        low, high = motion.position + v * dt_s + self.stop_distance(v, a)
        late = np.abs(motion.velocity) + (np.abs(motion.acceleration) + 0.5 * self._jerk * dt_s) * dt_s
        late *= max(_ROUNDING_TICKS * dt_s, _ROUNDING_S)
        low, high = np.minimum(low - late, motion.rest), np.maximum(high + late, motion.rest)
        return np.where(held, motion.rest, low), np.where(held, motion.rest, high)

    def stop_distance(self, velocity: FloatArray, acceleration: FloatArray | float) -> FloatArray:
        """Way to rest [rad] of the time-optimal stop from `velocity` and `acceleration`, shapes (..., dim).

        Three phases: jerk against the motion to acceleration -c, hold it when c is the limit, jerk back to 0.
        """
        jerk = self._jerk
        half_square = acceleration * np.abs(acceleration) / (2 * jerk)
        sign = np.copysign(1.0, velocity + half_square)
        v, a = velocity * sign, acceleration * sign
        after = v + a * a / (2 * jerk)  # the velocity when the acceleration has come to 0
        c = np.minimum(np.sqrt(np.maximum(after, 0.0) * jerk), self._a_max)
        ramp_s, release_s = (a + c) / jerk, c / jerk
        hold_s = np.maximum(after, 0.0) / np.maximum(c, _TINY) - release_s
        v_hold = after - c * c / (2 * jerk)
        way = ramp_s * (v + ramp_s * (a / 2 - jerk * ramp_s / 6)) + hold_s * (v_hold - c * hold_s / 2)
        return np.asarray(sign * (way + jerk * release_s**3 / 6))

    def way(self, motion: CommandState, end: FloatArray, shares: FloatArray) -> FloatArray:
        """Positions on the way to rest at `end` [rad], shape (len(shares), dim).

        Joints brake evenly and each in its own time T = 2 way / velocity, no longer than its limits need:
        v t (1 - t / 2T).

        Args:
            shares: of the way of a joint that brakes longest, in (0, 1].
        """
        way, speed = end - motion.position, np.abs(motion.velocity)
        time_s = np.minimum(
            2 * np.abs(way) / np.maximum(speed, _TINY), speed / self._a_max + 2 * self._a_max / self._jerk
        )
        times = (1 - np.sqrt(1 - shares)) * time_s.max()
        part = np.minimum(times[:, None] / np.maximum(time_s, _TINY), 1.0)
        return np.asarray(motion.position + way * part * (2 - part))
