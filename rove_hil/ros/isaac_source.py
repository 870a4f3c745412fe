"""The ROS topics of NVIDIA IsaacTeleop as a motion-capture source. `isaac_teleop` says what they hold."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import Pose, PoseStamped
from rclpy.node import Node

from rove_core.errors import RoveError, WireError
from rove_core.joint_space import JointSpace
from rove_core.ros import stamps
from rove_hil.operator.isaac_teleop import IsaacBody, NamedPoses
from rove_hil.operator.mocap import FrameRefusedError, MocapFrame, decode, encode

# Relative, as IsaacTeleop publishes them: remap or push a namespace as on its side.
HANDS = "xr_teleop/hand"
WRISTS = "xr_teleop/ee_poses"
HEAD = "xr_teleop/head_pose"
# What IsaacTeleop publishes with.
_DEPTH = 10


class IsaacSource:
    """A `MocapSource` fed by subscriptions of `node`. Callbacks put frames together; one other thread polls.

    Raises:
        RoveError: IsaacTeleop's messages are not installed.
    """

    def __init__(self, node: Node, space: JointSpace, axes: str, size: float) -> None:
        try:
            from teleop_ros2_interfaces.msg import NamedPoseArray
        except ImportError:
            raise RoveError(
                "motion capture from IsaacTeleop needs its messages (teleop_ros2_interfaces)",
                "build them in your workspace: examples/teleop_ros2/teleop_ros2_interfaces of NVIDIA/IsaacTeleop",
            ) from None
        self.received = 0
        self.dropped = 0
        self.rejected: Counter[str] = Counter()
        self.last_refusal = ""
        self._body = IsaacBody(space, axes, size)
        self._newest: MocapFrame | None = None
        self._arrived = threading.Condition()
        self._node = node
        self._subscriptions = [
            node.create_subscription(
                NamedPoseArray, WRISTS, lambda message: self._take(self._on_wrists, message), _DEPTH
            ),
            node.create_subscription(
                NamedPoseArray, HANDS, lambda message: self._take(self._on_hands, message), _DEPTH
            ),
            node.create_subscription(PoseStamped, HEAD, lambda message: self._take(self._on_head, message), _DEPTH),
        ]

    def poll(self, timeout_s: float) -> MocapFrame | None:
        """The newest frame, waiting up to `timeout_s` [s] for one."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._newest is not None, timeout_s)
            frame, self._newest = self._newest, None
            return frame

    def close(self) -> None:
        """End the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _take(self, convert: Any, message: Any) -> None:
        try:
            frame = convert(message)
            if frame is None:
                return
            # The same checks as on the wire: finite, near, rotations.
            frame = decode(encode(frame))
        except WireError as error:
            reason = error.reason if isinstance(error, FrameRefusedError) else "malformed"
            with self._arrived:
                self.rejected[reason] += 1
                self.last_refusal = str(error)
            return
        with self._arrived:
            self.received += 1
            self.dropped += self._newest is not None
            self._newest = frame
            self._arrived.notify()

    def _on_wrists(self, message: Any) -> MocapFrame | None:
        return self._body.wrists(named_poses(message))

    def _on_hands(self, message: Any) -> None:
        self._body.hands(named_poses(message))

    def _on_head(self, message: PoseStamped) -> MocapFrame | None:
        return self._body.head(_poses(message.header, ["head"], [message.pose], [True]))


def named_poses(message: Any) -> NamedPoses:
    """A NamedPoseArray without ROS. Raises WireError when its lists differ in length."""
    return _poses(message.header, message.name, message.pose, message.is_valid)


def _poses(header: Any, names: Sequence[str], poses: Sequence[Pose], valid: Sequence[bool]) -> NamedPoses:
    positions = [(pose.position.x, pose.position.y, pose.position.z) for pose in poses]
    turns = [(pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w) for pose in poses]
    return NamedPoses(
        names=list(names),
        positions=np.array(positions, dtype=np.float64).reshape(-1, 3),
        quaternions=np.array(turns, dtype=np.float64).reshape(-1, 4),
        valid=[bool(flag) for flag in valid],
        stamp_ns=stamps.to_ns(header.stamp),
        frame_id=header.frame_id,
    )
