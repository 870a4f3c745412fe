"""Distances between the robot's own shapes, against MuJoCo's pairwise distances and finite differences."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from rove_core.joint_space import FloatArray, JointSpace
from rove_description import model_path
from rove_hil.guard.collision import CollisionError, CollisionModel

SPACE = JointSpace.load("iron_r01")
MODEL = CollisionModel(SPACE)
PALMS = MODEL.pair_of("left_palm", "right_palm")


def poses(count: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).uniform(SPACE.lower, SPACE.upper, (count, SPACE.dim))


def tangled() -> FloatArray:
    """Both hands in front of the chest, close to it and to each other."""
    q = SPACE.home.copy()
    for side, sign in (("left", 1.0), ("right", -1.0)):
        q[SPACE.index(f"{side}_shoulder_yaw")] = -0.9 * sign
        q[SPACE.index(f"{side}_elbow")] = -1.9
    return q


def test_home_is_free() -> None:
    assert not len(MODEL.near(SPACE.home, 0.025))


def test_arms_that_hang_straight_down_touch_the_hips() -> None:
    near = MODEL.near(SPACE.clip(np.zeros(SPACE.dim)), 0.0)
    assert [MODEL.pair_name(pair) for pair in near.pair] == [
        ("pelvis", "left_wrist_yaw"),
        ("pelvis", "right_wrist_yaw"),
    ]


def test_no_near_pair_is_missed_and_distances_are_those_of_the_pairs() -> None:
    segment = np.empty(6)
    for q in [*poses(15), tangled()]:
        found = MODEL.near(q, 0.1)
        listed = dict(zip(found.pair.tolist(), found.distance.tolist(), strict=True))
        for pair, (first, second) in enumerate(MODEL.pairs.tolist()):
            distance = mujoco.mj_geomDistance(MODEL.model, MODEL.data, first, second, 0.1, segment)
            if distance < 0.1 - 1e-9:
                assert listed[pair] == pytest.approx(distance, abs=1e-6), MODEL.pair_name(pair)
            else:
                assert pair not in listed or listed[pair] > 0.1 - 1e-6


def test_pairs_are_those_that_can_touch_in_the_simulation() -> None:
    spec = mujoco.MjSpec.from_file(str(model_path("iron_r01", "mjcf")))
    spec.memory = 32 << 20
    model = spec.compile()
    model.opt.enableflags |= int(mujoco.mjtEnableBit.mjENBL_OVERRIDE)
    model.opt.o_margin = 5.0  # everything is near everything
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_collision(model, data)
    names = {frozenset(model.geom(shape).name for shape in shapes) for shapes in data.contact.geom}
    ours = {frozenset(MODEL.model.geom(int(shape)).name for shape in shapes) for shapes in MODEL.pairs}
    assert ours == names


def test_each_pair_can_be_asked_for_at_its_own_distance() -> None:
    q = tangled()
    found = MODEL.near(q, 0.1)
    wanted = np.full(len(MODEL.pairs), -1.0)
    wanted[found.pair[::2]] = 0.1
    np.testing.assert_array_equal(MODEL.near(q, wanted).pair, found.pair[::2])


def test_no_pair_comes_nearer_than_reach_and_travel_allow() -> None:
    rng = np.random.default_rng(5)
    reach = MODEL.reach()
    everything = np.full(len(MODEL.pairs), 5.0)
    for q in poses(10, seed=5):
        step = rng.uniform(-0.1, 0.1, SPACE.dim)
        before, after = MODEL.near(q, everything).distance, MODEL.near(q + step, everything).distance
        apart = before > 0
        assert ((before - after)[apart] <= (reach @ np.abs(step))[apart] + 1e-9).all()
        way = q + np.linspace(0, 1, 9)[:, None] * step
        assert ((before - after)[apart] <= MODEL.travel(way)[apart] + 1e-9).all()


def test_own_fingers_and_neighbouring_links_are_not_looked_at() -> None:
    fist = SPACE.home.copy()
    fist[SPACE.groups["left_hand"]] = SPACE.upper[SPACE.groups["left_hand"]]
    names = [MODEL.pair_name(pair) for pair in MODEL.near(fist, 0.02).pair]
    assert not [name for name in names if all("left_" in part for part in name) and "palm" in name[0] + name[1]]


def test_the_jacobian_predicts_how_distances_change() -> None:
    rng = np.random.default_rng(1)
    checked = 0
    for q in [*poses(20, seed=1), tangled()]:
        step = rng.standard_normal(SPACE.dim) * 1e-6
        here = MODEL.near(q, 0.05)
        sides = (MODEL.near(q + sign * step, 0.06) for sign in (-1, 1))
        before, after = (dict(zip(near.pair, near.distance, strict=True)) for near in sides)
        for pair, distance, row in zip(here.pair, here.distance, here.jacobian, strict=True):
            if pair == PALMS and distance < 0:
                continue  # the way out of a box that is deep in a box jumps from face to face
            slope = (after[pair] - before[pair]) / 2
            assert slope == pytest.approx(float(row @ step), abs=1e-8), MODEL.pair_name(pair)
            checked += 1
    assert checked > 50


def test_points_lie_on_the_normal_at_the_distance() -> None:
    for q in [*poses(10, seed=2), tangled()]:
        near = MODEL.near(q, 0.1)
        between = near.points[:, 1] - near.points[:, 0]
        np.testing.assert_allclose(between, near.distance[:, None] * near.normal, atol=1e-12)
        np.testing.assert_allclose(np.linalg.norm(near.normal, axis=1), 1, atol=1e-12)


def test_pairs_come_once_each_in_order() -> None:
    for q in poses(20, seed=3):
        assert (np.diff(MODEL.near(q, 0.15).pair) > 0).all()


def test_a_joint_that_carries_both_shapes_changes_nothing() -> None:
    near = MODEL.near(tangled(), 0.15)
    waist = near.jacobian[:, SPACE.groups["waist"]]
    on_torso = [all("pelvis" not in part for part in MODEL.pair_name(pair)) for pair in near.pair]
    assert any(on_torso)
    assert not waist[on_torso].any()


def test_unknown_shapes_are_refused_by_name() -> None:
    with pytest.raises(CollisionError, match="no shape 'left_tail'"):
        MODEL.pair_of("left_tail", "head")
    with pytest.raises(CollisionError, match="no site 'tail'"):
        MODEL.sites("tail")


def test_site_rows_predict_how_a_site_moves() -> None:
    sites = MODEL.sites("left_palm_site", "right_palm_site")
    directions = np.array([[0.0, 0.6, 0.8], [1.0, 0.0, 0.0]])
    q, step = tangled(), np.random.default_rng(4).standard_normal(SPACE.dim) * 1e-6
    MODEL.pose(q - step)
    before = MODEL.site_rows(sites, directions)[0].copy()
    MODEL.pose(q + step)
    after = MODEL.site_rows(sites, directions)[0].copy()
    MODEL.pose(q)
    rows = MODEL.site_rows(sites, directions)[1]
    np.testing.assert_allclose(((after - before) / 2 * directions).sum(axis=1), rows @ step, atol=1e-9)
