"""Inserting: deep enough, at rest, let go; anything less is not done."""

from __future__ import annotations

import numpy as np
import pytest

from rove_core.joint_space import JointSpace
from rove_sim.poses import from_scene, rotation_z, transform
from rove_sim.tasks.task import set_free_pose
from rove_sim.tasks.toaster import BREAD, CLEARANCE_M, TOASTER, slice_in_slot, slot_pose
from rove_sim.world import World

SPACE = JointSpace.load("iron_r01")


@pytest.fixture
def world() -> World:
    return World(SPACE, "toaster")


def _drop(
    world: World, slot: int, depth_m: float, shift: tuple[float, float] = (0.0, 0.0), yaw_rad: float = 0.0
) -> None:
    toaster = from_scene(world.scene().objects[TOASTER])
    pose = slice_in_slot(toaster, slot, depth_m) @ transform([*shift, 0.0], rotation_z(yaw_rad))
    set_free_pose(world.data, BREAD, pose)
    for _ in range(200):
        world.step(5)


@pytest.mark.parametrize("slot", [0, 1])
def test_a_slice_let_go_in_the_mouth_of_a_slot_falls_in_and_counts(world: World, slot: int) -> None:
    _drop(world, slot, 0.02)
    assert world.scene().success


def test_a_slice_that_hits_the_housing_does_not_go_in(world: World) -> None:
    _drop(world, 0, -0.005, shift=(2.5 * CLEARANCE_M, 0.0))
    assert not world.scene().success


def test_a_slice_that_is_turned_does_not_go_in(world: World) -> None:
    _drop(world, 0, -0.002, yaw_rad=0.5)
    assert not world.scene().success


def test_a_slice_that_is_still_held_does_not_count(world: World) -> None:
    _drop(world, 0, 0.02)
    for _ in range(200):
        world.task.update(world.data, frozenset({BREAD}), 0.01)
    assert not world.scene().success
    assert world.scene().stage == 2


def test_success_needs_half_a_second_of_rest(world: World) -> None:
    _drop(world, 0, 0.02)
    world.task.update(world.data, frozenset({BREAD}), 0.01)
    world.task.update(world.data, frozenset(), 0.4)
    assert not world.scene().success
    world.task.update(world.data, frozenset(), 0.2)
    assert world.scene().success


def test_a_slice_on_the_floor_is_a_failure(world: World) -> None:
    set_free_pose(world.data, BREAD, transform([0.4, -0.9, -0.8]))
    world.step(2)
    assert world.scene().failed == "bread dropped"


def test_the_slots_are_tight_and_where_slot_pose_says(world: World) -> None:
    toaster = from_scene(world.scene().objects[TOASTER])
    apart = slot_pose(toaster, 1)[:3, 3] - slot_pose(toaster, 0)[:3, 3]
    assert np.linalg.norm(apart) == pytest.approx(0.06)
    assert CLEARANCE_M <= 0.008
