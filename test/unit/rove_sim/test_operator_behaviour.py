"""The operator in the simulated room, without ROS: a robot that follows after a tenth of a second."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

from rove_core.joint_space import FloatArray, JointSpace
from rove_core.modes import Mode
from rove_sim.operator_behaviour import Saying, ScriptedOperator, View
from rove_sim.operator_body import OperatorBody
from rove_sim.operator_model import load_profile
from rove_sim.world import TIMESTEP_S, World

SPACE = JointSpace.load("iron_r01")
STEPS_PER_FRAME = 7
FRAME_S = STEPS_PER_FRAME * TIMESTEP_S
DELAY_S = 0.1
# How fast the robot comes to what the operator wants, per physics step.
FOLLOWING = 0.12


class Room:
    """A world, an operator, and what lies between them."""

    def __init__(self, task: str, profile: str, seed: int = 0, start_stage: int = 0) -> None:
        self.world = World(SPACE, task)
        self.world.reset(task, seed, start_stage)
        self.operator = ScriptedOperator(load_profile(profile), OperatorBody(SPACE), np.random.default_rng(seed))
        self.t_s = 0.0
        self.epoch = 0
        self.mode = Mode.IDLE
        self.demonstration = False
        self.gate_met = True
        self.ready = False
        self.said: list[tuple[float, Saying]] = []
        self._reference = self.robot
        self._on_the_way: deque[tuple[float, FloatArray]] = deque()

    @property
    def robot(self) -> FloatArray:
        return self.world.observe().position.copy()

    def enter(self, mode: Mode) -> None:
        self.mode, self.epoch, self.ready = mode, self.epoch + 1, False

    def step(self) -> None:
        """One frame of motion capture and the physics until the next."""
        view = View(
            mode=self.mode,
            epoch=self.epoch,
            gate_met=self.gate_met,
            operator_ready=self.ready,
            demonstration=self.demonstration,
            robot=self.robot,
            scene=self.world.scene(),
        )
        for saying in self.operator.step(self.t_s, view):
            self.said.append((self.t_s, saying))
            self.ready = self.ready or saying is Saying.READY
        self._on_the_way.append((self.t_s + DELAY_S, self.operator.body.q.copy()))
        target = self._reference
        while self._on_the_way and self._on_the_way[0][0] <= self.t_s:
            target = self._on_the_way.popleft()[1]
        for _ in range(STEPS_PER_FRAME):
            if self.mode is Mode.TAKEOVER:
                self._reference = self._reference + FOLLOWING * (target - self._reference)
            self.world.set_reference(self._reference)
            self.world.step(1)
        self.t_s += FRAME_S

    def run(self, seconds: float) -> None:
        end_s = self.t_s + seconds
        while self.t_s < end_s:
            self.step()

    def align(self) -> None:
        self.enter(Mode.ALIGNING)
        while not self.ready:
            assert self.t_s < 30.0
            self.step()


@pytest.mark.parametrize(("task", "profile"), [("whiteboard", "typical"), ("toaster", "expert")])
def test_a_task_is_done_from_its_start(task: str, profile: str) -> None:
    room = Room(task, profile)
    room.demonstration = True
    room.align()
    room.enter(Mode.TAKEOVER)
    begin_s = room.t_s
    while not room.world.task.success:
        assert room.t_s - begin_s < 30.0
        room.step()


def test_a_takeover_goes_on_from_where_the_policy_stopped() -> None:
    room = Room("whiteboard", "expert", seed=1, start_stage=2)
    room.align()
    room.enter(Mode.TAKEOVER)
    begin_s = room.t_s
    while not room.world.task.success:
        assert room.t_s - begin_s < 15.0
        room.step()


def test_hands_are_still_while_others_move_the_robot() -> None:
    room = Room("whiteboard", "clumsy")
    q = room.operator.body.q.copy()
    for mode in (Mode.ROLLOUT, Mode.PAUSED, Mode.FAULT, Mode.IDLE):
        room.enter(mode)
        room.run(0.1)
    np.testing.assert_array_equal(room.operator.body.q, q)


@pytest.mark.parametrize("profile", ["expert", "clumsy"])
def test_aligning_ends_near_the_robot_but_for_the_mismatch_of_the_arms(profile: str) -> None:
    room = Room("whiteboard", profile, start_stage=1)
    room.align()
    off = np.abs(room.operator.body.q - room.robot)
    arms = np.zeros(SPACE.dim, dtype=bool)
    arms[SPACE.groups["left_arm"]] = arms[SPACE.groups["right_arm"]] = True
    assert off[~arms].max() < 1e-3
    assert 0.0 < off[arms].max() <= 2 * load_profile(profile).mismatch_rad + 1e-3


def test_a_gate_that_stays_shut_makes_the_operator_look_closer() -> None:
    room = Room("whiteboard", "clumsy")
    room.gate_met = False
    room.align()
    before = np.abs(room.operator.body.q - room.robot).max()
    room.run(3.0)
    assert np.abs(room.operator.body.q - room.robot).max() < 0.6 * before


def test_being_ready_is_said_again_until_it_is_heard() -> None:
    room = Room("whiteboard", "expert")
    room.align()
    room.ready = False
    room.run(1.2)
    assert [saying for _, saying in room.said] == [Saying.READY, Saying.READY]


def test_finding_in_takes_as_long_as_the_profile_says_and_its_end_is_told_once() -> None:
    room = Room("toaster", "typical")
    room.align()
    room.enter(Mode.TAKEOVER)
    begin_s = room.t_s
    room.run(5.0)
    ends = [t_s - begin_s for t_s, saying in room.said if saying is Saying.ADAPTED]
    assert len(ends) == 1
    profile = load_profile("typical")
    shortest, longest = (a + b for a, b in zip(profile.adaptation_s, profile.reaction_s, strict=True))
    assert shortest <= ends[0] <= longest + FRAME_S


def test_who_lost_tracking_for_a_moment_does_not_find_in_again() -> None:
    room = Room("toaster", "typical")
    room.align()
    room.enter(Mode.TAKEOVER)
    room.run(4.0)
    room.align()
    room.enter(Mode.TAKEOVER)
    room.run(4.0)
    assert [saying for _, saying in room.said].count(Saying.ADAPTED) == 1
    room.enter(Mode.ROLLOUT)
    room.step()
    room.align()
    room.enter(Mode.TAKEOVER)
    room.run(4.0)
    assert [saying for _, saying in room.said].count(Saying.ADAPTED) == 2


def test_taking_over_does_not_jump() -> None:
    room = Room("whiteboard", "clumsy", start_stage=1)
    room.align()
    room.enter(Mode.TAKEOVER)
    before = room.operator.body.q.copy()
    for _ in range(100):
        room.step()
        assert np.abs(room.operator.body.q - before).max() < 0.07
        before = room.operator.body.q.copy()


def test_only_the_right_arm_and_hand_act() -> None:
    room = Room("toaster", "expert")
    room.align()
    room.enter(Mode.TAKEOVER)
    before = room.operator.body.q.copy()
    room.run(2.0)
    moved = np.abs(room.operator.body.q - before) > 1e-9
    for group in ("head", "waist", "left_arm", "left_hand"):
        assert not moved[SPACE.groups[group]].any()
    assert moved[SPACE.groups["right_arm"]].all()
