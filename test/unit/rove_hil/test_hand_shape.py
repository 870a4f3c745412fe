"""Fingertips on a hand of another size."""

from __future__ import annotations

import numpy as np
import pytest

from rove_core.joint_space import JointSpace
from rove_hil.operator.mocap import TIPS
from rove_hil.retargeting.hand_shape import PINCH_COUNTS_M, HandShapes
from rove_hil.retargeting.kinematics import Kinematics

SPACE = JointSpace.load("iron_r01")


@pytest.fixture(scope="module")
def hand() -> np.ndarray:
    """The robot's hands at home in their palms' frames, shape (2, 21, 3)."""
    return in_palm(SPACE.home)


def in_palm(q: np.ndarray) -> np.ndarray:
    kinematics = Kinematics(SPACE)
    frame = kinematics.frame_from_joints(q)
    rotations = kinematics.site_rotations(kinematics.palms)
    return (frame.hands - frame.hands[:, :1]) @ rotations


@pytest.fixture(scope="module")
def shapes() -> HandShapes:
    kinematics = Kinematics(SPACE)
    frame = kinematics.frame_from_joints(SPACE.home)
    return HandShapes.measured_from(frame, kinematics.site_rotations(kinematics.palms))


def test_the_robots_own_hand_goes_where_it_is(shapes: HandShapes) -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        keypoints = in_palm(SPACE.clip(SPACE.home + rng.normal(0, 0.4, SPACE.dim)))
        np.testing.assert_allclose(shapes.tips_of(keypoints), keypoints[:, TIPS], atol=1e-12)


def test_a_hand_of_any_size_opens_the_robots_fingers_alike(shapes: HandShapes, hand: np.ndarray) -> None:
    for size in (0.8, 1.25):
        np.testing.assert_allclose(shapes.tips_of(size * hand), hand[:, TIPS], atol=1e-12)


def test_a_pinch_stays_a_pinch_on_fingers_of_other_lengths(shapes: HandShapes, hand: np.ndarray) -> None:
    pinching = hand.copy()
    shift = pinching[:, TIPS[0]] + [0.0, 0.0, PINCH_COUNTS_M / 2] - pinching[:, TIPS[1]]
    pinching[:, 6:9] += shift[:, None] * np.array([0.3, 0.7, 1.0])[:, None]  # a longer index that meets the thumb
    tips = shapes.tips_of(pinching)
    np.testing.assert_allclose(np.linalg.norm(tips[:, 0] - tips[:, 1], axis=1), PINCH_COUNTS_M / 2, atol=1e-12)


def test_keypoints_that_all_coincide_give_finite_targets(shapes: HandShapes) -> None:
    assert np.isfinite(shapes.tips_of(np.zeros((2, 21, 3)))).all()
