"""The committed models: same as the source, same as each other, and a robot that can stand at home."""

from __future__ import annotations

from xml.etree import ElementTree

import mujoco
import numpy as np
import pytest

from rove_core.joint_space import JointSpace
from rove_description import MODELS, iron_r01, model_path
from rove_description.generate import texts

SPACE = JointSpace.load("iron_r01")
CONTRACTED_BODIES = ["pelvis", "torso", "head"] + [
    f"{side}_{part}"
    for side in ("left", "right")
    for part in (
        "upper_arm",
        "forearm",
        "palm",
        *(
            f"{finger}_{bone}"
            for finger in ("thumb", "index", "middle", "ring", "little")
            for bone in ("proximal", "distal")
        ),
    )
]


@pytest.fixture(scope="module")
def mjcf() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_path(str(model_path("iron_r01", "mjcf")))


@pytest.fixture(scope="module")
def urdf() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_path(str(model_path("iron_r01", "urdf")))


def posed(model: mujoco.MjModel, q: np.ndarray) -> mujoco.MjData:
    data = mujoco.MjData(model)
    for name, position in zip(SPACE.names, q, strict=True):
        data.qpos[model.joint(name).qposadr[0]] = position
    mujoco.mj_forward(model, data)
    return data


def test_generating_again_gives_the_committed_files_byte_for_byte() -> None:
    for name, text in texts().items():
        assert (MODELS / name).read_text(encoding="utf-8") == text, f"{name}: run python -m rove_description.generate"


def test_joints_and_limits_are_those_of_the_robots_table(mjcf: mujoco.MjModel, urdf: mujoco.MjModel) -> None:
    for model in (mjcf, urdf):
        assert sorted(model.joint(i).name for i in range(model.njnt)) == sorted(SPACE.names)
        limits = np.array([model.joint(name).range for name in SPACE.names])
        np.testing.assert_allclose(limits, np.stack([SPACE.lower, SPACE.upper], axis=1), atol=1e-12)
    element = ElementTree.parse(model_path("iron_r01", "urdf")).getroot()  # noqa: S314 - our own file
    speeds = {joint.attrib["name"]: joint.find("limit") for joint in element.iter("joint")}
    for name, speed in zip(SPACE.names, SPACE.max_velocity, strict=True):
        limit = speeds[name]
        assert limit is not None
        assert float(limit.attrib["velocity"]) == speed


def test_actuators_stand_in_the_order_of_the_table(mjcf: mujoco.MjModel) -> None:
    assert tuple(mjcf.actuator(i).name for i in range(mjcf.nu)) == SPACE.names
    np.testing.assert_allclose(mjcf.actuator_ctrlrange, np.stack([SPACE.lower, SPACE.upper], axis=1), atol=1e-12)


def test_urdf_and_mjcf_put_every_body_at_the_same_place(mjcf: mujoco.MjModel, urdf: mujoco.MjModel) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        q = rng.uniform(SPACE.lower, SPACE.upper)
        ours, theirs = posed(mjcf, q), posed(urdf, q)
        for body in range(1, mjcf.nbody):
            name = mjcf.body(body).name
            np.testing.assert_allclose(theirs.body(name).xpos, ours.body(name).xpos, atol=1e-9)
            np.testing.assert_allclose(theirs.body(name).xmat, ours.body(name).xmat, atol=1e-9)
        for site in range(mjcf.nsite):
            name = mjcf.site(site).name
            np.testing.assert_allclose(theirs.body(name).xpos, ours.site(name).xpos, atol=1e-9)


def test_urdf_and_mjcf_weigh_the_same(mjcf: mujoco.MjModel, urdf: mujoco.MjModel) -> None:
    for body in range(1, mjcf.nbody):
        name = mjcf.body(body).name
        np.testing.assert_allclose(urdf.body(name).mass, mjcf.body(name).mass)
        np.testing.assert_allclose(np.sort(urdf.body(name).inertia), np.sort(mjcf.body(name).inertia), rtol=1e-6)
    assert 35 < mjcf.body_subtreemass[0] < 80


def test_bodies_sites_and_cameras_have_their_names(mjcf: mujoco.MjModel) -> None:
    for name in CONTRACTED_BODIES:
        assert mjcf.body(name).id > 0
    for side in ("left", "right"):
        for site in (
            "palm_site",
            "elbow_site",
            "shoulder_site",
            "thumb_tip",
            "index_tip",
            "middle_tip",
            "ring_tip",
            "little_tip",
        ):
            assert mjcf.site(f"{side}_{site}").id >= 0
    assert {mjcf.camera(i).name for i in range(mjcf.ncam)} == {"head", "left_wrist", "right_wrist"}


def test_at_zero_the_arms_hang_with_the_palms_inwards(mjcf: mujoco.MjModel) -> None:
    data = posed(mjcf, np.zeros(SPACE.dim))
    for side, outwards in (("left", 1.0), ("right", -1.0)):
        palm = data.site(f"{side}_palm_site")
        shoulder = data.site(f"{side}_shoulder_site").xpos
        np.testing.assert_allclose(shoulder, [0.0, outwards * 0.19, 0.48], atol=1e-12)
        np.testing.assert_allclose(palm.xpos, shoulder - [0, 0, iron_r01.UPPER_ARM + iron_r01.FOREARM], atol=1e-12)
        fingers, _, back = palm.xmat.reshape(3, 3).T
        np.testing.assert_allclose(fingers, [0, 0, -1], atol=1e-12)
        np.testing.assert_allclose(back, [0, outwards, 0], atol=1e-12)


