"""Stop plans: for every joint, a way to rest that breaks no limit, found and checked in closed form.

A plan has three phases of constant jerk with whole numbers of ticks: n1 ticks from the acceleration a to -c, n2 ticks
at -c, n3 ticks from -c to 0. In tick units (dt = 1, jerk limit 1, semi-implicit: a' = a + u, v' = v + a', p' = p + v')
the velocity is 0 at its end exactly when

    c = x / (n1 / 2 + n2 + n3 / 2),   x = v + a (n1 - 1) / 2.

Signs are mirrored so that the velocity which would remain after taking the acceleration back to 0 in whole ticks is
not negative. The lengths are guesses from the time-optimal stop, rounded up; n1 is also long enough to take a back to
0, so that a stop that is under way is recognised as one. n2 is the fewest ticks with c <= A. A plan is valid when

- jerk: |a + c| <= n1 and c <= n3;  acceleration: |a| <= A and 0 <= c <= A;
- velocity: |v| <= V and v + (a - d / 2)^2 / (2 d) <= V where a > d / 2, d = |a + c| / n1 being the size of the first
  jerk: the sum of the m first accelerations a - d, a - 2 d, ... is m a - d m (m + 1) / 2, largest at m = a / d - 1 / 2;
- position: with v >= 0 all velocities of the plan are >= 0 (the first phase is concave in v or all of it brakes, the
  others fall to 0), so it moves from p to its end and nowhere else. With v < 0 (a > 1/2 then) it first moves back by
  less than v^2 / (a - d / 2): |v| falls convexly, hence stays under its chord, hence needs at most 2 |v| / (a - d / 2)
  ticks to vanish, and the sum is less than the triangle.

The check is sufficient, not necessary: what it refuses, the filter does not do.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rove_core.joint_space import FloatArray

BoolArray = npt.NDArray[np.bool_]

# Slack for rounding in comparisons of quantities of order 1 to 1e5 in tick units; covered by the limits' own margin.
SLACK = 1e-9
_SLACK = np.array(SLACK)
_TINY = np.array(1e-12)
# Arrays without dimension: numpy takes them in two thirds of the time of a Python number.
_ZERO, _HALF, _ONE, _TWO, _THREE = np.array(0.0), np.array(0.5), np.array(1.0), np.array(2.0), np.array(3.0)
_SIXTH, _ONE_SLACK, _MINUS_SLACK = np.array(1 / 6), _ONE + _SLACK, -_SLACK


class StopPlanner:
    """Proposes and keeps one stop plan per joint. Everything in tick units, arrays of shape (dim,).

    Attributes:
        end: where the kept plans end [ticks' length unit]. lowest, highest: bounds of the positions on the way there.
    """

    def __init__(self, a_max: FloatArray, v_max: FloatArray) -> None:
        self._a_max = a_max
        self._a_slack, self._v_slack = a_max + _SLACK, v_max + _SLACK
        nothing = np.zeros(len(a_max))
        # sign, first jerk, c, n1, n2, n3, end, lowest, highest position; the first six in the mirrored frame
        self._kept: tuple[FloatArray, ...] = (nothing,) * 9
        self._new = self._kept
        self._age = self._young = nothing

    @property
    def end(self) -> FloatArray:
        return self._kept[6]

    @property
    def lowest(self) -> FloatArray:
        return self._kept[7]

    @property
    def highest(self) -> FloatArray:
        return self._kept[8]

    def propose(self, p: FloatArray, v: FloatArray, a: FloatArray, low: FloatArray, high: FloatArray) -> BoolArray:
        """Look for a plan from (p, v, a) inside [low, high]; true where one was found. NaN finds none."""
        a_size = np.abs(a)
        release = np.ceil(a_size)
        half_a = a * _HALF
        sign = np.copysign(_ONE, v + half_a * (release - _ONE))
        s_v = v * sign
        s_a = a * sign
        half_a = half_a * sign
        peak = np.minimum(np.sqrt(np.maximum(s_v + half_a * (s_a - _ONE), _TINY)), self._a_max)
        n1 = np.maximum(np.ceil(s_a + peak), release)
        n3 = np.ceil(peak + _HALF)
        x = s_v + half_a * (n1 - _ONE)
        mean = (n1 + n3) * _HALF
        n2 = np.maximum(np.ceil(x / self._a_slack - mean), _ZERO)
        c = x / (mean + n2)
        slope = (s_a + c) / n1
        d = np.abs(slope)
        # n1 (x + a) - d n1 (n1 + 1) (n1 + 2) / 6, then the phases that start with v = c (n2 + (n3 - 1) / 2).
        n1_more, n3_less = n1 + _ONE, n3 - _TWO
        late = c * (n2 * (n2 + n3_less) * _THREE + (n3_less + _ONE) * n3_less)
        travel = n1 * (x + s_a) + (late - slope * n1 * n1_more * (n1_more + _ONE)) * _SIXTH
        end = p + sign * travel
        drive = np.maximum(s_a - d * _HALF, _TINY)
        back = np.minimum(s_v, _ZERO)
        turn = p - sign * (back * back / drive)
        lowest = np.minimum(np.minimum(p, end), turn)
        highest = np.maximum(np.maximum(p, end), turn)
        top = np.maximum(np.abs(v), s_v + drive * drive / np.maximum(d + d, _TINY))
        good: BoolArray = (
            (d <= _ONE_SLACK)
            & (c <= np.minimum(n3, self._a_slack))
            & (c >= _MINUS_SLACK)
            & (a_size <= self._a_slack)
            & (top <= self._v_slack)
            & (lowest >= low)
            & (highest <= high)
        )
        self._new = (sign, slope, c, n1, n2, n3, end, lowest, highest)
        return good

    def accept_all(self) -> None:
        """Keep what was proposed last."""
        self._kept, self._age = self._new, self._young

    def accept(self, where: BoolArray) -> None:
        """Keep what was proposed last where `where`; elsewhere one more tick of the kept plan has been executed."""
        self._kept = tuple(np.where(where, new, kept) for new, kept in zip(self._new, self._kept, strict=True))
        self._age = np.where(where, _ZERO, self._age + _ONE)

    def next_jerk(self) -> FloatArray:
        """The next jerk of the kept plans."""
        sign, slope, c, n1, n2, n3 = self._kept[:6]
        since = self._age - (n1 + n2)
        last = np.where((since >= _ZERO) & (since < n3), c / np.maximum(n3, _ONE), _ZERO)
        return np.asarray(sign * np.where(self._age < n1, -slope, last))

    def finished(self) -> BoolArray:
        """Where the kept plans have come to rest."""
        n1, n2, n3 = self._kept[3:6]
        return np.asarray(self._age >= n1 + n2 + n3)
