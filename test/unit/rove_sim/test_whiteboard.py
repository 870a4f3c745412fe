"""Wiping: only a face that slides over a mark, in contact with the board, takes it away."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from rove_core.joint_space import JointSpace
from rove_sim.poses import inverse, rotation_y, transform
from rove_sim.tasks.task import set_free_pose
from rove_sim.tasks.whiteboard import ERASER, MARK_COUNT, REGION_M, board_pose, eraser_on_board
from rove_sim.world import World

SPACE = JointSpace.load("iron_r01")


class Wiper:
    """Puts the eraser on the board by hand of god, tick by tick."""

    def __init__(self) -> None:
        self.world = World(SPACE, "whiteboard")
        at = self.world.scene().marks[0].position
        self.mark = (inverse(board_pose()) @ np.array([*at, 1.0]))[:2]

    def wipe(self, offsets_m: np.ndarray, gap_m: float = -0.002, tilt_rad: float = 0.0) -> float:
        """Slide over the first mark at these offsets along the board; what remains of it."""
        for offset in offsets_m:
            pose = eraser_on_board(self.mark[0] + offset, self.mark[1], gap_m) @ transform(
                [0, 0, 0], rotation_y(tilt_rad)
            )
            set_free_pose(self.world.data, ERASER, pose)
            mujoco.mj_forward(self.world.model, self.world.data)
            self.world.task.update(self.world.data, frozenset({ERASER}), 0.005)
        return self.world.scene().marks[0].remaining


ACROSS = np.linspace(-0.05, 0.05, 50)


@pytest.fixture
def wiper() -> Wiper:
    return Wiper()


def test_sliding_over_a_mark_erases_it(wiper: Wiper) -> None:
    assert wiper.wipe(ACROSS) == 0.0
    assert wiper.world.scene().marks[0].erased


def test_a_short_slide_erases_a_part_of_it(wiper: Wiper) -> None:
    assert wiper.wipe(np.linspace(0.0, 0.01, 10)) == pytest.approx(0.6)
    assert not wiper.world.scene().marks[0].erased


def test_pressing_without_sliding_erases_nothing(wiper: Wiper) -> None:
    assert wiper.wipe(np.zeros(200)) == 1.0


def test_hovering_erases_nothing(wiper: Wiper) -> None:
    assert wiper.wipe(ACROSS, gap_m=0.012) == 1.0


def test_an_edge_erases_nothing(wiper: Wiper) -> None:
    assert wiper.wipe(ACROSS, tilt_rad=0.5) == 1.0


def test_lifting_and_setting_down_elsewhere_is_not_sliding(wiper: Wiper) -> None:
    wiper.wipe(np.array([-0.04]))
    wiper.wipe(np.array([0.0]), gap_m=0.03)
    assert wiper.wipe(np.array([0.04])) == 1.0


def test_an_eraser_on_the_floor_is_a_failure_and_one_on_the_table_is_not(wiper: Wiper) -> None:
    world = wiper.world
    for place, failed in (([0.45, 0.2, 0.05], ""), ([0.45, 0.2, -0.9], "eraser dropped")):
        set_free_pose(world.data, ERASER, transform(place))
        world.step(2)
        assert world.scene().failed == failed


def test_marks_lie_in_the_region_and_apart() -> None:
    world = World(SPACE, "whiteboard")
    counts = set()
    for seed in range(30):
        world.reset("whiteboard", seed, 0)
        marks = np.array([[*mark.position, 1.0] for mark in world.scene().marks]) @ inverse(board_pose()).T
        counts.add(len(marks))
        assert np.all(np.abs(marks[:, :2]) <= np.array(REGION_M) / 2)
        np.testing.assert_allclose(marks[:, 2], 0.0, atol=1e-9)
        apart = np.linalg.norm(marks[:, None, :2] - marks[None, :, :2], axis=-1) + np.eye(len(marks))
        assert apart.min() > 0.05
    assert counts == set(range(MARK_COUNT[0], MARK_COUNT[1] + 1))
