"""The operator's palm motion on arms that stand otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.command.palm_motion import PalmMotion
from rove_hil.retargeting.kinematics import Kinematics

SPACE = JointSpace.load("iron_r01")
LEFT, RIGHT = SPACE.groups["left_arm"], SPACE.groups["right_arm"]
ARMS = np.r_[LEFT, RIGHT]
ALL = np.ones(SPACE.dim)
STILL = np.zeros(SPACE.dim)


@pytest.fixture(scope="module")
def kinematics() -> Kinematics:
    return Kinematics(SPACE)


@pytest.fixture(scope="module")
def motion(kinematics: Kinematics) -> PalmMotion:
    return PalmMotion(SPACE, kinematics)


def poses(kinematics: Kinematics, q: FloatArray) -> tuple[FloatArray, FloatArray]:
    kinematics.forward(q)
    return kinematics.site_positions(kinematics.palms).copy(), kinematics.site_rotations(kinematics.palms).copy()


def somewhere(rng: np.random.Generator, centre: FloatArray, spread: float) -> FloatArray:
    q = centre.copy()
    q[ARMS] += rng.normal(0, spread, len(ARMS))
    return SPACE.clip(q)


def test_an_arm_that_stands_as_the_operators_moves_as_his_joints(motion: PalmMotion) -> None:
    now = somewhere(np.random.default_rng(0), SPACE.home, 0.2)
    increment, rate = motion(SPACE.home, SPACE.home, now, ALL, ALL)
    np.testing.assert_allclose(increment, now - SPACE.home, atol=1e-9)
    np.testing.assert_allclose(rate, 1.0, atol=1e-9)


def test_an_arm_that_stands_otherwise_moves_its_palm_as_the_operator(
    motion: PalmMotion, kinematics: Kinematics
) -> None:
    rng = np.random.default_rng(1)
    joints_alone, palms = [], []
    for _ in range(40):
        anchor = somewhere(rng, SPACE.home, 0.15)
        now = somewhere(rng, anchor, 0.15)
        increment, _ = motion(SPACE.home, anchor, now, STILL, ALL)
        (start, start_turn), (end, end_turn) = poses(kinematics, anchor), poses(kinematics, now)
        base, base_turn = poses(kinematics, SPACE.home)
        reached, reached_turn = poses(kinematics, SPACE.home + increment)
        plain, _ = poses(kinematics, SPACE.home + now - anchor)
        goal = base + end - start
        palms.append(np.linalg.norm(reached - goal, axis=1).max())
        joints_alone.append(np.linalg.norm(plain - goal, axis=1).max())
        turn = end_turn @ start_turn.transpose(0, 2, 1) @ base_turn
        np.testing.assert_allclose(reached_turn, turn, atol=0.02)
    assert np.max(palms) < 2e-3
    assert np.median(joints_alone) > 5e-3  # what it is for


def test_back_at_the_anchor_nothing_is_left(motion: PalmMotion) -> None:
    rng = np.random.default_rng(2)
    anchor, base = somewhere(rng, SPACE.home, 0.3), somewhere(rng, SPACE.home, 0.3)
    motion(base, anchor, somewhere(rng, anchor, 0.3), STILL, ALL)
    increment, rate = motion(base, anchor, anchor, STILL, ALL)
    np.testing.assert_allclose(increment, 0, atol=1e-9)
    np.testing.assert_allclose(rate, 0, atol=1e-9)


def test_half_of_the_motion_is_half_the_way_and_half_the_turn(motion: PalmMotion, kinematics: Kinematics) -> None:
    rng = np.random.default_rng(3)
    anchor, now = SPACE.home, somewhere(rng, SPACE.home, 0.15)
    increment, _ = motion(SPACE.home, anchor, now, STILL, 0.5 * ALL)
    (start, _), (end, _) = poses(kinematics, anchor), poses(kinematics, now)
    reached, _ = poses(kinematics, SPACE.home + increment)
    np.testing.assert_allclose(reached, (start + end) / 2, atol=2e-3)


def test_a_group_without_weight_stays(motion: PalmMotion) -> None:
    weight = ALL.copy()
    weight[RIGHT] = 0
    now = somewhere(np.random.default_rng(4), SPACE.home, 0.2)
    increment, rate = motion(SPACE.home - 0.1, SPACE.home, now, ALL, weight)
    np.testing.assert_allclose(increment[RIGHT], 0, atol=1e-9)
    np.testing.assert_allclose(rate[RIGHT], 0, atol=1e-9)
    assert np.abs(increment[LEFT]).max() > 0.05


def test_the_rate_is_that_of_the_increment(motion: PalmMotion) -> None:
    rng = np.random.default_rng(5)
    base, now = somewhere(rng, SPACE.home, 0.1), somewhere(rng, SPACE.home, 0.1)
    velocity = STILL.copy()
    velocity[ARMS] = rng.normal(0, 1, len(ARMS))
    here, rate = motion(base, SPACE.home, now, velocity, ALL)
    later, _ = motion(base, SPACE.home, now + 1e-6 * velocity, velocity, ALL)
    np.testing.assert_allclose((later - here) / 1e-6, rate, atol=0.1)


def test_where_the_palm_cannot_go_the_increment_stays_small(motion: PalmMotion) -> None:
    straight = SPACE.home.copy()
    straight[[SPACE.index(f"{side}_elbow") for side in ("left", "right")]] = 0.0
    bent = SPACE.home.copy()
    increment, _ = motion(straight, bent, somewhere(np.random.default_rng(6), bent, 0.3), STILL, ALL)
    assert np.isfinite(increment).all()
    assert np.abs(increment).max() < 2.0
