from __future__ import annotations

import numpy as np
import pytest

from rove_core.joint_space import JointSpace
from rove_sim.operator_body import FINGER_STEP_RAD, OperatorBody
from rove_sim.operator_motion import HandPose, rotation_log
from rove_sim.poses import FloatArray
from rove_sim.tasks.whiteboard import ERASER, REGION_M, Whiteboard, eraser_on_board

SPACE = JointSpace.load("iron_r01")


def hand(pose: FloatArray, closure: float = 1.0) -> HandPose:
    return HandPose(pose[:3, 3], pose[:3, :3], closure)


def settle(body: OperatorBody, target: HandPose) -> float:
    return min(body.reach(target) for _ in range(200))


@pytest.mark.parametrize("x_m", [-REGION_M[0] / 2, 0.0, REGION_M[0] / 2])
@pytest.mark.parametrize("y_m", [-REGION_M[1] / 2, REGION_M[1] / 2])
def test_every_mark_is_in_reach(x_m: float, y_m: float) -> None:
    body = OperatorBody(SPACE)
    target = hand(eraser_on_board(x_m, y_m, gap_m=-0.005) @ Whiteboard.OBJECTS[ERASER])
    assert settle(body, target) < 0.005
    assert np.linalg.norm(rotation_log(body.palm().rotation.T @ target.rotation)) < 0.05


def test_the_pose_of_the_arm_depends_on_the_palm_and_not_on_the_way_there() -> None:
    target = hand(eraser_on_board(0.0, 0.0, gap_m=0.02) @ Whiteboard.OBJECTS[ERASER])
    direct, detour = OperatorBody(SPACE), OperatorBody(SPACE)
    settle(detour, hand(eraser_on_board(0.2, -0.1, gap_m=0.1) @ Whiteboard.OBJECTS[ERASER]))
    settle(direct, target)
    settle(detour, target)
    np.testing.assert_allclose(direct.q[SPACE.groups["right_arm"]], detour.q[SPACE.groups["right_arm"]], atol=0.02)


def test_fingers_close_in_small_steps() -> None:
    body = OperatorBody(SPACE)
    before = body.q.copy()
    body.reach(hand(body.palm_matrix(body.q), closure=1.0))
    assert 0 < np.abs(body.q - before)[SPACE.groups["right_hand"]].max() <= FINGER_STEP_RAD + 1e-9


def test_joints_stay_inside_their_limits_when_the_palm_is_sent_out_of_reach() -> None:
    body = OperatorBody(SPACE)
    far = HandPose(np.array([1.5, -0.5, 1.0]), np.eye(3), 0.0)
    assert settle(body, far) > 0.3
    assert (body.q >= SPACE.lower).all()
    assert (body.q <= SPACE.upper).all()


def test_motion_capture_sees_the_palm_where_the_body_has_it() -> None:
    body = OperatorBody(SPACE)
    frame = body.frame(7, 123)
    assert (frame.sequence, frame.capture_ns) == (7, 123)
    np.testing.assert_allclose(frame.wrist_positions[1], body.palm().position)
