"""How an operator's body maps onto the robot's: lengths of arms, shoulders and hands."""

from __future__ import annotations

from dataclasses import dataclass, replace

import mujoco
import numpy as np
import numpy.typing as npt

from rove_core.errors import ConfigError
from rove_hil.operator.mocap import MocapFrame, Tracked
from rove_hil.retargeting.hand_shape import HandShapes

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OperatorCalibration:
    """Robot lengths over the operator's, all 1 for an operator with the robot's own body.

    Attributes:
        torso_scale: height of the shoulders above the hips.
        shoulder_scale: distance of the shoulders from each other.
        arm_scale: length of the arms.
        hand_scale: reach of the fingers, on top of the lengths of bones, which every frame tells.
    """

    torso_scale: float = 1.0
    shoulder_scale: float = 1.0
    arm_scale: float = 1.0
    hand_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("torso_scale", "shoulder_scale", "arm_scale", "hand_scale"):
            value = getattr(self, name)
            if not 0.3 <= value <= 3.0:
                raise ConfigError(f"operator calibration: {name} is {value}, expected 0.3 to 3")


@dataclass(frozen=True, slots=True)
class Targets:
    """Where the parts of the robot should be, in its base frame. Pairs are (left, right).

    Attributes:
        head_rotation: (3, 3), head to base.
        shoulders, elbows, palms: [m], shape (2, 3).
        palm_rotations: (2, 3, 3), palm to base.
        tips: fingertips in the palm's frame [m], shape (2, 5 fingers, 3).
        tracked: which of them mean something.
    """

    head_rotation: FloatArray
    shoulders: FloatArray
    elbows: FloatArray
    palms: FloatArray
    palm_rotations: FloatArray
    tips: FloatArray
    tracked: Tracked

    @property
    def finite(self) -> bool:
        """Whether every number is one."""
        turns = (self.head_rotation, self.palm_rotations)
        return all(np.isfinite(array).all() for array in (*turns, self.points()))

    def points(self) -> FloatArray:
        """Shoulders, elbows, palms and fingertips, shape (16, 3)."""
        return np.concatenate([self.shoulders, self.elbows, self.palms, self.tips.reshape(-1, 3)])

    def with_points(self, points: FloatArray) -> Targets:
        """The same with other `points()`."""
        shoulders, elbows, palms, tips = np.split(points, [2, 4, 6])
        return replace(self, shoulders=shoulders, elbows=elbows, palms=palms, tips=tips.reshape(self.tips.shape))


def targets_of(frame: MocapFrame, calibration: OperatorCalibration, hands: HandShapes) -> Targets:
    """Map one frame onto the robot.

    Arms are scaled from the shoulder outwards, shoulders about the middle between them, so that the directions of
    the limbs and the hands' distance from the shoulders are kept.
    """
    middle = frame.shoulders.mean(axis=0)
    shoulders = calibration.torso_scale * middle + calibration.shoulder_scale * (frame.shoulders - middle)
    palm_rotations = np.array([matrix_of(quaternion) for quaternion in frame.wrist_quats])
    in_palm = (frame.hands - frame.hands[:, :1]) @ palm_rotations
    arms, tracked = calibration.arm_scale, frame.tracked
    return Targets(
        head_rotation=matrix_of(frame.head_quat),
        shoulders=shoulders,
        elbows=shoulders + arms * (frame.elbows - frame.shoulders),
        palms=shoulders + arms * (frame.wrist_positions - frame.shoulders),
        palm_rotations=palm_rotations,
        tips=hands.tips_of(in_palm, calibration.hand_scale),
        # A hand is known relative to its wrist only.
        tracked=tracked._replace(
            left_hand=tracked.left_hand and tracked.left_arm, right_hand=tracked.right_hand and tracked.right_arm
        ),
    )


def matrix_of(quaternion: FloatArray) -> FloatArray:
    """Rotation matrix (3, 3) of a quaternion wxyz."""
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)
