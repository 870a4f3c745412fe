"""An operator's body from a T-pose, and one line for every pose that is none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rove_core.joint_space import JointSpace
from rove_hil.operator.mocap import MocapFrame, Tracked
from rove_hil.operator.t_pose import BodySize, CalibrationError, calibration_of, measure
from rove_hil.retarget import Retargeter
from rove_hil.retargeting.kinematics import Kinematics

SPACE = JointSpace.load("iron_r01")
PERIOD_NS = 13_888_889
ROBOT = BodySize.of_robot(SPACE)


def t_pose(roll: float = np.pi / 2, bend: float = 0.0) -> np.ndarray:
    q = SPACE.home.copy()
    for side, outwards in (("left", 1.0), ("right", -1.0)):
        q[SPACE.groups[f"{side}_arm"]] = [0.0, outwards * roll, 0.0, -bend, 0.0, 0.0, 0.0]
    return q


def person(q: np.ndarray, size: float = 1.0, count: int = 90, noise_m: float = 0.0) -> list[MocapFrame]:
    """Frames of somebody `size` times as large as the robot who stands as `q`."""
    frame, rng = Kinematics(SPACE).frame_from_joints(q), np.random.default_rng(0)
    names = ("head_position", "shoulders", "elbows", "wrist_positions", "hands")

    def grown() -> dict[str, np.ndarray]:
        return {
            name: size * getattr(frame, name) + rng.normal(0.0, noise_m, getattr(frame, name).shape) for name in names
        }

    return [
        dataclasses.replace(frame, sequence=number, capture_ns=(number + 1) * PERIOD_NS, **grown())
        for number in range(count)
    ]


def test_lengths_are_measured_through_noise() -> None:
    size = measure(person(t_pose(), size=1.2, noise_m=0.003))
    assert size.arm == pytest.approx(1.2 * ROBOT.arm, rel=0.01)
    assert size.shoulder_width == pytest.approx(1.2 * ROBOT.shoulder_width, rel=0.01)
    assert size.torso == pytest.approx(1.2 * ROBOT.torso, rel=0.01)
    assert size.hand == pytest.approx(1.2 * ROBOT.hand, rel=0.05)  # noise makes bones longer


def test_a_measured_operator_moves_the_robot_as_if_he_had_its_body() -> None:
    calibration = calibration_of(measure(person(t_pose(), size=1.15)), ROBOT)
    assert calibration.arm_scale == pytest.approx(1 / 1.15, rel=1e-3)
    result = Retargeter(SPACE, calibration).solve(person(SPACE.home, size=1.15, count=1)[0])
    assert result.palm_error_m < 2e-3
    arms = [SPACE.groups["left_arm"], SPACE.groups["right_arm"]]
    assert max(np.abs(result.q - SPACE.home)[span].max() for span in arms) < 0.05


def test_hands_that_are_not_tracked_are_left_out() -> None:
    frames = [
        dataclasses.replace(frame, tracked=Tracked(left_hand=False, right_hand=False)) for frame in person(t_pose())
    ]
    assert measure(frames).hand is None


@pytest.mark.parametrize(
    ("q", "said"),
    [
        (t_pose(roll=0.9), "arm points 38"),
        (SPACE.home, "arm points"),
        (t_pose(bend=0.9), r"no T-pose"),
    ],
)
def test_another_pose_is_refused_with_what_is_wrong(q: np.ndarray, said: str) -> None:
    with pytest.raises(CalibrationError, match=said) as caught:
        measure(person(q))
    assert caught.value.hint


def test_moving_losing_track_and_hurrying_are_refused() -> None:
    frames = person(t_pose())
    for number, frame in enumerate(frames):
        frame.wrist_positions[0, 0] += 0.08 * np.sin(number / 5)
    with pytest.raises(CalibrationError, match="left wrist moved"):
        measure(frames)
    lost = [
        dataclasses.replace(frame, tracked=Tracked(right_arm=number % 4 > 0))
        for number, frame in enumerate(person(t_pose()))
    ]
    with pytest.raises(CalibrationError, match="tracked in 5"):
        measure(lost)
    with pytest.raises(CalibrationError, match="too few"):
        measure(person(t_pose(), count=40))
    with pytest.raises(CalibrationError, match="no motion-capture"):
        measure([])


def test_lengths_in_another_unit_are_no_body() -> None:
    with pytest.raises(CalibrationError, match="nobody is built like that"):
        calibration_of(BodySize(arm=55.0, shoulder_width=40.0, torso=45.0, hand=None), ROBOT)
