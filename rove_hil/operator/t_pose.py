"""Measures an operator's body from a second of standing in a T-pose: arms straight out to the sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rove_core.clocks import NS_PER_S
from rove_core.errors import RoveError
from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.operator.mocap import SIDES, MocapFrame
from rove_hil.operator.operator_calibration import OperatorCalibration
from rove_hil.retargeting.kinematics import Kinematics

# What is looked at: the last second, with no less than this share of it tracked.
WINDOW_S = 1.0
TRACKED_SHARE = 0.9
FEWEST_FRAMES = 20
# How far an arm may hang from straight out [rad], and an elbow be bent [rad]. People hold 10 degrees; a bent elbow
# makes the arm no shorter here (bones are added up), but tells of another pose.
MOST_TILT_RAD = 0.45
MOST_BEND_RAD = 0.45
# How far a wrist may wander meanwhile (standard deviation) [m].
MOST_WANDER_M = 0.02
# The hand's length: along the keypoints from the wrist through the middle finger, bent or not.
_MIDDLE_FINGER = (0, 9, 10, 11, 12)


class CalibrationError(RoveError, ValueError):
    """The operator's pose cannot be measured; the message says what to do differently."""


@dataclass(frozen=True, slots=True)
class BodySize:
    """Lengths of a body [m]; `hand` is None when no hand was tracked."""

    arm: float
    shoulder_width: float
    torso: float
    hand: float | None

    @classmethod
    def of_robot(cls, space: JointSpace) -> BodySize:
        """The robot's own."""
        frame = Kinematics(space).frame_from_joints(np.zeros(space.dim))
        return _size([frame])


def measure(frames: Sequence[MocapFrame]) -> BodySize:
    """The operator's body: medians over the last second of `frames`.

    Raises:
        CalibrationError: too few frames, arms not tracked, or no T-pose.
    """
    if not frames:
        raise CalibrationError("no motion-capture frame", "is the source sending?")
    window = [frame for frame in frames if frame.capture_ns > frames[-1].capture_ns - WINDOW_S * NS_PER_S]
    covered_s = (frames[-1].capture_ns - frames[0].capture_ns) / NS_PER_S
    if covered_s < 0.9 * WINDOW_S or len(window) < FEWEST_FRAMES:
        raise CalibrationError(
            f"{len(window)} frames in {min(covered_s, WINDOW_S):.1f} s are too few",
            f"hold the pose for {WINDOW_S:.0f} s with at least {FEWEST_FRAMES} frames a second",
        )
    tracked = [frame for frame in window if frame.tracked.left_arm and frame.tracked.right_arm]
    if len(tracked) < TRACKED_SHARE * len(window):
        raise CalibrationError(
            f"arms were tracked in {len(tracked)} of {len(window)} frames",
            "stand where the tracker sees both arms",
        )
    _check_pose(tracked)
    return _size(tracked)


def _check_pose(frames: Sequence[MocapFrame]) -> None:
    shoulders = np.array([frame.shoulders for frame in frames])
    elbows = np.array([frame.elbows for frame in frames])
    wrists = np.array([frame.wrist_positions for frame in frames])
    wander = np.linalg.norm(wrists.std(axis=0), axis=1)
    for side, name in enumerate(SIDES):
        outwards = np.array([0.0, 1.0 if name == "left" else -1.0, 0.0])
        tilt = _angle(np.median(wrists[:, side] - shoulders[:, side], axis=0), outwards)
        if tilt > MOST_TILT_RAD:
            raise CalibrationError(
                f"no T-pose: the {name} arm points {np.rad2deg(tilt):.0f} degrees off straight out",
                "raise both arms to shoulder height, straight out to the sides",
            )
        upper, fore = elbows[:, side] - shoulders[:, side], wrists[:, side] - elbows[:, side]
        bend = _angle(np.median(upper, axis=0), np.median(fore, axis=0))
        if bend > MOST_BEND_RAD:
            raise CalibrationError(
                f"no T-pose: the {name} elbow is bent by {np.rad2deg(bend):.0f} degrees", "straighten both arms"
            )
        if wander[side] > MOST_WANDER_M:
            raise CalibrationError(
                f"the {name} wrist moved by {1e2 * wander[side]:.0f} cm meanwhile", f"stand still for {WINDOW_S:.0f} s"
            )


def _angle(a: FloatArray, b: FloatArray) -> float:
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.arccos(np.clip(a @ b / lengths, -1.0, 1.0))) if lengths > 0 else np.pi


def _size(frames: Sequence[MocapFrame]) -> BodySize:
    def length(start: str, end: str) -> FloatArray:
        return np.array([np.linalg.norm(getattr(f, end) - getattr(f, start), axis=1) for f in frames])

    arms = length("shoulders", "elbows") + length("elbows", "wrist_positions")
    widths = [np.linalg.norm(frame.shoulders[0] - frame.shoulders[1]) for frame in frames]
    torsos = [frame.shoulders[:, 2].mean() for frame in frames]
    hands = [
        np.linalg.norm(np.diff(frame.hands[side, _MIDDLE_FINGER], axis=0), axis=1).sum()
        for frame in frames
        for side, tracked in enumerate((frame.tracked.left_hand, frame.tracked.right_hand))
        if tracked
    ]
    hand = float(np.median(hands)) if hands else None
    return BodySize(float(np.median(arms)), float(np.median(widths)), float(np.median(torsos)), hand)


def calibration_of(operator: BodySize, robot: BodySize) -> OperatorCalibration:
    """Scales from the operator's body to the robot's.

    The hand's stays 1: every frame tells the lengths of the fingers, and a finger is straight on every hand when it is
    scaled by those.

    Raises:
        CalibrationError: no person has such lengths.
    """
    scales = {
        "torso_scale": robot.torso / max(operator.torso, 1e-6),
        "shoulder_scale": robot.shoulder_width / max(operator.shoulder_width, 1e-6),
        "arm_scale": robot.arm / max(operator.arm, 1e-6),
    }
    for name, scale in scales.items():
        if not 0.5 <= scale <= 2.0:
            raise CalibrationError(
                f"{name.removesuffix('_scale')} is {1 / scale:.2f} times the robot's: nobody is built like that",
                "are the source's positions in metres, with the origin between the hips?",
            )
    return OperatorCalibration(**scales)
