"""The robot's own kinematics and what motion capture would see of it."""

from __future__ import annotations

import mujoco
import numpy as np

from rove_core.joint_space import JointSpace
from rove_description import model_path
from rove_hil.operator.mocap import FINGERS, SIDES, TIPS, decode, encode
from rove_hil.retargeting.kinematics import Kinematics

SPACE = JointSpace.load("iron_r01")


def test_a_frame_of_the_robots_body_is_where_the_full_model_puts_its_parts() -> None:
    model = mujoco.MjModel.from_xml_path(str(model_path("iron_r01", "mjcf")))
    data = mujoco.MjData(model)
    kinematics = Kinematics(SPACE)
    rng = np.random.default_rng(0)
    for _ in range(5):
        q = rng.uniform(SPACE.lower, SPACE.upper)
        data.qpos[[model.joint(name).qposadr[0] for name in SPACE.names]] = q
        mujoco.mj_kinematics(model, data)
        frame = kinematics.frame_from_joints(q, sequence=3, capture_ns=4)
        for number, side in enumerate(SIDES):
            np.testing.assert_allclose(frame.wrist_positions[number], data.site(f"{side}_palm_site").xpos, atol=1e-12)
            np.testing.assert_allclose(frame.elbows[number], data.site(f"{side}_elbow_site").xpos, atol=1e-12)
            np.testing.assert_allclose(frame.hands[number, 0], frame.wrist_positions[number], atol=1e-12)
            for finger, tip in zip(FINGERS, TIPS, strict=True):
                np.testing.assert_allclose(frame.hands[number, tip], data.site(f"{side}_{finger}_tip").xpos, atol=1e-12)
            matrix = np.empty(9)
            mujoco.mju_quat2Mat(matrix, frame.wrist_quats[number])
            np.testing.assert_allclose(matrix, data.site(f"{side}_palm_site").xmat, atol=1e-9)
        decode(encode(frame))


def test_frames_do_not_share_memory_with_the_next_one() -> None:
    kinematics = Kinematics(SPACE)
    first = kinematics.frame_from_joints(SPACE.home)
    before = [first.head_position.copy(), first.hands.copy(), first.wrist_quats.copy()]
    kinematics.frame_from_joints(SPACE.home + 0.1)
    for old, kept in zip(before, (first.head_position, first.hands, first.wrist_quats), strict=True):
        np.testing.assert_array_equal(kept, old)


def test_moves_says_which_joints_carry_a_site() -> None:
    kinematics = Kinematics(SPACE)
    (moves,) = kinematics.moves(kinematics.sites("right_palm_site"))
    names = {name for name, moved in zip(SPACE.names, moves, strict=True) if moved}
    arm = set(SPACE.names[SPACE.groups["right_arm"]])
    assert names == arm | set(SPACE.names[SPACE.groups["waist"]])


def test_axes_and_anchors_predict_how_a_site_moves() -> None:
    kinematics = Kinematics(SPACE)
    sites = kinematics.sites("left_index_tip")
    kinematics.forward(SPACE.home)
    point = kinematics.site_positions(sites)[0].copy()
    moved = kinematics.moves(sites)[0]
    jacobian = np.cross(kinematics.joint_axes(), point - kinematics.joint_anchors()) * moved[:, None]
    for joint in np.flatnonzero(moved):
        q = SPACE.home.copy()
        q[joint] += 1e-6
        kinematics.forward(q)
        np.testing.assert_allclose((kinematics.site_positions(sites)[0] - point) / 1e-6, jacobian[joint], atol=1e-5)
