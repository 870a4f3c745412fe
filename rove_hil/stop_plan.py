"""Stop plans: for every joint, a way to rest that breaks no limit, found and checked in closed form.

A plan has three phases of constant jerk with whole numbers of ticks: n1 ticks from the acceleration a to -c, n2 ticks at
-c, n3 ticks from -c to 0. In tick units (dt = 1, jerk limit 1, semi-implicit: a' = a + u, v' = v + a', p' = p + v') the
velocity is 0 at its end exactly when

    c = (v + a (n1 - 1) / 2) / (n1 / 2 + n2 + n3 / 2),

so the phase lengths are the time-optimal ones rounded up and c follows. Signs are mirrored so that the velocity which
would remain after taking the acceleration back to 0 is not negative. A plan is valid when

- jerk: |a + c| <= n1 and c <= n3;  acceleration: |a| <= A and 0 <= c <= A;
- velocity: |v| <= V and v + a^2 / (2 d) <= V where a > 0, d = (a + c) / n1 being the size of the first jerk
  (a sum of falling accelerations is less than the triangle around it);
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

# Slack for rounding in comparisons of quantities of order 1 to 1e5 in tick units; covered by the limits' own margin.
_SLACK = 1e-9
_TINY = 1e-12


class StopPlanner:
    """Proposes and keeps one stop plan per joint. Everything in tick units, arrays of shape (dim,).

    Attributes:
        end: where the kept plans end. lowest, highest: bounds of the positions on the way there.
    """

    def __init__(self, a_max: FloatArray, v_max: FloatArray) -> None:
        dim = len(a_max)
        self._a_max, self._v_max = a_max, v_max
        # Rows: jerk 1, jerk 3, end of phases 1, 2, 3 [ticks since the plan was made], end, lowest, highest position.
        self._kept = np.zeros((8, dim))
        self._new = np.zeros((8, dim))
        self._age = np.zeros(dim)

    @property
    def end(self) -> FloatArray:
        return np.asarray(self._kept[5])

    @property
    def lowest(self) -> FloatArray:
        return np.asarray(self._kept[6])

    @property
    def highest(self) -> FloatArray:
        return np.asarray(self._kept[7])

    def propose(
        self, p: FloatArray, v: FloatArray, a: FloatArray, low: FloatArray, high: FloatArray
    ) -> npt.NDArray[np.bool_]:
        """Look for a plan from (p, v, a) inside [low, high]; true where one was found. NaN finds none."""
        new = self._new
        half = a * 0.5
        sign = np.where(v - half + half * np.abs(a) < 0, -1.0, 1.0)
        s_v = v * sign
        s_a = a * sign
        total = np.maximum(s_v + s_a * (s_a - 1) * 0.5, 0)
        peak = np.minimum(np.sqrt(total), self._a_max)
        n1 = np.maximum(np.ceil(s_a + peak), 1)
        n3 = np.maximum(np.ceil(peak), 1)
        n2 = np.maximum(np.ceil(total / np.maximum(peak, _TINY) - peak - _SLACK), 0)
        c = (s_v + s_a * (n1 - 1) * 0.5) / ((n1 + n3) * 0.5 + n2)
        drop = s_a + c
        d = np.abs(drop) / n1
        v1 = s_v + n1 * s_a - drop * (n1 + 1) * 0.5
        travel = (
            n1 * s_v
            + (n1 + 1) * 0.5 * (s_a * n1 - drop * (n1 + 2) * (1 / 3))
            + n2 * (v1 - c * (n2 + 1) * 0.5)
            + c * (n3 - 1) * (n3 - 2) * (1 / 6)
        )
        end = p + sign * travel
        back = np.minimum(s_v, 0)
        turn = p - sign * (back * back / np.maximum(s_a - d * 0.5, 0.5 * _TINY))
        lowest = np.minimum(np.minimum(p, end), turn)
        highest = np.maximum(np.maximum(p, end), turn)
        rise = np.maximum(s_a, 0)
        good = (
            (np.abs(drop) <= n1 + _SLACK)
            & (c <= np.minimum(n3, self._a_max) + _SLACK)
            & (c >= -_SLACK)
            & (np.abs(a) <= self._a_max + _SLACK)
            & (np.maximum(np.abs(v), s_v + rise * rise / np.maximum(2 * d, _TINY)) <= self._v_max + _SLACK)
            & (lowest >= low - _SLACK)
            & (highest <= high + _SLACK)
        )
        new[0] = -sign * drop / n1
        new[1] = sign * c / n3
        new[2] = n1
        new[3] = n1 + n2
        new[4] = new[3] + n3
        new[5] = end
        new[6] = lowest
        new[7] = highest
        return np.asarray(good)

    def accept_all(self) -> None:
        """Keep what was proposed last."""
        self._kept, self._new = self._new, self._kept
        self._age = np.zeros(len(self._age))

    def accept(self, where: npt.NDArray[np.bool_]) -> None:
        """Keep what was proposed last where `where`; elsewhere one more tick of the kept plan has been executed."""
        self._kept = np.where(where, self._new, self._kept)
        self._age = np.where(where, 0.0, self._age + 1)

    def next_jerk(self) -> FloatArray:
        """The next jerk of the kept plans."""
        u1, u3, end1, end2, end3 = self._kept[:5]
        age = self._age
        later = np.where((age >= end2) & (age < end3), u3, 0.0)
        return np.asarray(np.where(age < end1, u1, later))
