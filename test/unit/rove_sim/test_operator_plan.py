"""The plans against a room in which the hand is at once where it was sent."""

from __future__ import annotations

import numpy as np
import pytest

from rove_sim.operator_plan import PLANS, Glance, Plan, Reach
from rove_sim.poses import FloatArray, from_scene, inverse, rotation_z, to_scene, transform
from rove_sim.scene import Mark, SceneState
from rove_sim.tasks.toaster import BREAD, TOASTER, Toaster, slot_pose
from rove_sim.tasks.whiteboard import ERASER, Whiteboard, board_pose, eraser_on_board

WAIT_S = 2.0


def marks(*places: tuple[float, float]) -> tuple[Mark, ...]:
    at = [(board_pose() @ transform([x, y, 0.0]))[:3, 3] for x, y in places]
    return tuple(Mark(position=tuple(p), erased=False, remaining=1.0) for p in at)  # type: ignore[arg-type]


class Room:
    """One object, a right hand, and what the hand does to the object."""

    def __init__(self, task: str, grasps_work: bool = True) -> None:
        self.task = task
        self.name = ERASER if task == "whiteboard" else BREAD
        self.T_base_object = transform([0.36, -0.40, 0.022 if task == "whiteboard" else 0.066])
        self.T_object_palm = (Whiteboard if task == "whiteboard" else Toaster).OBJECTS[self.name]
        self.palm = transform([0.38, -0.2, 0.26])
        self.closure = 0.0
        self.held = False
        self.grasps_work = grasps_work
        self.marks = marks((0.10, 0.0), (-0.12, 0.05), (0.02, -0.06)) if task == "whiteboard" else ()
        self.success = False
        self.plan: Plan = PLANS[task]()
        self.face: list[FloatArray] = []

    def scene(self) -> SceneState:
        objects = {self.name: to_scene(self.T_base_object), TOASTER: to_scene(transform([0.43, -0.10, 0.0]))}
        grasp = {"left": None, "right": self.name if self.held else None}
        return SceneState(
            task=self.task, seed=0, start_stage=0, resets=1, stage=0, success=self.success, failed="", objects=objects,
            marks=self.marks, grasp=grasp, time_s=0.0,
        )  # fmt: skip

    def step(self, waited_s: float = 0.0) -> Reach | None:
        reach = self.plan.next(Glance(self.scene(), self.palm, waited_s))
        if reach is not None:
            self._move(reach)
        return reach

    def _move(self, reach: Reach) -> None:
        target = transform(reach.hand.position, reach.hand.rotation)
        if self.held:
            self.T_base_object = target @ inverse(self.palm) @ self.T_base_object
        self.palm = target
        if self.held and reach.hand.closure < 0.5:
            self.held = False
        elif not self.held and reach.hand.closure > 0.5:
            turned = [self.T_base_object @ transform([0.0, 0.0, 0.0], rotation_z(yaw)) for yaw in (0.0, np.pi)]
            off = min(np.linalg.norm((inverse(pose @ self.T_object_palm) @ self.palm)[:3, 3]) for pose in turned)
            self.held = self.grasps_work and bool(off < 0.02)

    def grasp(self) -> None:
        while not self.held:
            assert self.step() is not None

    def erase(self, *numbers: int) -> None:
        self.marks = tuple(
            mark.model_copy(update={"erased": True, "remaining": 0.0}) if i in numbers else mark
            for i, mark in enumerate(self.marks)
        )


@pytest.mark.parametrize("task", ["whiteboard", "toaster"])
def test_the_hand_comes_from_above_with_open_fingers_and_then_closes(task: str) -> None:
    room = Room(task)
    above, down, close = (room.step() for _ in range(3))
    assert above
    assert down
    assert close
    assert above.hand.position[2] > down.hand.position[2] + 0.05
    assert above.hand.closure == down.hand.closure == 0.0
    np.testing.assert_allclose(down.hand.position, close.hand.position)
    assert close.hand.closure == 1.0
    assert down.stop
    assert close.stop
    assert room.held


