"""The retargeting keeps the robot off itself."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rove_core.joint_space import JointSpace
from rove_hil.guard.collision import CollisionModel
from rove_hil.operator.mocap import MocapFrame
from rove_hil.retarget import Retargeter
from rove_hil.retargeting.kinematics import Kinematics
from rove_hil.retargeting.velocity_damper import BODY_DISTANCE_M, VelocityDamper

SPACE = JointSpace.load("iron_r01")
FRAME_NS = 13_888_889


def nearest_body_pair(model: CollisionModel, q: np.ndarray) -> float:
    """Smallest distance of any pair that arms, waist or head can move, hand against hand left out [m]."""
    hands = np.zeros(SPACE.dim, dtype=bool)
    for group in ("left_hand", "right_hand"):
        hands[SPACE.groups[group]] = True
    near = model.near(q, 0.1)
    names = [model.pair_name(pair) for pair in near.pair]
    two_hands = [{"left", "right"} <= {name.split("_")[0] for name in pair} for pair in names]
    body = (np.abs(near.jacobian[:, ~hands]).max(axis=1, initial=0.0) > 0.0) & ~np.array(two_hands, dtype=bool)
    return float(near.distance[body].min(initial=np.inf))


def hands_into_the_chest() -> list[MocapFrame]:
    """An operator thinner than the robot folds both hands onto his breastbone."""
    home = Kinematics(SPACE).frame_from_joints(SPACE.home)
    into = np.array([[0.02, 0.04, 0.30], [0.02, -0.04, 0.30]]) - home.wrist_positions
    return [
        dataclasses.replace(
            home,
            sequence=number,
            capture_ns=(number + 1) * FRAME_NS,
            wrist_positions=home.wrist_positions + min(1.0, number / 72) * into,
            hands=home.hands + min(1.0, number / 72) * into[:, None],
        )
        for number in range(110)
    ]


@pytest.mark.parametrize("guarded", [True, False])
def test_hands_that_would_enter_the_chest_stop_in_front_of_it(guarded: bool) -> None:
    model = CollisionModel(SPACE)
    retargeter = Retargeter(SPACE, damper=VelocityDamper(SPACE) if guarded else None)
    nearest = []
    for frame in hands_into_the_chest():
        result = retargeter.solve(frame)
        assert result.converged
        nearest.append(nearest_body_pair(model, result.q))
    if guarded:
        assert min(nearest) > BODY_DISTANCE_M - 0.004
        assert result.palm_error_m > 0.02  # it says that it is not where the operator is
    else:
        assert min(nearest) < -0.02  # or the claim above is none


def test_a_pose_that_touches_already_is_led_apart() -> None:
    model, retargeter = CollisionModel(SPACE), Retargeter(SPACE)
    frames = hands_into_the_chest()
    for frame in frames:
        q = retargeter.solve(frame).q
    guarded = Retargeter(SPACE, damper=VelocityDamper(SPACE))
    guarded.reset(q)
    for number in range(60):
        stamped = dataclasses.replace(frames[-1], sequence=number, capture_ns=(number + 1) * FRAME_NS)
        result = guarded.solve(stamped)
    assert result.converged
    assert nearest_body_pair(model, q) < -0.02
    assert nearest_body_pair(model, result.q) > 0.0


def test_far_from_itself_the_robot_is_free() -> None:
    frame = Kinematics(SPACE).frame_from_joints(SPACE.home, capture_ns=FRAME_NS)
    free, guarded = Retargeter(SPACE).solve(frame), Retargeter(SPACE, damper=VelocityDamper(SPACE)).solve(frame)
    np.testing.assert_allclose(free.q, guarded.q, atol=1e-4)
