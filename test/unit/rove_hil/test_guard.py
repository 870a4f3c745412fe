"""The guard in front of the real filter: nothing comes too near, nothing is pushed, nothing sticks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rove_core.joint_space import FloatArray, JointSpace
from rove_hil.guard.braking import CommandState
from rove_hil.guard.clearance import Clearance
from rove_hil.guard.command_guard import SLOW_GAP_M, Guard, Verdict
from rove_hil.joint_filter import JointFilter

SPACE = JointSpace.load("iron_r01")
CLEARANCE = Clearance(SPACE)
DT_S = 0.005
# What turning between samples and tracking in first order may cost [m].
TOLERANCE_M = 0.001
NOBODY = np.zeros(SPACE.dim, dtype=np.bool_)

Targets = Callable[[int], tuple[FloatArray, FloatArray]]
"""Tick to position [rad] and velocity [rad/s] of all joints."""


class Run:
    """A filter with or without a guard before it."""

    def __init__(self, start: FloatArray, clearance: Clearance | None = CLEARANCE) -> None:
        self.filter = JointFilter(SPACE, DT_S)
        self.filter.reset(start)
        self.guard = None if clearance is None else Guard(SPACE, DT_S, clearance)
        self.watch = clearance or CLEARANCE
        self.velocity = self.acceleration = np.zeros(SPACE.dim)
        self.near = np.full(len(self.watch.reach), 0.02)

    def step(self, target: FloatArray, velocity: FloatArray | None = None) -> Verdict:
        velocity = np.zeros(SPACE.dim) if velocity is None else velocity
        verdict = Verdict(target, velocity, NOBODY, "")
        if self.guard is not None:
            motion = CommandState(self.filter.position, self.velocity, self.acceleration, self.filter.rest_position)
            verdict = self.guard.limit(motion, target, velocity, NOBODY)
        output = self.filter.step(verdict.target, target_velocity=verdict.velocity, brake=verdict.brake)
        self.velocity, self.acceleration = output.velocity, output.acceleration
        return verdict

    def least_gap(self) -> float:
        rows = self.watch.rows(self.filter.position, self.near)
        return float(rows.gap.min()) if len(rows) else float(self.near[0])


def least_gap(run: Run, targets: Targets, ticks: int) -> float:
    least = np.inf
    for tick in range(ticks):
        run.step(*targets(tick))
        least = min(least, run.least_gap())
    return least


def jumps(seed: int) -> Targets:
    """Half of the joints get a new target anywhere, every .4 s."""
    rng = np.random.default_rng(seed)
    state = [SPACE.home.copy()]

    def at(tick: int) -> tuple[FloatArray, FloatArray]:
        if tick % 80 == 0:
            state[0] = np.where(rng.random(SPACE.dim) < 0.5, rng.uniform(SPACE.lower, SPACE.upper), state[0])
        return state[0], np.zeros(SPACE.dim)

    return at


def sines(seed: int) -> Targets:
    """All joints over their whole range at .1 to 1 Hz, with 3 mrad of noise."""
    rng = np.random.default_rng(seed)
    omega, phase = 2 * np.pi * rng.uniform(0.1, 1.0, SPACE.dim), rng.uniform(0, 2 * np.pi, SPACE.dim)
    middle, reach = (SPACE.upper + SPACE.lower) / 2, (SPACE.upper - SPACE.lower) / 2

    def at(tick: int) -> tuple[FloatArray, FloatArray]:
        angle = omega * tick * DT_S + phase
        noise = 0.003 * rng.standard_normal(SPACE.dim)
        return middle + reach * np.sin(angle) + noise, reach * omega * np.cos(angle)

    return at


@pytest.mark.parametrize("targets", [jumps(1), sines(2), sines(3)], ids=["jumps", "sines", "other sines"])
def test_no_pair_comes_too_near_whatever_all_joints_are_told(targets: Targets) -> None:
    assert least_gap(Run(SPACE.home), targets, 500) > -TOLERANCE_M


def test_without_the_guard_the_same_motion_runs_into_itself() -> None:
    assert least_gap(Run(SPACE.home, clearance=None), sines(2), 500) < -10 * TOLERANCE_M


def hand_to_chest(inward: float) -> FloatArray:
    """Left shoulder yaw turned `inward` [rad] from a pose with the forearm before the chest."""
    q = SPACE.home.copy()
    q[SPACE.index("left_elbow")] = -2.0
    q[SPACE.index("left_shoulder_yaw")] = -0.2 - inward
    return q


def test_a_hand_that_is_told_into_the_chest_stops_before_it_and_comes_away_at_once() -> None:
    run = Run(hand_to_chest(0.0))
    into = hand_to_chest(1.4)
    for _ in range(600):
        verdict = run.step(into)
    assert verdict.reason.startswith("held back: ")
    assert run.filter.at_rest
    assert 0 < run.least_gap() < 2 * SLOW_GAP_M
    stopped = run.filter.position
    for _ in range(10):
        run.step(hand_to_chest(0.0))
    assert run.filter.position[SPACE.index("left_shoulder_yaw")] > stopped[SPACE.index("left_shoulder_yaw")]
    for _ in range(200):
        verdict = run.step(hand_to_chest(0.0))
    np.testing.assert_allclose(run.filter.position, hand_to_chest(0.0), atol=1e-3)
    assert verdict.reason == ""


def test_a_slow_approach_is_stopped_without_braking() -> None:
    """Braking is for what comes fast; the target alone leads a slow hand to rest."""
    run = Run(hand_to_chest(0.0))
    for tick in range(800):
        inward = min(0.5 * tick * DT_S, 1.4)
        velocity = np.zeros(SPACE.dim)
        velocity[SPACE.index("left_shoulder_yaw")] = -0.5 * (inward < 1.4)
        assert not run.step(hand_to_chest(inward), velocity).brake.any()
    assert 0.5 * SLOW_GAP_M < run.least_gap() < 1.5 * SLOW_GAP_M


def test_held_at_the_chest_the_hand_does_not_chatter() -> None:
    run = Run(hand_to_chest(0.0))
    rng = np.random.default_rng(0)
    into = hand_to_chest(1.4)
    for _ in range(600):
        run.step(into + 0.003 * rng.standard_normal(SPACE.dim))
    yaw = SPACE.index("left_shoulder_yaw")
    before = run.filter.position
    fastest = 0.0
    for _ in range(400):
        run.step(into + 0.003 * rng.standard_normal(SPACE.dim))
        fastest = max(fastest, abs(float(run.velocity[yaw])))
    assert fastest < 0.1
    assert abs(run.filter.position - before)[yaw] < 0.02


@given(st.integers(0, 2**32 - 1))
def test_targets_are_only_ever_moved_nearer_to_the_command(seed: int) -> None:
    rng = np.random.default_rng(seed)
    q, target = rng.uniform(SPACE.lower, SPACE.upper, (2, SPACE.dim))
    verdict = Guard(SPACE, DT_S, CLEARANCE).limit(
        CommandState(q, np.zeros(SPACE.dim), np.zeros(SPACE.dim), q), target, np.zeros(SPACE.dim), NOBODY
    )
    share = (verdict.target - q) / (target - q)
    assert (share >= -1e-9).all()
    assert (share <= 1 + 1e-9).all()


def test_a_robot_that_starts_too_near_only_comes_apart() -> None:
    start = SPACE.clip(np.zeros(SPACE.dim))  # arms hang, wrists in the hips
    run = Run(start)
    first = run.least_gap()
    assert first < 0
    deeper = start.copy()
    for side in ("left", "right"):
        roll = SPACE.index(f"{side}_shoulder_roll")
        deeper[roll] = SPACE.lower[roll] if side == "left" else SPACE.upper[roll]
    assert least_gap(run, lambda _: (deeper, np.zeros(SPACE.dim)), 200) > first - 2 * TOLERANCE_M
    for _ in range(600):
        run.step(SPACE.home)
    np.testing.assert_allclose(run.filter.position, SPACE.home, atol=1e-3)


def test_far_from_everything_targets_pass_untouched() -> None:
    guard = Guard(SPACE, DT_S, CLEARANCE)
    target, velocity = SPACE.home + 0.01, np.full(SPACE.dim, 0.1)
    motion = CommandState(SPACE.home, np.zeros(SPACE.dim), np.zeros(SPACE.dim), SPACE.home)
    verdict = guard.limit(motion, target, velocity, NOBODY)
    np.testing.assert_array_equal(verdict.target, target)
    np.testing.assert_array_equal(verdict.velocity, velocity)
    assert not verdict.brake.any()
    assert verdict.reason == ""


def test_palms_stay_in_the_workspace(tmp_path: Path) -> None:
    file = tmp_path / "workspace.yaml"
    file.write_text("half_spaces: [{name: table, normal: [0, 0, 2], offset: 0.1}]\n")
    clearance = Clearance(SPACE, self_collision=False, workspace=file)
    down = SPACE.home.copy()
    for side in ("left", "right"):
        down[SPACE.index(f"{side}_elbow")] = -0.3
    for guarded in (True, False):
        run = Run(SPACE.home, clearance if guarded else None)
        run.watch, run.near = clearance, np.full(len(clearance.reach), 1.0)
        least = least_gap(run, lambda _: (down, np.zeros(SPACE.dim)), 400)
        assert (least > -TOLERANCE_M) == guarded
        if guarded:
            assert run.step(down).reason == "held back: left_palm at the table of the workspace"


def test_hands_may_touch_but_not_the_head() -> None:
    pairs = {CLEARANCE.name(pair): float(distance) for pair, distance in enumerate(CLEARANCE.smallest)}
    assert pairs["left_index_distal near right_index_distal"] < 0
    assert pairs["head near left_palm"] > 0
