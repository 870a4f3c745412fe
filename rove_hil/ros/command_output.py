"""Commands in the message that the robot's driver takes. One per tick whoever drives: the stream is the heartbeat."""

from __future__ import annotations

import array
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Duration, Time
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, MultiArrayDimension
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from rove_core.clocks import NS_PER_S
from rove_core.errors import ConfigError, JointNameError, nearest
from rove_core.joint_space import FloatArray, JointSpace
from rove_core.ros import topics

IntArray = npt.NDArray[np.intp]


class CommandOutput(Protocol):
    """Where commands go."""

    def publish(self, stamp: Time, position: FloatArray, velocity: FloatArray) -> None:
        """Send `position` [rad] and `velocity` [rad/s], shape (dim,), order of the JointSpace."""


class JointStateOutput:
    """sensor_msgs/JointState: names, positions, velocities."""

    def __init__(self, node: Node, topic: str, names: list[str], order: IntArray, period_ns: int) -> None:  # noqa: ARG002
        self._order = order
        self._message = JointState(name=names)
        self._publisher = node.create_publisher(JointState, topic, topics.QOS_COMMAND)

    def publish(self, stamp: Time, position: FloatArray, velocity: FloatArray) -> None:
        """See CommandOutput."""
        message = self._message
        message.header.stamp = stamp
        message.position = _doubles(position[self._order])
        message.velocity = _doubles(velocity[self._order])
        self._publisher.publish(message)


class PositionArrayOutput:
    """std_msgs/Float64MultiArray: positions alone, for ros2_control's forward command controllers."""

    def __init__(self, node: Node, topic: str, names: list[str], order: IntArray, period_ns: int) -> None:  # noqa: ARG002
        self._order = order
        self._message = Float64MultiArray()
        self._message.layout.dim = [MultiArrayDimension(label="joint", size=len(names), stride=len(names))]
        self._publisher = node.create_publisher(Float64MultiArray, topic, topics.QOS_COMMAND)

    def publish(self, stamp: Time, position: FloatArray, velocity: FloatArray) -> None:  # noqa: ARG002
        """See CommandOutput."""
        self._message.data = _doubles(position[self._order])
        self._publisher.publish(self._message)


class TrajectoryOutput:
    """trajectory_msgs/JointTrajectory: one point, to be reached a tick from now.

    Positions alone: a controller refuses a trajectory that ends with a velocity unless told otherwise
    (`allow_nonzero_velocity_at_trajectory_end`), and between positions it moves linearly. The stamp is 0, which
    means now by the controller's own clock.
    """

    def __init__(self, node: Node, topic: str, names: list[str], order: IntArray, period_ns: int) -> None:
        self._order = order
        seconds, rest_ns = divmod(period_ns, NS_PER_S)
        self._point = JointTrajectoryPoint(time_from_start=Duration(sec=seconds, nanosec=rest_ns))
        self._message = JointTrajectory(joint_names=names, points=[self._point])
        self._publisher = node.create_publisher(JointTrajectory, topic, topics.QOS_COMMAND)

    def publish(self, stamp: Time, position: FloatArray, velocity: FloatArray) -> None:  # noqa: ARG002
        """See CommandOutput."""
        self._point.positions = _doubles(position[self._order])
        self._publisher.publish(self._message)


# (node, topic, joint names, their places in the JointSpace, tick [ns]) -> output
_Maker = Callable[[Node, str, list[str], IntArray, int], CommandOutput]

# Kind -> how it is made, and the topic where such drivers usually listen.
OUTPUTS: Mapping[str, tuple[_Maker, str]] = {
    "joint_state": (JointStateOutput, topics.JOINT_COMMANDS),
    "position_array": (PositionArrayOutput, "/forward_position_controller/commands"),
    "trajectory": (TrajectoryOutput, "/joint_trajectory_controller/joint_trajectory"),
}


def command_output(
    node: Node, space: JointSpace, kind: str, topic: str, joints: tuple[str, ...], period_ns: int
) -> CommandOutput:
    """The output that parameters ask for.

    Args:
        kind: a key of OUTPUTS. topic: "" for the usual one of that kind.
        joints: all joints of the robot in the order that the driver wants; empty for the robot's own.

    Raises:
        ConfigError: no such kind, or the joints are not exactly the robot's.
    """
    if kind not in OUTPUTS:
        raise ConfigError(f"parameter 'output': there is no '{kind}', {nearest(kind, OUTPUTS)}")
    names = list(joints or space.names)
    try:
        space.order_of(names)
    except JointNameError as error:
        raise ConfigError(f"parameter 'output_joints': {error}") from None
    order = np.array([space.index(name) for name in names], dtype=np.intp)
    make, usual_topic = OUTPUTS[kind]
    return make(node, topic or usual_topic, names, order, period_ns)


def _doubles(values: FloatArray) -> array.array[float]:
    return array.array("d", values.tobytes())
