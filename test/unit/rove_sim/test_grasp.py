"""The grasp assist: an open hand that closes around what it touches has it, and nothing else does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from rove_core.joint_space import JointSpace
from rove_sim.poses import from_scene, transform
from rove_sim.tasks.whiteboard import ERASER, Whiteboard
from rove_sim.world import World, closed_hand

FloatArray = npt.NDArray[np.float64]

SPACE = JointSpace.load("iron_r01")
HAND = SPACE.groups["right_hand"]


class Hand:
    """The right hand of a world, put to poses relative to the eraser."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.q = SPACE.home.copy()
        self.T_base_eraser = from_scene(world.scene().objects[ERASER])

    def go(self, T_eraser_palm: FloatArray) -> None:
        goal = self.world.solve_right_palm(self.T_base_eraser @ T_eraser_palm, self.q)
        self._blend(goal, 0.8)

    def fingers(self, q: FloatArray) -> None:
        goal = self.q.copy()
        goal[HAND] = q
        self._blend(goal, 0.4)

    def _blend(self, goal: FloatArray, duration_s: float) -> None:
        began = self.q
        for share in np.linspace(0.0, 1.0, round(duration_s / 0.01)):
            self.q = began + share * (goal - began)
            self.world.set_reference(self.q)
            self.world.step(5)
        self.world.step(50)

    @property
    def held(self) -> str | None:
        return self.world.scene().grasp["right"]


GRASP = Whiteboard.OBJECTS[ERASER]
ABOVE = transform([0.0, 0.0, 0.12]) @ GRASP
OPEN = np.minimum(SPACE.home[HAND], 0.3)
FIST = closed_hand(SPACE)


@pytest.fixture
def hand() -> Hand:
    world = World(SPACE, "whiteboard")
    hand = Hand(world)
    hand.go(ABOVE)
    return hand


def test_closing_around_an_object_takes_it_where_it_is_and_opening_lets_go(hand: Hand) -> None:
    hand.go(GRASP)
    before = from_scene(hand.world.scene().objects[ERASER])
    hand.fingers(FIST)
    assert hand.held == ERASER
    after = from_scene(hand.world.scene().objects[ERASER])
    np.testing.assert_allclose(after[:3, 3], before[:3, 3], atol=0.03)  # fingers drag before they hold
    hand.go(ABOVE)
    assert from_scene(hand.world.scene().objects[ERASER])[2, 3] > 0.10
    hand.fingers(OPEN)
    assert hand.held is None
    hand.world.step(250)
    assert from_scene(hand.world.scene().objects[ERASER])[2, 3] < 0.06


def test_closing_above_an_object_takes_nothing(hand: Hand) -> None:
    hand.fingers(FIST)
    assert hand.held is None


def test_touching_with_an_open_hand_takes_nothing(hand: Hand) -> None:
    hand.go(GRASP)
    hand.go(transform([0.0, 0.0, -0.01]) @ GRASP)
    assert hand.held is None


def test_a_fist_that_comes_down_on_an_object_takes_nothing(hand: Hand) -> None:
    hand.fingers(FIST)
    hand.go(transform([0.0, 0.0, 0.01]) @ GRASP)
    assert hand.held is None


def test_an_object_that_a_finger_only_touches_at_its_end_is_not_taken(hand: Hand) -> None:
    hand.go(transform([0.0, 0.08, 0.0]) @ GRASP)
    hand.fingers(FIST)
    assert hand.held is None
