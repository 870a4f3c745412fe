"""BVH files: whole-body motion capture as text, and what of it a robot's upper body can follow.

A BVH skeleton stands in a T-pose at rest, with y up, z forward and x to the left. Lengths have no unit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rove_core.errors import WireError
from rove_core.joint_space import JointSpace
from rove_hil.operator.mocap import KEYPOINTS, SIDES, MocapFrame, Tracked
from rove_hil.retargeting.kinematics import Kinematics, quaternion_of

FloatArray = npt.NDArray[np.float64]

_AXES = {"X": 0, "Y": 1, "Z": 2}
# The base's axes (x forward, y left, z up) in those of BVH.
_BASE_FROM_BVH = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
# The palm's axes in the base's when a person stands in a T-pose: x along the fingers, z out of the back of the hand.
_T_POSE_PALM = np.array(
    [
        [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
        [[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
    ]
)
# Tracked hands are in the wrist's frame of their data set: z along the fingers, x out of the palm, y to the thumb.
_PALM_FROM_HAND_DATA = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])


@dataclass(frozen=True, slots=True)
class Bvh:
    """A skeleton and its motion.

    Attributes:
        names: joints, parents first; end sites are left out.
        parents: index of each joint's parent, -1 for the root, shape (joints,).
        offsets: from the parent, in the file's unit, shape (joints, 3).
        channels: (joint, "position" or "rotation", axis) of each column of `motion`.
        motion: shape (frames, columns); degrees and the file's unit.
        frame_s: time between frames [s].
    """

    names: tuple[str, ...]
    parents: npt.NDArray[np.intp]
    offsets: FloatArray
    channels: tuple[tuple[int, str, int], ...]
    motion: FloatArray
    frame_s: float

    def poses(self) -> tuple[FloatArray, FloatArray]:
        """Joint positions (frames, joints, 3) and rotations (frames, joints, 3, 3) in the file's world."""
        frames, joints = len(self.motion), len(self.names)
        local = np.tile(np.eye(3), (frames, joints, 1, 1))
        shift = np.tile(self.offsets, (frames, 1, 1))
        for column, (joint, kind, axis) in enumerate(self.channels):
            values = self.motion[:, column]
            if kind == "position":
                shift[:, joint, axis] = self.offsets[joint, axis] + values
            else:
                local[:, joint] = local[:, joint] @ _about(axis, np.deg2rad(values))
        positions, rotations = np.empty((frames, joints, 3)), np.empty((frames, joints, 3, 3))
        for joint, parent in enumerate(self.parents):
            if parent < 0:
                positions[:, joint], rotations[:, joint] = shift[:, joint], local[:, joint]
                continue
            turn = rotations[:, parent]
            rotations[:, joint] = turn @ local[:, joint]
            positions[:, joint] = positions[:, parent] + (turn @ shift[:, joint, :, None])[..., 0]
        return positions, rotations