@pytest.mark.parametrize(
    ("joint", "value", "site", "axis", "sign"),
    [
        ("right_shoulder_pitch", -0.8, "right_palm_site", 0, 1),  # raises the arm forward
        ("left_shoulder_roll", 0.8, "left_palm_site", 1, 1),  # out to the left
        ("right_shoulder_roll", -0.8, "right_palm_site", 1, -1),  # out to the right
        ("left_elbow", -1.0, "left_palm_site", 0, 1),  # brings the forearm up in front
        ("waist_pitch", 0.5, "head_site", 0, 1),  # bows
        ("waist_roll", 0.3, "head_site", 1, -1),  # leans to the right
        ("waist_yaw", 0.5, "left_shoulder_site", 0, -1),  # turns to the left
    ],
)
def test_signs_of_joints(mjcf: mujoco.MjModel, joint: str, value: float, site: str, axis: int, sign: int) -> None:
    q = np.zeros(SPACE.dim)
    before = posed(mjcf, q).site(site).xpos[axis]
    q[SPACE.index(joint)] = value
    assert sign * (posed(mjcf, q).site(site).xpos[axis] - before) > 0.05


def test_flexing_closes_both_hands_and_opposition_brings_the_thumb_under_the_palm(mjcf: mujoco.MjModel) -> None:
    for side in ("left", "right"):
        q = np.zeros(SPACE.dim)
        for finger in ("index", "middle", "ring", "little"):
            q[SPACE.index(f"{side}_{finger}_proximal")] = q[SPACE.index(f"{side}_{finger}_distal")] = 1.2
        q[SPACE.index(f"{side}_thumb_opposition")] = 1.2
        data = posed(mjcf, q)
        palm = data.site(f"{side}_palm_site")
        for finger in ("thumb", "index", "middle", "ring", "little"):
            tip = palm.xmat.reshape(3, 3).T @ (data.site(f"{side}_{finger}_tip").xpos - palm.xpos)
            assert tip[2] < -0.03, f"{side} {finger} is not on the palm's side: {tip}"


def test_nothing_touches_at_home_and_little_within_reach_of_it(mjcf: mujoco.MjModel) -> None:
    assert posed(mjcf, SPACE.home).ncon == 0
    rng = np.random.default_rng(1)
    for _ in range(20):
        q = SPACE.clip(SPACE.home + rng.normal(0.0, 0.1, SPACE.dim))
        assert posed(mjcf, q).ncon == 0


def test_an_arm_that_goes_through_the_chest_touches_it(mjcf: mujoco.MjModel) -> None:
    q = SPACE.home.copy()
    q[SPACE.index("right_shoulder_yaw")] = 1.5
    q[SPACE.index("right_elbow")] = -1.9
    q[SPACE.index("right_shoulder_pitch")] = 0.0
    data = posed(mjcf, q)
    touching = {tuple(sorted((mjcf.geom(c.geom1).name, mjcf.geom(c.geom2).name))) for c in data.contact}
    assert any("torso" in pair[0] + pair[1] for pair in touching), touching


def test_home_is_held_and_a_sine_of_one_hertz_is_followed(mjcf: mujoco.MjModel) -> None:
    data = mujoco.MjData(mjcf)
    places = [mjcf.joint(name).qposadr[0] for name in SPACE.names]
    data.qpos[places] = SPACE.home
    joints = [
        SPACE.index(name)
        for name in (
            "waist_yaw",
            "right_shoulder_pitch",
            "left_elbow",
            "head_yaw",
            "right_wrist_roll",
            "left_index_proximal",
        )
    ]
    errors = []
    for tick in range(1000):
        target = SPACE.home.copy()
        if tick > 250:
            target[joints] += 0.5 * np.sin(2 * np.pi * (tick - 250) * 0.002) * (tick < 750)
        target = SPACE.clip(target)
        data.ctrl[:] = target
        mujoco.mj_step(mjcf, data)
        if tick == 250:
            assert np.abs(data.qpos[places] - SPACE.home).max() < 2e-3
        errors.append(data.qpos[places] - target)
    moving = np.array(errors)[300:750]
    assert np.sqrt((moving[:, joints] ** 2).mean(axis=0)).max() < 0.06
    assert np.abs(errors[-1]).max() < 5e-3
    assert not data.warning.number.any()


def test_the_head_camera_sees_the_own_hands_at_home(mjcf: mujoco.MjModel) -> None:
    data = posed(mjcf, SPACE.home)
    camera = mjcf.camera("head")
    half = np.tan(np.deg2rad(camera.fovy[0]) / 2)
    for site in ("left_index_tip", "right_index_tip", "left_thumb_tip", "right_thumb_tip"):
        x, y, z = data.cam_xmat[camera.id].reshape(3, 3).T @ (data.site(site).xpos - data.cam_xpos[camera.id])
        assert z < 0
        assert abs(y / z) < half
        assert abs(x / z) < half * 4 / 3


def test_a_model_that_is_not_there_is_an_error_that_names_those_that_are() -> None:
    with pytest.raises(ValueError, match="iron_r01"):
        model_path("iron_r02", "mjcf")
    with pytest.raises(ValueError, match="urdf"):
        model_path("iron_r01", "usd")