def test_a_grasp_that_failed_is_waited_for_and_then_tried_again() -> None:
    room = Room("whiteboard", grasps_work=False)
    for _ in range(3):
        room.step()
    assert room.step(waited_s=0.1) is None
    again = room.step(waited_s=WAIT_S)
    assert again
    assert again.hand.closure == 0.0
    room.grasps_work = True
    room.grasp()


def test_an_object_that_fell_is_picked_up_where_it_lies() -> None:
    room = Room("whiteboard")
    room.grasp()
    room.step()
    room.held = False
    room.T_base_object = transform([0.40, -0.30, 0.022])
    room.grasp()
    np.testing.assert_allclose(room.T_base_object[:2, 3], [0.40, -0.30], atol=1e-6)


def test_marks_are_wiped_from_left_to_right_with_the_face_on_the_board() -> None:
    room = Room("whiteboard")
    room.grasp()
    wiped: list[int] = []
    for _ in range(20):
        if room.step(waited_s=0.0) is None:
            break
        face = inverse(board_pose()) @ room.T_base_object
        for number, mark in enumerate(room.marks):
            off = (inverse(board_pose()) @ np.append(mark.position, 1.0))[:2] - face[:2, 3]
            if face[2, 3] < 0.017 and abs(off[1]) < 0.005 and -0.05 < off[0] < 0 and number not in wiped:
                wiped.append(number)
    assert wiped == [1, 2, 0]


def test_a_mark_that_is_still_there_is_wiped_again() -> None:
    room = Room("whiteboard")
    room.grasp()
    while room.step() is not None:
        pass
    room.erase(0, 2)
    assert room.step(waited_s=0.1) is None
    assert room.step(waited_s=WAIT_S) is not None


def test_a_clean_board_lets_the_hand_go_back_and_rest() -> None:
    room = Room("whiteboard")
    room.grasp()
    while room.step() is not None:
        pass
    room.erase(0, 1, 2)
    before = room.palm.copy()
    assert room.step() is not None
    assert (inverse(board_pose()) @ room.palm)[2, 3] > (inverse(board_pose()) @ before)[2, 3] + 0.03
    assert room.step(waited_s=WAIT_S) is None


def test_the_way_the_eraser_lies_in_the_hand_is_made_up_for() -> None:
    room = Room("whiteboard")
    room.held = True
    room.T_base_object = eraser_on_board(0.0, 0.0, 0.06)
    room.palm = room.T_base_object @ room.T_object_palm @ transform([0.01, -0.005, 0.0])
    room.step()
    room.step()
    face = inverse(eraser_on_board(-0.12 - 0.035, 0.05)) @ room.T_base_object
    np.testing.assert_allclose(face[:2, 3], 0.0, atol=1e-9)


@pytest.mark.parametrize("task", ["whiteboard", "toaster"])
def test_an_object_that_lies_turned_half_around_is_taken_without_turning_the_hand(task: str) -> None:
    room = Room(task)
    room.T_base_object = room.T_base_object @ transform([0.0, 0.0, 0.0], rotation_z(np.pi))
    for _ in range(6):
        reach = room.step()
        assert reach
        assert reach.hand.rotation[0, 0] > 0.0
    assert room.held


def test_bread_goes_in_from_above_and_is_let_go_inside() -> None:
    room = Room("toaster")
    room.grasp()
    slot = slot_pose(from_scene(room.scene().objects[TOASTER]), 0)
    heights = []
    while room.held:
        assert room.step() is not None
        heights.append((inverse(slot) @ room.T_base_object)[:3, 3])
    over, inside = heights[1], heights[2]
    np.testing.assert_allclose(over[:2], 0.0, atol=1e-9)
    np.testing.assert_allclose(inside[:2], 0.0, atol=1e-9)
    assert over[2] - 0.06 > 0.02
    assert inside[2] - 0.06 < -0.05
    away = room.step()
    assert away
    assert away.hand.position[2] > heights[-1][2]
    room.success = True
    assert room.step(waited_s=WAIT_S) is None


def test_bread_that_is_not_deep_enough_is_taken_again() -> None:
    room = Room("toaster")
    room.grasp()
    while room.held:
        room.step()
    room.step()
    assert room.step(waited_s=0.1) is None
    room.step(waited_s=WAIT_S)
    room.grasp()
