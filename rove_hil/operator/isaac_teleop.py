"""NVIDIA IsaacTeleop's ROS topics as motion-capture frames. Nothing of ROS here: `ros/isaac_source` subscribes.

Verified in the sources of IsaacTeleop's `teleop_ros2` example (mode `hand_teleop`):

- `xr_teleop/ee_poses`: NamedPoseArray, "left" and "right", the OpenXR wrist joints;
- `xr_teleop/hand`: NamedPoseArray, "left_WRIST" ... "right_LITTLE_TIP", 25 OpenXR joints of either hand;
- `xr_teleop/head_pose`: PoseStamped, missing while the head is not tracked.

A NamedPoseArray holds `name`, `pose` and `is_valid`, of equal length. All three are published in one loop with one
stamp, the head last. Positions are metres, quaternions xyzw, right-handed, in the axes of OpenXR (x right, y up, z
backward) unless the publisher's `transform_rotation` R turns them: a pose (p, Q) is published as (R p, R Q R^-1).
With OpenXR's convention for joints, -z along the fingers and y out of the back of the hand, that makes x the fingers'
and z the back's direction once R leads to ROS axes: the convention of `MocapFrame`.

Shoulders and elbows are on no topic. Shoulders are put under the head as on a person of the robot's build; elbows by
the lengths of the arm, bent down and outwards. The base frame stays where the operator stood and looked when the head
was first seen, or seen again after a second without: a headset that is put on anew is an operator who stands anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rove_core.clocks import NS_PER_S
from rove_core.errors import WireError
from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.operator.mocap import FINGERS, KEYPOINTS, SIDES, MocapFrame, Tracked
from rove_hil.operator.operator_calibration import matrix_of
from rove_hil.retargeting.kinematics import Kinematics, quaternion_of

# OpenXR hand joints that are MANO keypoints; the palm and the metacarpals of the four fingers are not.
JOINTS = (
    "WRIST",
    *(f"THUMB_{part}" for part in ("METACARPAL", "PROXIMAL", "DISTAL", "TIP")),
    *(f"{finger.upper()}_{part}" for finger in FINGERS[1:] for part in ("PROXIMAL", "INTERMEDIATE", "DISTAL", "TIP")),
)
# ROS axes of a vector in OpenXR axes: x forward is -z, y left is -x, z up is y.
ROS_FROM_OPENXR = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
AXES = {"openxr": ROS_FROM_OPENXR, "ros": np.eye(3)}
# Away for longer than this, the headset has been taken off [s].
HEAD_LOST_S = 1.0
# Elbows hang, a little outwards.
_ELBOW_DROPS = np.array([[0.0, 0.3, -1.0], [0.0, -0.3, -1.0]])
_QUATERNION_TOLERANCE = 1e-2


@dataclass(frozen=True, slots=True)
class NamedPoses:
    """One message: names, positions [m] (n, 3), quaternions xyzw (n, 4), valid (n,), stamp [ns], frame."""

    names: Sequence[str]
    positions: FloatArray
    quaternions: FloatArray
    valid: Sequence[bool]
    stamp_ns: int
    frame_id: str = ""

    def __post_init__(self) -> None:
        count = len(self.names)
        if self.positions.shape != (count, 3) or self.quaternions.shape != (count, 4) or len(self.valid) != count:
            shapes = f"{len(self.positions)} poses, {len(self.valid)} validities"
            raise WireError(f"named poses: {count} names for {shapes}: they must be as many")

    def usable(self, index: int) -> bool:
        """Whether pose `index` is valid, finite and has a rotation."""
        numbers = np.concatenate([self.positions[index], self.quaternions[index]])
        norm = float(np.linalg.norm(self.quaternions[index]))
        return bool(self.valid[index] and np.isfinite(numbers).all() and abs(norm - 1.0) < _QUATERNION_TOLERANCE)


@dataclass(frozen=True, slots=True)
class Build:
    """A person's proportions [m], base frame, pairs (left, right): shape (2, 3), and two lengths."""

    eyes: FloatArray
    shoulders: FloatArray
    upper_arm: float
    forearm: float

    @classmethod
    def like(cls, space: JointSpace, size: float) -> Build:
        """The robot's own proportions, `size` times as large."""
        body = Kinematics(space).frame_from_joints(np.zeros(space.dim))
        upper = float(np.linalg.norm(body.elbows[0] - body.shoulders[0]))
        fore = float(np.linalg.norm(body.wrist_positions[0] - body.elbows[0]))
        return cls(size * body.head_position, size * body.shoulders, size * upper, size * fore)


