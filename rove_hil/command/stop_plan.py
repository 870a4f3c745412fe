"""Stop plans: a way to rest that breaks no limit, found and checked in closed form, for one joint.

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

from typing import NamedTuple

import numpy as np

from rove_hil.command.compiled import scalar
from rove_hil.command.joint_record import Joint

# Slack for rounding in comparisons of quantities of order 1 to 1e5 in tick units; covered by the limits' own margin.
SLACK = 1e-9
_TINY = 1e-12


class StopPlan(NamedTuple):
    """Jerks that bring a joint to rest, in tick units.

    Attributes:
        found: whether the plan breaks no limit; the rest means nothing otherwise.
        first_jerk, last_jerk: of the first and third phase; the second has none.
        first_ticks, hold_ticks, last_ticks: whole numbers.
        end: position of rest. lowest, highest: bounds of the positions on the way, `end` included.
    """

    found: bool
    first_jerk: float
    last_jerk: float
    first_ticks: float
    hold_ticks: float
    last_ticks: float
    end: float
    lowest: float
    highest: float


@scalar
def plan_stop(joint: Joint, p: float, v: float, a: float) -> StopPlan:
    """Look for a plan from (p, v, a) inside the limits of `joint`. NaN finds none."""
    v_max, a_max = joint.v_max, joint.a_max
    a_size = abs(a)
    release = np.ceil(a_size)
    sign = 1.0 if v + a * (release - 1) / 2 >= 0 else -1.0
    v *= sign
    a *= sign

    peak = min(np.sqrt(max(v + a * (a - 1) / 2, _TINY)), a_max)
    n1 = max(np.ceil(a + peak), release)
    n3 = np.ceil(peak + 0.5)
    x = v + a * (n1 - 1) / 2
    mean = (n1 + n3) / 2
    n2 = max(np.ceil(x / (a_max + SLACK) - mean), 0.0)
    c = x / (mean + n2)
    slope = (a + c) / n1
    d = abs(slope)

    # The sum of the first phase's velocities; of the others', which start from v = c (n2 + (n3 - 1) / 2).
    first = n1 * (x + a) - slope * n1 * (n1 + 1) * (n1 + 2) / 6
    others = c * (n2 * (n2 + n3 - 2) * 3 + (n3 - 1) * (n3 - 2)) / 6
    end = p + sign * (first + others)
    lowest, highest = min(p, end), max(p, end)
    drive = max(a - d / 2, _TINY)
    top = v + drive * drive / (2 * max(d, _TINY)) if a > d / 2 else v
    if v < 0:
        turn = p - sign * v * v / drive
        lowest, highest = min(lowest, turn), max(highest, turn)

    found = (
        d <= 1 + SLACK
        and -SLACK <= c <= min(n3, a_max + SLACK)
        and a_size <= a_max + SLACK
        and abs(v) <= v_max + SLACK
        and top <= v_max + SLACK
        and lowest >= joint.low
        and highest <= joint.high
    )
    return StopPlan(found, -sign * slope, sign * c / n3, n1, n2, n3, end, lowest, highest)


@scalar
def keep_plan(joint: Joint, plan: StopPlan) -> None:
    """From now on `joint` can stop by `plan`, which starts with the next tick."""
    joint.plan_first_jerk, joint.plan_last_jerk = plan.first_jerk, plan.last_jerk
    joint.plan_first_ticks, joint.plan_hold_ticks = plan.first_ticks, plan.hold_ticks
    joint.plan_last_ticks, joint.plan_age = plan.last_ticks, 0.0
    joint.plan_end, joint.plan_lowest, joint.plan_highest = plan.end, plan.lowest, plan.highest


@scalar
def planned_jerk(joint: Joint) -> float:
    """The jerk that the kept plan has for the next tick; 0 when it is over."""
    if joint.plan_age < joint.plan_first_ticks:
        return joint.plan_first_jerk
    if joint.plan_age < joint.plan_first_ticks + joint.plan_hold_ticks or plan_is_over(joint):
        return 0.0
    return joint.plan_last_jerk


@scalar
def plan_is_over(joint: Joint) -> bool:
    """Whether the kept plan has brought the joint to rest."""
    return joint.plan_age >= joint.plan_first_ticks + joint.plan_hold_ticks + joint.plan_last_ticks
