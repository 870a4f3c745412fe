"""Parameters of filter_node as what they configure."""

from __future__ import annotations

from dataclasses import replace

import pytest
import rclpy

from rove_core.errors import ConfigError
from rove_core.joint_space import JointSpace
from rove_hil.command.palm_motion import PalmMotion
from rove_hil.command.ways import joint_motion
from rove_hil.ros.command_output import command_output
from rove_hil.ros.filter_parameters import FilterParameters

SPACE = JointSpace.load("iron_r01")


def test_groups_have_their_own_times_and_shares() -> None:
    said: list[str] = []
    parameters = FilterParameters(handover_s=0.3, blend_weight=0.8, blend_groups=("left_arm=0", "tail=0.5"))
    config = parameters.arbiter_config(SPACE, said.append)
    assert set(config.handover_s[SPACE.groups["left_hand"]]) == {0.1}
    assert set(config.handover_s[SPACE.groups["left_arm"]]) == {0.3}
    assert config.blend_weight is not None
    assert set(config.blend_weight[SPACE.groups["left_arm"]]) == {0.0}
    assert set(config.blend_weight[SPACE.groups["head"]]) == {0.8}
    assert len(said) == 1
    assert "no joint group 'tail'" in said[0]


@pytest.mark.parametrize("entry", ["left_arm=2", "left_arm=much", "left_arm", "left_arm=nan"])
def test_a_share_that_is_none_is_refused_in_one_line(entry: str) -> None:
    with pytest.raises(ConfigError, match="expected group=number from 0 to 1"):
        FilterParameters(blend_groups=(entry,)).arbiter_config(SPACE, print)


def test_arms_follow_palms_or_joints() -> None:
    assert isinstance(FilterParameters().motion(SPACE, print), PalmMotion)
    assert FilterParameters(arm_motion="joints").motion(SPACE, print) is joint_motion
    with pytest.raises(ConfigError, match="'palm' or 'joints'"):
        FilterParameters(arm_motion="elbows").motion(SPACE, print)


def test_a_robot_without_a_model_follows_joints_and_says_so() -> None:
    said: list[str] = []
    assert FilterParameters().motion(replace(SPACE, robot="other"), said.append) is joint_motion
    assert "no model of robot 'other'" in said[0]


@pytest.mark.parametrize(
    ("kind", "joints", "message"),
    [
        ("joint_states", (), "'output': there is no 'joint_states', did you mean 'joint_state'"),
        ("trajectory", SPACE.names[1:], "'output_joints': .*head_yaw"),
        ("position_array", (*SPACE.names[1:], "tail"), "tail"),
    ],
)
def test_an_output_that_would_leave_out_a_joint_is_refused(
    domain_id: int, kind: str, joints: tuple[str, ...], message: str
) -> None:
    with rclpy.init(domain_id=domain_id):
        node = rclpy.create_node("around")
        with pytest.raises(ConfigError, match=message):
            command_output(node, SPACE, kind, "", joints, 5_000_000)
        node.destroy_node()