class IsaacBody:
    """Puts the topics of one moment together.

    Call `hands` and `wrists` as messages arrive and `head` last; a frame comes of each `wrists`, with `head` or, when
    the head did not follow, as the next `wrists` arrives.

    Args:
        space: of the robot.
        axes: of what is published, "openxr" or "ros".
        size: of the operator over the robot's.
    """

    def __init__(self, space: JointSpace, axes: str = "openxr", size: float = 1.0) -> None:
        if axes not in AXES:
            raise WireError(f"no axes '{axes}'", f"known are: {', '.join(AXES)}")
        self._turn = AXES[axes]
        self._build = Build.like(space, size)
        self._hands: NamedPoses | None = None
        self._wrists: NamedPoses | None = None
        self._base: tuple[FloatArray, FloatArray] | None = None  # origin, rotation base to world
        self._head: tuple[FloatArray, FloatArray] | None = None
        self._head_ns = 0
        self._sequence = 0

    def hands(self, poses: NamedPoses) -> None:
        """Take a message of `xr_teleop/hand`."""
        self._hands = poses

    def wrists(self, poses: NamedPoses) -> MocapFrame | None:
        """Take a message of `xr_teleop/ee_poses`. Returns the frame before, when its head never came."""
        frame = None if self._wrists is None else self._frame(self._wrists, head_seen=False)
        self._wrists = poses
        return frame

    def head(self, pose: NamedPoses) -> MocapFrame | None:
        """Take a message of `xr_teleop/head_pose`, as one pose. Returns the frame of this moment."""
        if pose.usable(0):
            position, rotation = self._in_world(pose, 0)
            if self._base is None or pose.stamp_ns - self._head_ns > HEAD_LOST_S * NS_PER_S:
                self._base = self._stand(position, rotation)
            self._head, self._head_ns = (position, rotation), pose.stamp_ns
        wrists, self._wrists = self._wrists, None
        if wrists is None:
            return None
        if wrists.frame_id != pose.frame_id:
            raise WireError(
                f"ee_poses are in frame '{wrists.frame_id}', the head is in '{pose.frame_id}'",
                "publish both in the world's frame (ee_poses_frame:=world)",
            )
        return self._frame(wrists, head_seen=pose.usable(0))

    def _in_world(self, poses: NamedPoses, index: int) -> tuple[FloatArray, FloatArray]:
        """Position and rotation matrix in a world with ROS axes."""
        rotation = matrix_of(np.roll(poses.quaternions[index], 1))
        return self._turn @ poses.positions[index], self._turn @ rotation @ self._turn.T

    def _stand(self, head: FloatArray, rotation: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The base of somebody whose head is there: upright, as he looks, his hips under his head."""
        yaw = np.arctan2(rotation[1, 0], rotation[0, 0])
        turn = np.array([[np.cos(yaw), -np.sin(yaw), 0.0], [np.sin(yaw), np.cos(yaw), 0.0], [0.0, 0.0, 1.0]])
        return head - turn @ self._build.eyes, turn

    def _frame(self, wrists: NamedPoses, *, head_seen: bool) -> MocapFrame | None:
        if self._base is None or self._head is None:
            return None  # nobody has put the headset on yet
        origin, turn = self._base
        head_position = turn.T @ (self._head[0] - origin)
        shoulders = head_position - self._build.eyes + self._build.shoulders
        positions, quats, hands = shoulders.copy(), np.tile([1.0, 0.0, 0.0, 0.0], (2, 1)), np.zeros((2, KEYPOINTS, 3))
        seen = np.zeros(2, dtype=np.bool_)
        for side, name in enumerate(SIDES):
            index = list(wrists.names).index(name) if name in wrists.names else -1
            if index >= 0 and wrists.usable(index):
                position, rotation = self._in_world(wrists, index)
                positions[side], quats[side] = turn.T @ (position - origin), quaternion_of(turn.T @ rotation)
                seen[side] = True
        keypoints = [self._keypoints(name, wrists.stamp_ns) for name in SIDES]
        for side, points in enumerate(keypoints):
            hands[side] = positions[side] if points is None else (points - origin) @ turn
        self._sequence += 1
        arms = seen & head_seen  # shoulders hang on the head
        return MocapFrame(
            sequence=self._sequence,
            capture_ns=wrists.stamp_ns,
            head_position=head_position,
            head_quat=quaternion_of(turn.T @ self._head[1]),
            shoulders=shoulders,
            elbows=elbows_of(shoulders, positions, self._build.upper_arm, self._build.forearm),
            wrist_positions=positions,
            wrist_quats=quats,
            hands=hands,
            tracked=Tracked(head_seen, *arms.tolist(), *(points is not None for points in keypoints)),
            source="isaac",
        )

    def _keypoints(self, side: str, stamp_ns: int) -> FloatArray | None:
        """MANO keypoints of one hand in the world, shape (21, 3), if all of them are valid at `stamp_ns`."""
        hands = self._hands
        if hands is None or hands.stamp_ns != stamp_ns:
            return None
        place = {name.upper(): index for index, name in enumerate(hands.names)}
        indices = [place.get(f"{side}_{joint}".upper(), -1) for joint in JOINTS]
        if min(indices) < 0 or not all(hands.usable(index) for index in indices):
            return None
        return np.asarray(hands.positions[indices] @ self._turn.T)


def elbows_of(shoulders: FloatArray, wrists: FloatArray, upper_arm: float, forearm: float) -> FloatArray:
    """Elbows [m], shape (2, 3), of arms with these lengths that hang as arms do; straight when out of reach."""
    result = np.empty((2, 3))
    for side in range(2):
        along = wrists[side] - shoulders[side]
        distance = float(np.linalg.norm(along))
        along = along / distance if distance > 1e-6 else np.array([1.0, 0.0, 0.0])
        if distance >= upper_arm + forearm:
            result[side] = shoulders[side] + along * distance * upper_arm / (upper_arm + forearm)
            continue
        reach = max(distance, abs(upper_arm - forearm) + 1e-3)
        forward = (reach**2 + upper_arm**2 - forearm**2) / (2.0 * reach)
        aside = _ELBOW_DROPS[side] - (_ELBOW_DROPS[side] @ along) * along
        if np.linalg.norm(aside) < 1e-3:  # an arm along that very direction bends backwards
            aside = np.array([-1.0, 0.0, 0.0]) + along[0] * along
        height = np.sqrt(max(upper_arm**2 - forward**2, 0.0))
        result[side] = shoulders[side] + forward * along + height * aside / np.linalg.norm(aside)
    return result