def read_bvh(path: str | Path) -> Bvh:
    """Read a BVH file.

    Raises:
        WireError: it cannot be read or is not BVH.
    """
    try:
        lines = [line.split() for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise WireError(f"cannot read {path}: {error}") from None
    try:
        start = lines.index(["MOTION"])
        names, parents, offsets, channels = _hierarchy(lines[:start])
        frames, frame_s = int(lines[start + 1][1]), float(lines[start + 2][2])
        motion = np.array(lines[start + 3 : start + 3 + frames], dtype=np.float64)
    except (ValueError, IndexError, KeyError) as error:
        raise WireError(f"{path} is not a BVH file: {error}") from None
    if motion.shape != (frames, len(channels)) or not np.isfinite(motion).all() or not frame_s > 0:
        raise WireError(f"{path}: motion of shape {motion.shape}, expected {frames} frames of {len(channels)} channels")
    return Bvh(
        tuple(names), np.array(parents, dtype=np.intp), np.array(offsets, dtype=np.float64), channels, motion, frame_s
    )


_Hierarchy = tuple[list[str], list[int], list[list[float]], tuple[tuple[int, str, int], ...]]


def _hierarchy(lines: list[list[str]]) -> _Hierarchy:
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[tuple[int, str, int]] = []
    stack: list[int] = []  # joints that are open; -1 for an end site
    current = -1
    for word, *rest in lines:
        if word in ("ROOT", "JOINT"):
            current = len(names)
            names.append(rest[0])
            parents.append(stack[-1] if stack else -1)
            offsets.append([0.0, 0.0, 0.0])
        elif word == "End":
            current = -1
        elif word == "{":
            stack.append(current)
        elif word == "}":
            stack.pop()
        elif word == "OFFSET" and stack[-1] >= 0:
            offsets[stack[-1]] = [float(value) for value in rest]
        elif word == "CHANNELS":
            channels += [(stack[-1], name[1:], _AXES[name[0]]) for name in rest[1:]]
    return names, parents, offsets, tuple(channels)


def _about(axis: int, angle: FloatArray) -> FloatArray:
    """Rotations about a coordinate axis, shape (n, 3, 3)."""
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.tile(np.eye(3), (len(angle), 1, 1))
    matrix[:, first, first] = matrix[:, second, second] = np.cos(angle)
    matrix[:, second, first] = np.sin(angle)
    matrix[:, first, second] = -np.sin(angle)
    return matrix


def mocap_frames(
    bvh: Bvh, space: JointSpace, hand_keypoints: FloatArray | None = None, hand_rate_hz: float = 30.0
) -> Iterator[MocapFrame]:
    """The upper body of a CMU skeleton as frames of the mocap wire, relative to the hips and sized as the robot.

    The directions of the limbs are the person's, their lengths the robot's. Capture times count from 0.

    Args:
        bvh: with the joint names of the CMU database.
        space: joints of the robot.
        hand_keypoints: of a right hand [m], shape (n, 21, 3), wrist at the origin; mirrored for the left one.
            Without them the hands are not tracked.
        hand_rate_hz: of `hand_keypoints`; in between, and after the last, frames repeat (nothing is interpolated).

    Raises:
        WireError: the skeleton has other joints.
    """
    try:
        hips, head, *arms = (
            bvh.names.index(name)
            for name in ("Hips", "Head", "LeftArm", "RightArm", "LeftForeArm", "RightForeArm", "LeftHand", "RightHand")
        )
    except ValueError as error:
        raise WireError(f"not a CMU skeleton: {error}") from None
    positions, rotations = bvh.poses()
    to_base = _BASE_FROM_BVH @ rotations[:, hips].transpose(0, 2, 1)  # of vectors in the file's world
    points = (to_base[:, None] @ (positions[:, arms] - positions[:, hips, None])[..., None])[..., 0]
    points = _with_robot_lengths(points.reshape(-1, 3, 2, 3), Kinematics(space))
    # At rest a joint's axes are the world's: turn those into the base's on both sides.
    turns = to_base[:, None] @ rotations[:, [head, *arms[4:]]] @ _BASE_FROM_BVH.T
    palms = turns[:, 1:] @ _T_POSE_PALM
    hands = _hands(points[:, 2], palms, hand_keypoints, bvh.frame_s, hand_rate_hz)
    with_hands = hand_keypoints is not None
    tracked = Tracked(left_hand=with_hands, right_hand=with_hands)
    eyes_over_shoulders = np.array([0.0, 0.0, 0.22])  # of a person; nothing is retargeted from it
    head_position = points[:, 0].mean(axis=1) + eyes_over_shoulders
    for index in range(len(points)):
        yield MocapFrame(
            sequence=index,
            capture_ns=round(index * bvh.frame_s * 1e9),
            head_position=head_position[index],
            head_quat=quaternion_of(turns[index, 0]),
            shoulders=points[index, 0],
            elbows=points[index, 1],
            wrist_positions=points[index, 2],
            wrist_quats=np.array([quaternion_of(palm) for palm in palms[index]]),
            hands=hands[index],
            tracked=tracked,
        )


def _with_robot_lengths(points: FloatArray, kinematics: Kinematics) -> FloatArray:
    """Shoulders, elbows, wrists (frames, 3, 2, 3), in any unit, with the lengths of the robot [m]."""
    kinematics.forward(np.zeros(kinematics.dim))
    robot = np.array(
        [
            kinematics.site_positions(kinematics.sites(*(f"{side}_{part}_site" for side in SIDES)))
            for part in ("shoulder", "elbow", "palm")
        ]
    )
    middle = points[:, 0].mean(axis=1, keepdims=True)
    across = points[:, 0] - middle
    width = np.linalg.norm(robot[0, 0] - robot[0, 1]) / np.median(np.linalg.norm(across[:, 0] - across[:, 1], axis=-1))
    height = robot[0, :, 2].mean() / np.median(middle[..., 2])
    shoulders = height * middle + width * across
    result = [shoulders]
    for part in (1, 2):
        bone = points[:, part] - points[:, part - 1]
        length = np.linalg.norm(robot[part] - robot[part - 1], axis=-1, keepdims=True)
        result.append(result[-1] + length * bone / np.linalg.norm(bone, axis=-1, keepdims=True))
    return np.stack(result, axis=1)


def _hands(
    wrists: FloatArray, palms: FloatArray, keypoints: FloatArray | None, frame_s: float, rate_hz: float
) -> FloatArray:
    """Hand keypoints in the base frame [m], shape (frames, 2, 21, 3)."""
    if keypoints is None:
        return np.tile(wrists[:, :, None], (1, 1, KEYPOINTS, 1))
    which = np.minimum((np.arange(len(wrists)) * frame_s * rate_hz).astype(np.intp), len(keypoints) - 1)
    right = keypoints[which] @ _PALM_FROM_HAND_DATA.T
    both = np.stack([right * [1.0, -1.0, 1.0], right], axis=1)
    return np.asarray(both @ palms.transpose(0, 1, 3, 2) + wrists[:, :, None])
