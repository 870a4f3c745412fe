"""What the operator would have to move, measured on poses whose difference is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.supervision.alignment_errors import GroupDifference, Motion, PoseComparison

SPACE = JointSpace.load("iron_r01")
COMPARISON = PoseComparison(SPACE)


def pose(**joints: float) -> FloatArray:
    """Home, with some joints moved [rad]."""
    q = SPACE.home.copy()
    for name, by in joints.items():
        q[SPACE.index(name)] += by
    return q


def move(difference: GroupDifference, motion: Motion, part: str = "") -> FloatArray:
    """The vector of the move of this kind (and part)."""
    (found,) = [move for move in difference.moves if move.motion is motion and part in move.part]
    return np.array(found.vector)


def test_equal_poses_differ_by_nothing() -> None:
    for group, difference in COMPARISON.compare(SPACE.home, SPACE.home).items():
        assert (difference.rms_rad, difference.max_rad) == (0.0, 0.0)
        assert math.isnan(difference.position_m) == (group == "waist")
        assert math.isnan(difference.rotation_rad) == (group not in ("head", "left_arm", "right_arm"))
        assert all(np.allclose(move.vector, 0.0) for move in difference.moves)


def test_radians_are_over_the_joints_of_the_group() -> None:
    difference = COMPARISON.compare(pose(left_elbow=0.35), SPACE.home)["left_arm"]
    assert difference.max_rad == pytest.approx(0.35)
    assert difference.rms_rad == pytest.approx(0.35 / math.sqrt(7))


def test_an_elbow_that_has_to_come_down_swings_down_by_its_angle() -> None:
    # A more negative shoulder pitch raises the arm forward and up: to come back it goes down and back.
    difference = COMPARISON.compare(pose(right_shoulder_pitch=-0.6), SPACE.home)["right_arm"]
    swing = move(difference, Motion.SWING, "right elbow")
    assert swing[2] < -0.2
    assert 2 * math.asin(np.linalg.norm(swing) / 2) == pytest.approx(0.6, abs=0.06)
    assert move(difference, Motion.SHIFT, "right hand")[2] < -0.1
    assert difference.position_m > 0.1
    assert difference.rotation_rad == pytest.approx(0.6, abs=1e-6)
    assert COMPARISON.compare(pose(right_shoulder_pitch=-0.6), SPACE.home)["left_arm"].position_m == pytest.approx(0.0)


def test_a_turned_torso_takes_the_hands_along() -> None:
    differences = COMPARISON.compare(pose(waist_yaw=0.3), SPACE.home)
    np.testing.assert_allclose(move(differences["waist"], Motion.TURN), [0.0, 0.0, -0.3], atol=1e-9)
    assert differences["left_arm"].position_m > 0.05
    # Who is given the right arm only stands with the robot's torso.
    partial = COMPARISON.compare(pose(waist_yaw=0.3), SPACE.home, ("right_arm",))
    assert partial["right_arm"].position_m == pytest.approx(0.0)
    assert partial["waist"].max_rad == pytest.approx(0.3)
    assert partial["waist"].moves == ()
    assert math.isnan(partial["left_arm"].position_m)


def test_a_head_that_has_to_look_down_turns_about_the_left_axis() -> None:
    difference = COMPARISON.compare(pose(head_pitch=-0.4), SPACE.home)["head"]
    np.testing.assert_allclose(move(difference, Motion.TURN), [0.0, 0.4, 0.0], atol=1e-9)
    assert difference.rotation_rad == pytest.approx(0.4)


def test_a_closed_finger_has_to_open_wherever_the_arm_is() -> None:
    operator = pose(left_index_proximal=0.8, left_index_distal=0.8, left_shoulder_pitch=-0.5, waist_yaw=0.3)
    difference = COMPARISON.compare(operator, SPACE.home)["left_hand"]
    assert move(difference, Motion.OPEN, "left index")[0] > 0.02
    assert move(difference, Motion.OPEN, "left middle")[0] == pytest.approx(0.0, abs=1e-9)
    assert difference.position_m > 0.03
