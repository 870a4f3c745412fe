"""Every plan that is found is executed here tick by tick: it ends at rest and breaks no limit on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from rove_core.joint_space import JointSpace
from rove_hil.command.compiled import compiled
from rove_hil.command.joint_record import joint_records
from rove_hil.command.stop_plan import SLACK, keep_plan, plan_is_over, plan_stop, planned_jerk


def stop_all(joints: Any, executed: np.ndarray, found: np.ndarray, over: np.ndarray) -> None:
    """Look for a plan for each joint and write down its accelerations, tick by tick."""
    for i in range(len(joints)):
        joint = joints[i]
        plan = plan_stop(joint, joint.p, joint.v, joint.a)
        found[i] = plan.found
        keep_plan(joint, plan)
        a = joint.a
        for tick in range(executed.shape[1]):
            a += planned_jerk(joint)
            joint.plan_age += 1
            executed[i, tick] = a
        over[i] = plan_is_over(joint)


TICKS = 400
SPACE = JointSpace.load("iron_r01")
STOP_ALL = compiled(
    stop_all,
    joint_records(SPACE, 0.005, 0.002),
    np.empty((1, TICKS)),
    np.empty(1, dtype=np.bool_),
    np.empty(1, dtype=np.bool_),
)


@given(seed=st.integers(0, 2**32 - 1), rate_hz=st.sampled_from([100.0, 200.0, 500.0]))
@example(seed=0, rate_hz=200.0)
def test_a_plan_ends_at_rest_and_breaks_no_limit(seed: int, rate_hz: float) -> None:
    rng = np.random.default_rng(seed)
    joints = joint_records(SPACE, 1 / rate_hz, 0.002)
    joints.low, joints.high = joints.lower - SLACK, joints.upper + SLACK
    joints.p = rng.uniform(joints.lower, joints.upper)
    joints.v = rng.uniform(-1.05, 1.05, SPACE.dim) * joints.v_max * rng.choice([0.0, 0.01, 0.3, 1.0], SPACE.dim)
    joints.a = rng.uniform(-1.05, 1.05, SPACE.dim) * joints.a_max * rng.choice([0.0, 0.1, 1.0], SPACE.dim)
    start = joints.copy()
    executed = np.empty((SPACE.dim, TICKS))
    found, over = np.empty(SPACE.dim, dtype=np.bool_), np.empty(SPACE.dim, dtype=np.bool_)
    STOP_ALL(joints, executed, found, over)
    assert over[found].all()
    a = executed[found]
    v = start.v[found, None] + np.cumsum(a, axis=1)
    p = start.p[found, None] + np.cumsum(v, axis=1)
    jerk = np.diff(a, axis=1, prepend=start.a[found, None])
    inside = 1e-6
    assert (np.abs(jerk) <= 1 + inside).all()
    assert (np.abs(a) <= start.a_max[found, None] + inside).all()
    assert (np.abs(v) <= start.v_max[found, None] + inside).all()
    assert (p >= joints.plan_lowest[found, None] - inside).all()
    assert (p <= joints.plan_highest[found, None] + inside).all()
    assert (joints.plan_lowest[found] >= joints.low[found]).all()
    assert (joints.plan_highest[found] <= joints.high[found]).all()
    np.testing.assert_allclose(a[:, -1], 0, atol=inside)
    np.testing.assert_allclose(v[:, -1], 0, atol=inside)
    np.testing.assert_allclose(p[:, -1], joints.plan_end[found], atol=1e-4)


def test_most_states_that_can_be_stopped_have_a_plan() -> None:
    """The check is sufficient, not necessary: here is how much it gives away."""
    rng = np.random.default_rng(1)
    joints = joint_records(SPACE, 0.005, 0.002)
    joints.low, joints.high = joints.lower - 1e9, joints.upper + 1e9
    joints.v = rng.uniform(-0.9, 0.9, SPACE.dim) * joints.v_max
    joints.a = -np.sign(joints.v) * rng.uniform(0, 1, SPACE.dim) * joints.a_max
    found, over = np.empty(SPACE.dim, dtype=np.bool_), np.empty(SPACE.dim, dtype=np.bool_)
    STOP_ALL(joints, np.empty((SPACE.dim, TICKS)), found, over)
    assert found.mean() > 0.95


def test_nan_has_no_plan() -> None:
    for field in ("p", "v", "a"):
        joints = joint_records(SPACE, 0.005, 0.002)
        joints.low, joints.high = joints.lower, joints.upper
        joints[field] = np.nan
        found, over = np.empty(SPACE.dim, dtype=np.bool_), np.empty(SPACE.dim, dtype=np.bool_)
        STOP_ALL(joints, np.empty((SPACE.dim, TICKS)), found, over)
        assert not found.any()
