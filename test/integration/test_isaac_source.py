"""IsaacTeleop's topics over DDS into retarget_node, with its own messages where they are installed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
from rclpy.node import Node
from rove_msgs.msg import ControlMode, TeleopTarget
from sensor_msgs.msg import JointState

from rove_core.joint_space import JointSpace
from rove_core.modes import Mode
from rove_core.ros import stamps, topics
from rove_hil.operator.isaac_teleop import JOINTS
from rove_hil.operator.mocap import SIDES
from rove_hil.retargeting.kinematics import Kinematics

SPACE = JointSpace.load("iron_r01")
DEADLINE_S = 30.0
NODE = [sys.executable, "-m", "rove_hil.ros.retarget_node", "--ros-args", "-p", "mocap_url:=isaac", "-p"]

installed = find_spec("teleop_ros2_interfaces") is not None


@pytest.mark.skipif(installed, reason="IsaacTeleop's messages are installed")
def test_without_its_messages_the_node_says_what_is_missing_and_ends(domain_id: int) -> None:
    ended = subprocess.run([*NODE, "isaac_axes:=ros"], capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert ended.returncode == 1
    assert "teleop_ros2_interfaces" in ended.stderr
    assert "Traceback" not in ended.stderr


class Isaac:
    """Publishes somebody with the robot's body, in a world with ROS axes, as teleop_ros2 does: head last."""

    def __init__(self, node: Node, q: np.ndarray) -> None:
        from teleop_ros2_interfaces.msg import NamedPoseArray

        self._message = NamedPoseArray
        self._wrists = node.create_publisher(NamedPoseArray, "xr_teleop/ee_poses", 10)
        self._hands = node.create_publisher(NamedPoseArray, "xr_teleop/hand", 10)
        self._head = node.create_publisher(PoseStamped, "xr_teleop/head_pose", 10)
        self._person = Kinematics(SPACE).frame_from_joints(q)

    def publish(self) -> None:
        person, stamp = self._person, stamps.to_msg(time.time_ns())
        wrists, hands = self._message(), self._message()
        for side, name in enumerate(SIDES):
            _add(wrists, name, person.wrist_positions[side], person.wrist_quats[side])
            for joint, point in zip(JOINTS, person.hands[side], strict=True):
                _add(hands, f"{name}_{joint}", point, np.array([1.0, 0.0, 0.0, 0.0]))
        head = PoseStamped(pose=_pose(person.head_position, person.head_quat))
        for message in (wrists, hands, head):
            message.header.stamp, message.header.frame_id = stamp, "world"
        self._wrists.publish(wrists)
        self._hands.publish(hands)
        self._head.publish(head)


def _pose(position: np.ndarray, wxyz: np.ndarray) -> Pose:
    x, y, z = position.tolist()
    qw, qx, qy, qz = wxyz.tolist()
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


def _add(message: object, name: str, position: np.ndarray, wxyz: np.ndarray) -> None:
    message.name.append(name)  # type: ignore[attr-defined]
    message.pose.append(_pose(position, wxyz))  # type: ignore[attr-defined]
    message.is_valid.append(True)  # type: ignore[attr-defined]


@pytest.mark.skipif(not installed, reason="IsaacTeleop's messages (teleop_ros2_interfaces) are not installed")
def test_a_headset_on_isaac_teleop_moves_the_robot(domain_id: int) -> None:
    pose = SPACE.home.copy()
    pose[SPACE.groups["head"]] = 0.0
    pose[SPACE.groups["right_arm"]] += [-0.3, -0.1, 0.1, -0.2, 0.2, 0.1, 0.0]
    rclpy.init()
    node = rclpy.create_node("headset")
    targets: list[TeleopTarget] = []
    node.create_subscription(TeleopTarget, topics.TELEOP_TARGET, targets.append, topics.QOS_TELEOP_TARGET)
    states = node.create_publisher(JointState, topics.JOINT_STATES, topics.QOS_JOINT_STATES)
    modes = node.create_publisher(ControlMode, topics.MODE, topics.QOS_MODE)
    isaac = Isaac(node, pose)
    process = subprocess.Popen([*NODE, "isaac_axes:=ros"])
    try:
        deadline = time.monotonic() + DEADLINE_S
        while len(targets) < 10:
            assert time.monotonic() < deadline, "no targets"
            assert process.poll() is None
            states.publish(JointState(name=list(SPACE.names), position=SPACE.home.tolist()))
            modes.publish(ControlMode(mode=Mode.ALIGNING.number, epoch=1))
            isaac.publish()
            rclpy.spin_once(node, timeout_sec=0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        process.wait()
        node.destroy_node()
        rclpy.try_shutdown()
    target = targets[-1]
    assert all(target.group_valid)
    assert target.palm_error_m < 3e-3
    seen = Kinematics(SPACE).frame_from_joints(np.array(target.position))
    wanted = Kinematics(SPACE).frame_from_joints(pose)
    np.testing.assert_allclose(seen.wrist_positions, wanted.wrist_positions, atol=4e-3)
    assert target.fingertip_error_m < 3e-3
