"""What people see of the operator before a takeover: how far off, what to move, and a ghost of the robot."""

from __future__ import annotations

import array
from collections.abc import Mapping

import numpy as np
from rclpy.node import Node
from rove_msgs.msg import ControlMode, TeleopTarget
from sensor_msgs.msg import JointState

from rove_core.clocks import NS_PER_S
from rove_core.joint_space import FloatArray, JointSpace
from rove_core.ros import stamps, topics
from rove_hil.supervision.alignment_errors import GroupDifference, PoseComparison
from rove_hil.supervision.guidance import Guidance

# People look at it; 30 Hz is as good to the eye as more.
GHOST_PERIOD_NS = NS_PER_S // 30
# The period is kept on average: a frame that comes this much early is taken, or a source of 30 Hz would give 15.
GHOST_EARLY_NS = NS_PER_S // 120


class OperatorDisplay:
    """Fills the part of a target that is for people, and publishes the ghost. Not thread-safe."""

    def __init__(self, node: Node, space: JointSpace) -> None:
        self._comparison = PoseComparison(space)
        self._guidance = {group: Guidance() for group in space.groups}
        self._ghosts = node.create_publisher(JointState, topics.GHOST, topics.QOS_GHOST)
        self._names = list(space.names)
        self._epoch = -1
        self._ghost_due_ns = 0

    def compare(self, message: TeleopTarget, mode: ControlMode, operator: FloatArray, robot: FloatArray) -> None:
        """Fill the alignment of `message`, which has its `group` and `group_valid`.

        Args:
            operator, robot: joint positions [rad], shape (dim,).
        """
        if mode.mode != ControlMode.MODE_ALIGNING:
            # Nobody aligns any more: a target need not wait for words.
            self._fill(message, self._comparison.in_radians(operator, robot))
            return
        if mode.epoch != self._epoch:
            self._epoch = mode.epoch
            for guidance in self._guidance.values():
                guidance.reset()
        differences = self._comparison.compare(operator, robot, tuple(mode.operator_groups))
        self._fill(message, differences)
        message.guidance = [
            self._guidance[group].update(differences[group].moves if valid else ())
            for group, valid in zip(message.group, message.group_valid, strict=True)
        ]

    @staticmethod
    def _fill(message: TeleopTarget, differences: Mapping[str, GroupDifference]) -> None:
        of = [differences[group] for group in message.group]
        message.alignment_rms = _floats(of, "rms_rad")
        message.alignment_max = _floats(of, "max_rad")
        message.alignment_position_m = _floats(of, "position_m")
        message.alignment_rotation = _floats(of, "rotation_rad")

    def ghost_due(self, now_ns: int) -> bool:
        """Whether it is time for a ghost again. Control time; a clock that went back starts anew."""
        return not 0 < self._ghost_due_ns - now_ns - GHOST_EARLY_NS <= GHOST_PERIOD_NS

    def show_ghost(self, now_ns: int, ros_now_ns: int, operator: FloatArray) -> None:
        """Publish the operator's pose [rad], shape (dim,), at most every 1/30 s."""
        if not self.ghost_due(now_ns):
            return
        self._ghost_due_ns = max(self._ghost_due_ns + GHOST_PERIOD_NS, now_ns)
        ghost = JointState(name=self._names, position=operator.tolist())
        ghost.header.stamp = stamps.to_msg(ros_now_ns)
        self._ghosts.publish(ghost)


def _floats(differences: list[GroupDifference], field: str) -> array.array[float]:
    return array.array("f", np.array([getattr(difference, field) for difference in differences], np.float32).tobytes())
