"""Both tasks can be done with joint commands alone: grasp, wiping and insertion work in the physics."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from rove_core.joint_space import JointSpace
from rove_sim.poses import from_scene, inverse, transform
from rove_sim.reach import ArmReach
from rove_sim.tasks.toaster import BREAD, TOASTER, Toaster, slice_in_slot
from rove_sim.tasks.whiteboard import ERASER, Whiteboard, board_pose, eraser_on_board
from rove_sim.world import TIMESTEP_S, World, closed_hand

FloatArray = npt.NDArray[np.float64]

SPACE = JointSpace.load("iron_r01")
TICK_STEPS = 10
SPEED_MPS = 0.35
ARM, HAND = SPACE.groups["right_arm"], SPACE.groups["right_hand"]


class Puppet:
    """Moves the right palm of a world along straight lines and closes its hand, by servo references only."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._reach = ArmReach(world.model, SPACE)
        self._q = world.observe().position.copy()
        self._palm = self._reach.palm(self._q)

    def move(self, T_base_palm: FloatArray) -> None:
        """Go there at an ordinary speed."""
        began, way = self._palm, T_base_palm[:3, 3] - self._palm[:3, 3]
        ticks = max(round(np.linalg.norm(way) / SPEED_MPS / (TICK_STEPS * TIMESTEP_S)), 15)
        for share in (np.arange(ticks) + 1) / ticks:
            smooth = share**3 * (10 - 15 * share + 6 * share**2)
            # Rotations near to one another: the mean made orthogonal again is as good as any path.
            u, _, v = np.linalg.svd((1 - smooth) * began[:3, :3] + smooth * T_base_palm[:3, :3])
            self._palm = transform(began[:3, 3] + smooth * way, u @ v)
            self._q = self._reach.approach(self._palm, self._q, iterations=4)
            self._apply()

    def set_hand(self, q: FloatArray, duration_s: float = 0.4) -> None:
        """Bring the fingers to `q` and wait for them."""
        began = self._q[HAND].copy()
        ticks = round(duration_s / (TICK_STEPS * TIMESTEP_S))
        for share in (np.arange(ticks) + 1) / ticks:
            self._q[HAND] = began + share * (q - began)
            self._apply()
        self.wait(0.2)

    def close(self) -> None:
        self.set_hand(closed_hand(SPACE))

    def open(self) -> None:
        self.set_hand(np.where(SPACE.home[HAND] > 0.25, 0.1, SPACE.home[HAND]))

    def wait(self, duration_s: float) -> None:
        for _ in range(round(duration_s / (TICK_STEPS * TIMESTEP_S))):
            self._apply()

    def palm_to(self, name: str, T_base_object: FloatArray) -> FloatArray:
        """Where the palm has to go so that the held object is at a pose."""
        T_palm_object = inverse(self._reach.palm(self.world.observe().position)) @ self.object(name)
        return T_base_object @ inverse(T_palm_object)

    def object(self, name: str) -> FloatArray:
        return from_scene(self.world.scene().objects[name])

    def _apply(self) -> None:
        self.world.set_reference(self._q)
        self.world.step(TICK_STEPS)


def _pick_up(puppet: Puppet, name: str, T_object_palm: FloatArray) -> None:
    grasp = puppet.object(name) @ T_object_palm
    above = transform([-0.02, 0.0, 0.12]) @ grasp
    puppet.open()
    puppet.move(above)
    puppet.move(grasp)
    puppet.close()
    assert puppet.world.scene().grasp["right"] == name
    puppet.move(above)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_whiteboard_can_be_erased(seed: int) -> None:
    world = World(SPACE, "whiteboard")
    world.reset("whiteboard", seed, 0)
    puppet = Puppet(world)
    _pick_up(puppet, ERASER, Whiteboard.OBJECTS[ERASER])
    assert world.scene().stage == 1
    for mark in world.scene().marks:
        at = (inverse(board_pose()) @ np.array([*mark.position, 1.0]))[:2]
        for offset, gap_m in ((-0.04, 0.05), (-0.04, -0.004), (0.04, -0.004), (-0.04, -0.004), (-0.04, 0.05)):
            puppet.move(puppet.palm_to(ERASER, eraser_on_board(at[0] + offset, at[1], gap_m)))
    scene = world.scene()
    assert scene.success, scene
    assert scene.stage == 3
    assert not scene.failed


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("slot", [0, 1])
def test_the_bread_can_be_put_into_either_slot(seed: int, slot: int) -> None:
    world = World(SPACE, "toaster")
    world.reset("toaster", seed, 0)
    puppet = Puppet(world)
    _pick_up(puppet, BREAD, Toaster.OBJECTS[BREAD])
    assert world.scene().stage == 1
    T_base_toaster = puppet.object(TOASTER)
    puppet.move(puppet.palm_to(BREAD, slice_in_slot(T_base_toaster, slot, -0.03)))
    assert world.scene().stage == 2
    puppet.move(puppet.palm_to(BREAD, slice_in_slot(T_base_toaster, slot, 0.045)))
    assert not world.scene().success, "not before it is let go"
    puppet.open()
    puppet.wait(1.0)
    scene = world.scene()
    assert scene.success, scene
    assert not scene.failed
