"""What an operator does next, from what can be seen: one stroke of the right hand at a time.

A plan looks at the scene before every stroke, so it starts from any progress stage and tries again what
did not work. The order of things is always the same, so that demonstrations agree with one another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rove_sim.operator_motion import HandPose
from rove_sim.poses import from_scene, inverse, transform
from rove_sim.scene import SceneState
from rove_sim.tasks.toaster import BREAD, TOASTER, Toaster, slice_in_slot
from rove_sim.tasks.whiteboard import ERASER, Whiteboard, board_pose, eraser_on_board

FloatArray = npt.NDArray[np.float64]

OPEN, CLOSED = 0.0, 1.0

# Eraser and slice look the same after half a turn about their z.
HALF_TURN = np.diag([-1.0, -1.0, 1.0, 1.0])

# Eyes, hand and headset need this long until a grasp that worked is seen to have worked [s].
GRASP_SEEN_S = 1.0
# The same for a mark that is gone.
MARK_SEEN_S = 0.5


@dataclass(frozen=True, slots=True)
class Glance:
    """What a plan is made from.

    Attributes:
        scene: the room.
        T_base_palm: the robot's right palm, shape (4, 4).
        waited_s: since the last stroke ended.
    """

    scene: SceneState
    T_base_palm: FloatArray
    waited_s: float


@dataclass(frozen=True, slots=True)
class Reach:
    """One stroke of the hand.

    Attributes:
        hand: where it ends.
        haste: share of the person's usual speed.
        carelessness: share of the person's usual aiming error; 0 where the scene guides the hand.
        stop: the hand comes to rest before the next stroke.
    """

    hand: HandPose
    haste: float = 1.0
    carelessness: float = 1.0
    stop: bool = False


class Plan(ABC):
    """One go at a task, from wherever it stands. Made anew for every takeover."""

    @abstractmethod
    def next(self, glance: Glance) -> Reach | None:
        """The next stroke, None to wait. Called when the hand is free for it."""


def _hand(T_base_palm: FloatArray, closure: float) -> HandPose:
    return HandPose(T_base_palm[:3, 3].copy(), T_base_palm[:3, :3].copy(), closure)


def _facing(T_base_object: FloatArray, forward: FloatArray) -> FloatArray:
    """Pose of an object that looks the same from both sides, turned so that its x goes along `forward`, shape (3,)."""
    return T_base_object if T_base_object[:3, 0] @ forward >= 0.0 else T_base_object @ HALF_TURN


class _PickUp:
    """Takes an object: above it, down, close, and again when it is not in the hand then."""

    def __init__(self, name: str, T_object_palm: FloatArray, above_m: float) -> None:
        self._name = name
        self._T_object_palm = T_object_palm
        self._above = transform([0.0, 0.0, above_m])
        self._step = "away"

    def next(self, glance: Glance) -> Reach | None:
        T_base_object = _facing(from_scene(glance.scene.objects[self._name]), np.array([1.0, 0.0, 0.0]))
        T_base_grasp = T_base_object @ self._T_object_palm
        T_base_above = self._above @ T_base_grasp
        if self._step == "away":
            self._step = "above"
            return Reach(_hand(T_base_above, OPEN))
        if self._step == "above":
            self._step = "down"
            return Reach(_hand(T_base_grasp, OPEN), haste=0.6, carelessness=0.5, stop=True)
        if self._step == "down":
            self._step = "closed"
            return Reach(_hand(T_base_grasp, CLOSED), carelessness=0.0, stop=True)
        if glance.waited_s < GRASP_SEEN_S:
            return None
        self._step = "above"
        return Reach(_hand(T_base_above, OPEN), haste=0.8)

    def lost(self) -> None:
        """The object fell: begin again."""
        self._step = "away"


class WhiteboardPlan(Plan):
    """Eraser from the tray, then the marks from left to right, each with one short stroke to the right."""

    ABOVE_M = 0.09
    LIFT_M = 0.10
    # The face stands this far off the board before it touches [m]; pressing goes this deep [m].
    OFF_M = 0.04
    PRESS_M = 0.005
    # Every round over marks that are still there presses this much harder.
    HARDER_M = 0.002
    # A stroke reaches this far to both sides of a mark's middle.
    STROKE_M = 0.035

    def __init__(self) -> None:
        self._pick_up = _PickUp(ERASER, Whiteboard.OBJECTS[ERASER], self.ABOVE_M)
        self._held = False
        self._touching = False
        self._attended: set[int] = set()
        self._under: int | None = None
        self._rounds = 0
        self._finished = False

    def next(self, glance: Glance) -> Reach | None:
        scene = glance.scene
        if scene.grasp["right"] != ERASER:
            if self._held:
                self._held = self._touching = False
                self._under = None
                self._pick_up.lost()
            return self._pick_up.next(glance)
        T_base_eraser = _facing(from_scene(scene.objects[ERASER]), glance.T_base_palm[:3, 0])
        T_palm_eraser = inverse(glance.T_base_palm) @ T_base_eraser
        if not self._held:
            self._held = True
            if scene.objects[ERASER].position[2] < self.LIFT_M / 2:
                lifted = transform([-0.04, 0.0, self.LIFT_M]) @ glance.T_base_palm
                return Reach(_hand(lifted, CLOSED), carelessness=0.5)
        return self._wipe(glance, inverse(T_palm_eraser))

    def _wipe(self, glance: Glance, T_eraser_palm: FloatArray) -> Reach | None:
        if self._under is not None:
            x, y = self._mark(glance.scene, self._under)
            self._under = None
            return self._at(x + self.STROKE_M, y, -self._depth, T_eraser_palm)
        left = [i for i, mark in enumerate(glance.scene.marks) if not mark.erased]
        if not left:
            return self._finish(glance)
        waiting = [i for i in left if i not in self._attended]
        if not waiting:
            if glance.waited_s < MARK_SEEN_S:
                return None
            self._attended.clear()
            self._rounds += 1
            waiting = left
        target = min(waiting, key=lambda i: self._mark(glance.scene, i)[0])
        x, y = self._mark(glance.scene, target)
        if not self._touching:
            self._touching = True
            return self._at(x - self.STROKE_M, y, self.OFF_M, T_eraser_palm, haste=1.0)
        self._attended.add(target)
        self._under = target
        return self._at(x - self.STROKE_M, y, -self._depth, T_eraser_palm)

    def _finish(self, glance: Glance) -> Reach | None:
        if self._finished:
            return None
        self._finished = True
        T_board_palm = inverse(board_pose()) @ glance.T_base_palm
        return Reach(_hand(board_pose() @ transform([0.0, 0.0, self.OFF_M]) @ T_board_palm, CLOSED), stop=True)

    @property
    def _depth(self) -> float:
        return self.PRESS_M + self._rounds * self.HARDER_M

    def _at(self, x_m: float, y_m: float, gap_m: float, T_eraser_palm: FloatArray, haste: float = 0.65) -> Reach:
        T_base_palm = eraser_on_board(x_m, y_m, gap_m) @ T_eraser_palm
        return Reach(_hand(T_base_palm, CLOSED), haste=haste, carelessness=0.3)

    @staticmethod
    def _mark(scene: SceneState, index: int) -> tuple[float, float]:
        """Middle of a mark in the board frame [m]."""
        place = inverse(board_pose()) @ np.append(scene.marks[index].position, 1.0)
        return float(place[0]), float(place[1])


class ToasterPlan(Plan):
    """Slice from the rack, above the near slot, in, let go, hand away."""

    ABOVE_M = 0.08
    LIFT_M = 0.13
    SLOT = 0
    # Lower edge above the slot before it goes in, and how deep it goes before the hand opens [m].
    HIGH_M = 0.035
    DEPTH_M = 0.062

    def __init__(self) -> None:
        self._pick_up = _PickUp(BREAD, Toaster.OBJECTS[BREAD], self.ABOVE_M)
        self._held = False
        self._step = ""

    def next(self, glance: Glance) -> Reach | None:
        scene = glance.scene
        held = scene.grasp["right"] == BREAD
        if held:
            return self._insert(glance)
        if self._step in ("in", "open", "away") or scene.success:
            return self._leave(glance)
        if self._held:
            self._held = False
            self._pick_up.lost()
        return self._pick_up.next(glance)

    def _insert(self, glance: Glance) -> Reach | None:
        T_base_bread = _facing(from_scene(glance.scene.objects[BREAD]), glance.T_base_palm[:3, 0])
        T_base_toaster = from_scene(glance.scene.objects[TOASTER])
        T_bread_palm = inverse(T_base_bread) @ glance.T_base_palm
        if not self._held:
            self._held, self._step = True, "lift"
            over = slice_in_slot(T_base_toaster, self.SLOT, -self.HIGH_M)
            if T_base_bread[2, 3] < over[2, 3] - 0.01:
                up = transform([0.0, 0.0, over[2, 3] - T_base_bread[2, 3]])
                return Reach(_hand(up @ T_base_bread @ T_bread_palm, CLOSED), carelessness=0.5)
        if self._step == "lift":
            self._step = "above"
            over = slice_in_slot(T_base_toaster, self.SLOT, -self.HIGH_M)
            return Reach(_hand(over @ T_bread_palm, CLOSED), carelessness=0.3, stop=True)
        if self._step == "above":
            self._step = "in"
            inside = slice_in_slot(T_base_toaster, self.SLOT, self.DEPTH_M)
            return Reach(_hand(inside @ T_bread_palm, CLOSED), haste=0.4, carelessness=0.2, stop=True)
        if self._step == "in":
            self._step = "open"
            return Reach(_hand(glance.T_base_palm, OPEN), carelessness=0.0, stop=True)
        # The fingers are opening; when that is not seen to have helped, the slice is tried again from above.
        if self._step == "open" and glance.waited_s > GRASP_SEEN_S:
            self._step = "lift"
        return None

    def _leave(self, glance: Glance) -> Reach | None:
        if self._step != "away":
            self._step = "away"
            return Reach(_hand(transform([-0.02, 0.0, 0.10]) @ glance.T_base_palm, OPEN), stop=True)
        if not glance.scene.success and glance.waited_s > GRASP_SEEN_S:
            # It stands askew or not deep enough: take it again.
            self._step, self._held = "", True
        return None


PLANS: Mapping[str, Callable[[], Plan]] = {Whiteboard.NAME: WhiteboardPlan, Toaster.NAME: ToasterPlan}
