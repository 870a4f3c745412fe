"""IsaacTeleop's topics as frames: axes, sides and joints, with poses that no mirror image resembles."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from rove_core.errors import WireError
from rove_core.joint_space import JointSpace
from rove_hil.operator.isaac_teleop import JOINTS, ROS_FROM_OPENXR, IsaacBody, NamedPoses, elbows_of
from rove_hil.operator.mocap import FINGERS, SIDES, MocapFrame, decode, encode
from rove_hil.retargeting.kinematics import Kinematics

SPACE = JointSpace.load("iron_r01")
MS = 1_000_000
# Where OpenXR's world is, and how the operator stands in it: 1.1 m up, 2 m to its right, turned by 50 degrees.
STANDS = np.array([2.0, 1.1, -0.4])
YAW = np.deg2rad(50.0)
OPENXR_FROM_ROS = ROS_FROM_OPENXR.T


def turn_about_z(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])


def matrix_of(wxyz: np.ndarray) -> np.ndarray:
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, wxyz)
    return matrix.reshape(3, 3)


def xyzw_of(matrix: np.ndarray) -> np.ndarray:
    wxyz = np.empty(4)
    mujoco.mju_mat2Quat(wxyz, np.ascontiguousarray(matrix).reshape(9))
    return np.roll(wxyz, -1)


class Headset:
    """What IsaacTeleop publishes of somebody with the robot's body who stands as `q`, by OpenXR's definitions.

    World: x right, y up, z backward. Joints: -z along the fingers, y out of the back of the hand. Head: -z forward.
    """

    def __init__(self, q: np.ndarray, axes: str = "openxr", yaw: float = YAW) -> None:
        self.person = Kinematics(SPACE).frame_from_joints(q)
        self._yaw = yaw
        # `transform_rotation` of the publisher.
        self._transform = np.eye(3) if axes == "openxr" else ROS_FROM_OPENXR

    def _position(self, point: np.ndarray) -> np.ndarray:
        return self._transform @ (OPENXR_FROM_ROS @ turn_about_z(self._yaw) @ point + STANDS)

    def _turn(self, wxyz: np.ndarray) -> np.ndarray:
        axes_in_ros = turn_about_z(self._yaw) @ matrix_of(wxyz)  # columns: our x, y, z of the palm or the head
        forward, left, up = axes_in_ros.T
        in_openxr = np.column_stack([OPENXR_FROM_ROS @ v for v in (-left, up, -forward)])  # its x, y, z
        return xyzw_of(self._transform @ in_openxr @ self._transform.T)

    def _message(self, names: list[str], points: list[np.ndarray], turns: list[np.ndarray], t: int) -> NamedPoses:
        positions = np.array([self._position(point) for point in points])
        return NamedPoses(names, positions, np.array(turns), [True] * len(names), t, "world")

    def wrists(self, t: int) -> NamedPoses:
        person = self.person
        return self._message(
            list(SIDES), list(person.wrist_positions), [self._turn(quat) for quat in person.wrist_quats], t
        )

    def hands(self, t: int) -> NamedPoses:
        names, points = [], []
        for side, keypoints in zip(SIDES, self.person.hands, strict=True):
            for index, joint in enumerate(JOINTS):
                names.append(f"{side}_{joint}")
                points.append(keypoints[index])
            for finger in FINGERS[1:]:  # what OpenXR has and MANO has not
                names.append(f"{side}_{finger.upper()}_METACARPAL")
                points.append(keypoints[0])
        return self._message(names, points, [np.array([0.0, 0.0, 0.0, 1.0])] * len(names), t)

    def head(self, t: int) -> NamedPoses:
        return self._message(["head"], [self.person.head_position], [self._turn(self.person.head_quat)], t)

    def moment(self, body: IsaacBody, t: int) -> MocapFrame | None:
        assert body.wrists(self.wrists(t)) is None
        body.hands(self.hands(t))
        return body.head(self.head(t))


def asymmetric() -> np.ndarray:
    """Right hand up and turned, left hand down, head turned: nothing is like its mirror image."""
    q = SPACE.home.copy()
    q[SPACE.groups["waist"]] = 0.0
    q[SPACE.groups["right_arm"]] = [-1.2, -0.4, 0.3, -1.1, 0.7, 0.2, -0.3]
    q[SPACE.groups["left_arm"]] = [-0.2, 0.5, -0.2, -0.6, -0.3, -0.4, 0.5]
    q[SPACE.groups["right_hand"]] += np.linspace(0.0, 0.5, 15)
    q[SPACE.groups["head"]] = 0.0
    return SPACE.clip(q)


@pytest.mark.parametrize("axes", ["openxr", "ros"])
def test_an_asymmetric_person_arrives_as_he_stands(axes: str) -> None:
    headset, body = Headset(asymmetric(), axes), IsaacBody(SPACE, axes)
    frame = headset.moment(body, 100 * MS)
    assert frame is not None
    person = headset.person
    for name in ("head_position", "shoulders", "wrist_positions", "hands"):
        np.testing.assert_allclose(getattr(frame, name), getattr(person, name), atol=1e-9, err_msg=name)
    for ours, theirs in zip(
        [frame.head_quat, *frame.wrist_quats], [person.head_quat, *person.wrist_quats], strict=True
    ):
        assert abs(ours @ theirs) == pytest.approx(1.0, abs=1e-9)
    assert all(frame.tracked)
    assert frame.capture_ns == 100 * MS
    decode(encode(frame))


def test_the_wrong_axes_are_noticed_by_this_test() -> None:
    frame = Headset(asymmetric(), "ros").moment(IsaacBody(SPACE, "openxr"), 100 * MS)
    assert frame is None or np.abs(frame.wrist_positions - Headset(asymmetric()).person.wrist_positions).max() > 0.1
    with pytest.raises(WireError, match="unity"):
        IsaacBody(SPACE, "unity")


def test_the_base_stays_where_the_operator_stood_when_he_turns_his_head_or_leans() -> None:
    body = IsaacBody(SPACE)
    first = Headset(asymmetric()).moment(body, 0)
    q = asymmetric()
    q[SPACE.groups["head"]] = [0.6, 0.2, 0.0]
    looking = Headset(q)
    frame = looking.moment(body, 20 * MS)
    assert first is not None
    assert frame is not None
    np.testing.assert_allclose(frame.wrist_positions, first.wrist_positions, atol=1e-9)
    assert abs(frame.head_quat @ looking.person.head_quat) == pytest.approx(1.0, abs=1e-9)


def test_a_headset_put_on_again_stands_anew() -> None:
    body = IsaacBody(SPACE)
    Headset(asymmetric()).moment(body, 0)
    turned = Headset(asymmetric(), yaw=YAW + 1.0)
    soon = turned.moment(body, 500 * MS)
    assert soon is not None
    assert np.abs(soon.wrist_positions - turned.person.wrist_positions).max() > 0.2
    later = turned.moment(body, 2_000 * MS)
    assert later is not None
    np.testing.assert_allclose(later.wrist_positions, turned.person.wrist_positions, atol=1e-9)


def test_a_lost_hand_wrist_or_head_is_told_and_the_rest_goes_on() -> None:
    headset, body = Headset(asymmetric()), IsaacBody(SPACE)
    headset.moment(body, 0)
    hands, wrists = headset.hands(20 * MS), headset.wrists(20 * MS)
    hands.valid[hands.names.index("left_RING_TIP")] = False  # type: ignore[index]
    wrists.valid[1] = False  # type: ignore[index]
    body.wrists(wrists)
    body.hands(hands)
    frame = body.head(headset.head(20 * MS))
    assert frame is not None
    assert frame.tracked == (True, True, False, False, True)
    decode(encode(frame))
    # Without a head the frame comes with the next one's wrists.
    body.wrists(headset.wrists(40 * MS))
    frame = body.wrists(headset.wrists(60 * MS))
    assert frame is not None
    assert frame.tracked[:3] == (False, False, False)


def test_nothing_is_known_before_the_headset_is_on_and_numbers_that_are_none_are_not_used() -> None:
    headset, body = Headset(asymmetric()), IsaacBody(SPACE)
    body.wrists(headset.wrists(0))
    assert body.wrists(headset.wrists(10 * MS)) is None
    broken = headset.head(10 * MS)
    broken.positions[:] = np.nan
    assert body.head(broken) is None
    headset.moment(body, 20 * MS)
    wrists = headset.wrists(40 * MS)
    wrists.quaternions[0] = 0.0
    body.wrists(wrists)
    frame = body.head(headset.head(40 * MS))
    assert frame is not None
    assert not frame.tracked.left_arm
    assert frame.tracked.right_arm


def test_messages_that_contradict_themselves_are_refused() -> None:
    headset = Headset(asymmetric())
    with pytest.raises(WireError, match="as many"):
        NamedPoses(["left"], np.zeros((2, 3)), np.zeros((2, 4)), [True, True], 0)
    body, wrists = IsaacBody(SPACE), headset.wrists(0)
    body.wrists(NamedPoses(wrists.names, wrists.positions, wrists.quaternions, wrists.valid, 0, "head"))
    with pytest.raises(WireError, match="frame 'head'"):
        body.head(headset.head(0))


def test_elbows_keep_the_arms_lengths_and_hang() -> None:
    shoulders = np.array([[0.0, 0.2, 0.4], [0.0, -0.2, 0.4]])
    wrists = np.array([[0.3, 0.15, 0.35], [0.25, -0.3, 0.1]])
    elbows = elbows_of(shoulders, wrists, 0.28, 0.27)
    np.testing.assert_allclose(np.linalg.norm(elbows - shoulders, axis=1), 0.28)
    np.testing.assert_allclose(np.linalg.norm(wrists - elbows, axis=1), 0.27)
    assert (elbows[:, 2] < shoulders[:, 2] - 0.1).all()
    # Out of reach the arm is straight; straight down there is nowhere to hang to.
    straight = elbows_of(shoulders, shoulders + np.array([[1.0, 0.0, 0.0], [0.0, 0.3, -1.0]]), 0.28, 0.27)
    assert np.isfinite(straight).all()
    np.testing.assert_allclose(straight[0], shoulders[0] + [0.28 / 0.55, 0.0, 0.0])
    assert np.isfinite(elbows_of(shoulders, shoulders, 0.28, 0.27)).all()
    down = np.array([0.0, 0.3, -1.0]) / np.linalg.norm([0.0, 0.3, -1.0])
    along = elbows_of(shoulders, shoulders + 0.4 * np.array([down, down]), 0.28, 0.27)
    np.testing.assert_allclose(np.linalg.norm(along[0] - shoulders[0]), 0.28)
