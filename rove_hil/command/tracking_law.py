"""How a joint is moved onto its target: the next acceleration, before it is checked. One joint, in tick units.

The target is a point that moves with velocity and acceleration. Three rules, from fine to coarse:

- **On it**: within a narrow tube, a linear law with one triple pole, so that noise is not answered with full jerk.
- **Off it**: time-optimal. The acceleration whose time-optimal stop, relative to the target, ends at the target; by a
  secant over one tick (continuous closed form: the semi-implicit samples map exactly to a continuous triple integrator
  with piecewise constant jerk by v_c = v - a dt / 2, p_c = p - v dt + a dt^2 / 6).
- **Not past it**: a joint that fell behind a fast hand and hurries after it cannot brake as suddenly as the hand. So
  the place where the joint itself would come to rest lies no further than where the target is now or gets in
  `LOOK_AHEAD_S` (whichever is further), and no further than where the target would stop with this joint's brakes. A
  target that the joint can follow is followed without lag; one that it cannot is followed late, and not overshot.
"""

from __future__ import annotations

import numpy as np

from rove_hil.command.compiled import scalar
from rove_hil.command.joint_record import Joint

# A hand that moves as fast as hands do (1 rad in .3 s, minimum jerk) goes on for .08 s times its greatest speed.
# Longer: overshoots it; shorter: lags behind sines of .8 Hz and .6 rad.
LOOK_AHEAD_S = 0.07
# How far past that place noise of the target's estimated velocity may push: this long at its speed, and the tube.
TOLERANCE_S = 0.004

_TINY = 1e-12


@scalar
def next_acceleration(joint: Joint, aim: float, aim_v: float, aim_a: float, lowest: float, highest: float) -> float:
    """The acceleration of the next tick, within [lowest, highest], towards a target at `aim` at the end of it."""
    # Relative to the target, at the end of the last tick.
    error = joint.p - aim + aim_v
    w = joint.v - aim_v
    linear = joint.a - joint.gain_p * error - joint.gain_v * (w + aim_a) - joint.gain_a * (joint.a - aim_a)

    # Where the stop ends, relative to the target, for the lowest and the highest next acceleration.
    miss_low = error + w + lowest + stop_distance(w + lowest, lowest - aim_a, joint.a_max)
    miss_high = error + w + highest + stop_distance(w + highest, highest - aim_a, joint.a_max)
    per_miss = (highest - lowest) / max(miss_high - miss_low, _TINY)
    optimal = lowest - miss_low * per_miss
    wanted = min(max(linear, optimal - joint.tube * per_miss), optimal + joint.tube * per_miss)

    # How far past the furthest place that it may the joint would come to rest: now, and for both ends of the range.
    furthest = _furthest(joint, error, aim_v, aim_a)
    apart = error - aim_v - furthest
    past = apart + stop_distance(joint.v, joint.a, joint.a_max)
    past_low = apart + joint.v + lowest + stop_distance(joint.v + lowest, lowest, joint.a_max)
    past_high = apart + joint.v + highest + stop_distance(joint.v + highest, highest, joint.a_max)
    per_past = (highest - lowest) / max(past_high - past_low, _TINY)
    tolerance = TOLERANCE_S / joint.dt_s * abs(aim_v) + joint.tube
    # "Past" is ahead of a target that moves; of one that stands still, whichever side the joint is not on.
    if aim_v > 0 or past < tolerance:
        wanted = min(wanted, lowest + (tolerance - past_low) * per_past)
    if aim_v < 0 or past > -tolerance:
        wanted = max(wanted, lowest - (tolerance + past_low) * per_past)
    return min(max(wanted, lowest), highest)


@scalar
def _furthest(joint: Joint, error: float, aim_v: float, aim_a: float) -> float:
    """The furthest place where the joint may come to rest, from the target in its direction; `error` as above."""
    behind = max(-error if aim_v > 0 else error, 0.0)
    reach = max(LOOK_AHEAD_S / joint.dt_s * abs(aim_v) - behind, 0.0)
    return min(max(stop_distance(aim_v, aim_a, joint.a_max), -reach), reach)


@scalar
def fastest(v: float, v_max: float) -> float:
    """The greatest next acceleration after which `v_max` is kept: what taking it back to 0 adds counts."""
    # v + a' (a' + 1) / 2 <= v_max, solved for a'.
    return float(np.sqrt(max(2 * (v_max - v) + 0.25, 0.25)) - 0.5)


@scalar
def stop_distance(v: float, a: float, a_max: float) -> float:
    """How far a joint moves in its time-optimal stop from velocity `v` and acceleration `a`, as sampled.

    Three phases: jerk against the motion to acceleration -c, hold it when c is the limit, jerk back to 0.
    """
    sampled = a / 6 - v
    v -= a / 2
    square = a * a / 2
    sign = 1.0 if v + np.copysign(square, a) >= 0 else -1.0
    v *= sign
    a *= sign
    after = v + square
    total = max(after, 0.0)
    c = min(np.sqrt(total), a_max)
    ramp = a + c
    hold = total / max(c, _TINY) - c
    distance = ramp * (v + ramp * (a / 2 - ramp / 6)) + hold * (after - c * c / 2 - c * hold / 2) + c * c * c / 3
    return float(sampled + sign * distance)
