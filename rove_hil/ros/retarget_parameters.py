"""Parameters of retarget_node, and what is made of them."""

from __future__ import annotations

from pydantic import Field

from rove_core.config import ConfigModel
from rove_core.errors import ConfigError
from rove_core.joint_space import JointSpace
from rove_core.ros.node import RoveNode
from rove_hil.operator.mocap_source import ISAAC, MocapSource, open_source
from rove_hil.operator.operator_calibration import OperatorCalibration
from rove_hil.operator.operator_file import DEFAULT_FOLDER, load
from rove_hil.retarget import Retargeter
from rove_hil.retargeting.velocity_damper import VelocityDamper
from rove_hil.ros.isaac_source import IsaacSource


class RetargetParameters(ConfigModel):
    """Parameters of retarget_node."""

    robot: str = Field("iron_r01", description="robot name or YAML file")
    mocap_url: str = Field(
        "tcp://127.0.0.1:5571", description="source: tcp://HOST:PORT, ipc://PATH, mcap:FILE, bvh:FILE or isaac"
    )
    source_key: str = Field("", description="file with the public key of the source (.key); empty: an open wire")
    own_key: str = Field("", description="file with this robot's key pair (.key_secret); empty: a new one")
    isaac_axes: str = Field("openxr", description="axes of IsaacTeleop's poses: openxr, or ros when it turns them")
    isaac_size: float = Field(1.0, ge=0.5, le=2.0, description="size of IsaacTeleop's operator over the robot's")
    max_rate_hz: float = Field(250.0, ge=10.0, le=1000.0, description="targets per second at most [Hz]")
    max_frame_age_s: float = Field(0.25, ge=0.02, le=5.0, description="older frames are not used [s]")
    solve_deadline_s: float = Field(0.02, ge=0.001, le=1.0, description="a solve that takes longer is given up [s]")
    avoid_collisions: bool = Field(True, description="keep arms, hands and body of the robot apart")
    operator_name: str = Field("", description="calibrated operator; empty: the scales below")
    operators_folder: str = Field(DEFAULT_FOLDER, description="where calibrated operators are")
    torso_scale: float = Field(1.0, ge=0.3, le=3.0, description="robot's shoulder height over the operator's")
    shoulder_scale: float = Field(1.0, ge=0.3, le=3.0, description="robot's shoulder width over the operator's")
    arm_scale: float = Field(1.0, ge=0.3, le=3.0, description="robot's arm length over the operator's")
    hand_scale: float = Field(1.0, ge=0.3, le=3.0, description="reach of the fingers on top of their lengths")

    def calibration(self, robot: str) -> OperatorCalibration:
        """Of the operator. Raises ConfigError."""
        scales = OperatorCalibration(self.torso_scale, self.shoulder_scale, self.arm_scale, self.hand_scale)
        if not self.operator_name:
            return scales
        if scales != OperatorCalibration():
            raise ConfigError(f"operator_name '{self.operator_name}' and scales are given", "give one of them")
        return load(self.operators_folder, self.operator_name, robot).calibration

    def retargeter(self, space: JointSpace) -> Retargeter:
        """As configured. Raises ConfigError."""
        damper = VelocityDamper(space) if self.avoid_collisions else None
        return Retargeter(space, self.calibration(space.robot), damper=damper)

    def source(self, node: RoveNode, space: JointSpace) -> MocapSource:
        """As configured. Raises RoveError."""
        if self.mocap_url == ISAAC:
            return IsaacSource(node, space, self.isaac_axes, self.isaac_size)
        return open_source(self.mocap_url, space, node.clock, node.ros_now_ns, self.source_key, self.own_key)
