"""Lower bounds on the way to rest."""

from __future__ import annotations

import numpy as np

from rove_core.joint_space import JointSpace
from rove_hil.guard.braking import Braking, CommandState
from rove_hil.guard.clearance import Clearance
from rove_hil.guard.stop_check import Near, Stop, StopCheck, lowest_between

SPACE = JointSpace.load("iron_r01")
CLEARANCE = Clearance(SPACE)
CHECK = StopCheck(CLEARANCE, Braking(SPACE, 0.005))


def test_stops_that_are_found_safe_are_safe_all_the_way() -> None:
    """Against the gaps at two hundred poses of the way, from random states of all joints."""
    rng = np.random.default_rng(0)
    braking = Braking(SPACE, 0.005)
    judged_safe = judged_unsafe = 0
    for _ in range(30):
        start = SPACE.clip(SPACE.home + 0.5 * rng.standard_normal(SPACE.dim))
        velocity = rng.uniform(-0.5, 0.5, SPACE.dim) * SPACE.max_velocity
        rest = start + braking.stop_distance(velocity, 0.0)
        stop = Stop(CommandState(start, velocity, np.zeros(SPACE.dim), rest), rest, rest)
        reach = CHECK.reach(stop)
        rows = CLEARANCE.rows(start, reach + 0.02)
        unsafe = CHECK.unsafe(Near(rows, np.zeros(len(rows)), reach[rows.pair]), stop)
        truth = np.full(len(reach), np.inf)
        for q in braking.way(stop.state, rest, np.linspace(0.005, 1, 200)):
            along = CLEARANCE.rows(q, np.full(len(reach), 0.01))
            truth[along.pair] = np.minimum(truth[along.pair], along.gap)
        for pair in rows.pair.tolist():
            if pair in unsafe:
                judged_unsafe += 1
            else:
                judged_safe += 1
                assert truth[pair] > -0.002, CLEARANCE.name(pair)
        assert not (truth[np.setdiff1d(np.arange(len(reach)), rows.pair)] < 0).any()
    assert judged_safe > 100
    assert judged_unsafe > 10


def test_tangents_bound_a_convex_function_from_below() -> None:
    x = np.linspace(-2, 2, 41)
    values, slopes = x**2, 2 * x
    for step in (1, 5, 20):
        start = np.arange(0, len(x) - step)
        lowest = lowest_between(
            values[start], slopes[start] * step * 0.1, values[start + step], slopes[start + step] * step * 0.1
        )
        truth = np.array([values[first : first + step + 1].min() for first in start])
        assert (lowest <= truth + 1e-12).all()
        assert (lowest >= truth - (0.05 * step) ** 2 - 1e-12).all()
