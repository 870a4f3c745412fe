"""Who moves the robot, tick by tick."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rove_core.joint_space import FloatArray, JointSpace
from rove_core.modes import Mode, Source

SPACE = JointSpace.load("iron_r01")
ARM = SPACE.groups["left_arm"]
MS = 1_000_000


def rows(offset: float, steps: int = 16) -> FloatArray:
    """A chunk's positions that move away from home by `offset` [rad] in equal steps."""
    return SPACE.home + np.linspace(0, offset, steps)[:, None] * np.ones(SPACE.dim)


def test_before_any_mode_it_holds_at_the_measured_pose(bench: Any) -> None:
    decision = bench.tick(10)
    assert (decision.source, decision.hold_reason) == (Source.HOLD, "no supervisor")
    np.testing.assert_allclose(bench.sent[-1], bench.sent[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("mode", [Mode.IDLE, Mode.PAUSED, Mode.ALIGNING, Mode.FAULT, Mode.ESTOP])
def test_a_mode_in_which_nobody_drives_holds_though_both_would_like_to(bench: Any, mode: Mode) -> None:
    bench.say(mode, 4)
    bench.chunk(rows(0.3), 4)
    bench.operate(SPACE.home + 0.2, 4)
    decision = bench.tick()
    assert decision.source is Source.HOLD
    assert decision.held.all()
    assert decision.policy_position is None


def test_a_takeover_mid_chunk_drops_the_rest_of_the_chunk(bench: Any) -> None:
    bench.say(Mode.ROLLOUT, 1)
    assert bench.chunk(rows(0.5), 1)
    assert bench.tick(60).source is Source.POLICY
    bench.say(Mode.ALIGNING, 2)
    assert not bench.chunk(rows(0.9), 1, chunk_id=2)
    decision = bench.tick()
    assert decision.source is Source.STOP
    rest = decision.target
    bench.tick(100)
    assert bench.tick().source is Source.HOLD
    np.testing.assert_allclose(bench.sent[-1], rest, atol=1e-9)
    np.testing.assert_array_equal(bench.sent[-1], bench.sent[-2])
    assert bench.arbiter.counters.chunks_other_epoch == 1


def test_what_was_stored_before_a_change_of_mode_is_not_used_after_it(bench: Any) -> None:
    bench.say(Mode.ROLLOUT, 1)
    bench.chunk(rows(0.5), 1)
    bench.tick(10)
    bench.say(Mode.PAUSED, 2)
    bench.operate(SPACE.home + 0.1, 2)
    bench.tick()
    bench.say(Mode.ROLLOUT, 3)
    assert bench.tick().hold_reason == "waiting for the policy"
    bench.say(Mode.TAKEOVER, 4)
    assert bench.tick().hold_reason == "waiting for the operator"


def test_a_chunk_that_is_ahead_of_its_mode_waits_for_it(bench: Any) -> None:
    bench.say(Mode.PAUSED, 1)
    bench.chunk(rows(0.2), 2)
    assert bench.tick().source is Source.HOLD
    bench.say(Mode.ROLLOUT, 2)
    assert bench.tick().source is Source.POLICY


def test_steps_are_chosen_by_time_and_interpolated(bench: Any) -> None:
    bench.say(Mode.ROLLOUT, 1)
    bench.chunk(rows(0.15), 1)  # .01 rad per .1 s
    decision = bench.tick(30)  # .15 s later
    assert decision.chunk_step == 1
    assert decision.policy_position is not None
    np.testing.assert_allclose(decision.policy_position, SPACE.home + 0.015, atol=1e-6)


def test_a_spent_chunk_ends_in_a_hold_that_says_so(bench: Any) -> None:
    bench.say(Mode.ROLLOUT, 1)
    bench.chunk(rows(0.1, steps=3), 1)
    assert bench.tick(59).source is Source.POLICY
    bench.say(Mode.ROLLOUT, 1)
    decision = bench.tick(2)
    assert decision.hold_reason == "policy late"
    assert decision.chunk_step == -1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_chunk_is_refused_and_the_current_one_goes_on(bench: Any, bad: float) -> None:
    bench.say(Mode.ROLLOUT, 1)
    bench.chunk(rows(0.1), 1)
    bench.tick(10)
    broken = rows(0.2)
    broken[3, 4] = bad
    assert not bench.chunk(broken, 1, chunk_id=2)
    assert not bench.chunk(np.zeros((4, 3)), 1, chunk_id=3)
    decision = bench.tick()
    assert (decision.source, decision.chunk_id) == (Source.POLICY, 1)
    assert bench.arbiter.counters.chunks_refused == 2


def test_a_new_chunk_does_not_yank_the_target(bench: Any) -> None:
    bench.say(Mode.ROLLOUT, 1)
    bench.chunk(rows(0.0), 1)
    before = bench.tick(10).target
    bench.chunk(rows(0.0) + 0.2, 1, chunk_id=2)
    joined = bench.tick()
    assert joined.chunk_id == 2
    np.testing.assert_allclose(joined.target, before, atol=0.02)
    bench.say(Mode.ROLLOUT, 1)
    np.testing.assert_allclose(bench.tick(150).target, SPACE.clip(SPACE.home + 0.2), atol=0.01)


def test_targets_beyond_the_joints_limits_are_clipped(bench: Any) -> None:
    bench.say(Mode.ROLLOUT, 1)
    bench.chunk(np.full((16, SPACE.dim), 9.0), 1)
    assert (bench.tick(40).target <= SPACE.upper).all()


def test_the_first_command_of_a_takeover_is_the_last_one_and_the_operator_comes_through_at_once(bench: Any) -> None:
    bench.say(Mode.TAKEOVER, 1)
    elsewhere = SPACE.home.copy()
    elsewhere[ARM] += 0.3
    bench.operate(elsewhere, 1)
    first = bench.tick()
    assert first.source is Source.OPERATOR
    np.testing.assert_allclose(first.target, SPACE.home, atol=1e-3)
    np.testing.assert_allclose(bench.sent[-1], bench.sent[-2], atol=1e-3)
    for step in range(60):  # 1 rad/s for a second, 60 frames
        elsewhere = elsewhere.copy()
        elsewhere[ARM.start] += 1 / 60
        bench.now_ns += MS  # frames do not fall on ticks
        bench.say(Mode.TAKEOVER, 1)
        bench.operate(elsewhere, 1)
        bench.tick(3)
        if step == 11:
            # .2 s after the start the robot has made a good part of the operator's .2 rad.
            assert bench.sent[-1][ARM.start] - SPACE.home[ARM.start] > 0.12
    bench.operate(elsewhere, 1)
    for _ in range(300):
        bench.now_ns += MS
        bench.say(Mode.TAKEOVER, 1)
        bench.operate(elsewhere, 1)
        bench.tick()
    np.testing.assert_allclose(bench.sent[-1][ARM], SPACE.clip(elsewhere)[ARM], atol=0.01)


def test_a_stale_operator_target_holds(bench: Any) -> None:
    bench.say(Mode.TAKEOVER, 1)
    bench.operate(SPACE.home, 1)
    assert bench.tick(20).source is Source.OPERATOR
    decision = bench.tick()
    assert decision.hold_reason == "operator target stale"
    assert decision.source in {Source.HOLD, Source.STOP}


def test_old_and_disordered_operator_targets_are_refused(bench: Any) -> None:
    bench.say(Mode.TAKEOVER, 2)
    assert not bench.operate(SPACE.home, 1)
    assert bench.operate(SPACE.home, 2)
    assert not bench.operate(SPACE.home, 2)
    bench.now_ns -= 10 * MS
    assert not bench.operate(SPACE.home, 2)
    assert not bench.operate(np.zeros(3), 2)


def test_a_group_that_is_not_tracked_holds_while_the_others_follow(bench: Any) -> None:
    bench.say(Mode.TAKEOVER, 1)
    valid = np.ones(SPACE.dim, dtype=np.bool_)
    valid[ARM] = False
    for step in range(1, 100):
        bench.say(Mode.TAKEOVER, 1)
        bench.operate(SPACE.home - 0.001 * step, 1, valid)
        decision = bench.tick(2)
    assert decision.source is Source.OPERATOR
    assert decision.hold_reason == "not tracked: left_arm"
    np.testing.assert_allclose(bench.sent[-1][ARM], SPACE.home[ARM], rtol=0, atol=1e-12)
    assert bench.sent[-1][0] < SPACE.home[0] - 0.05


def test_a_silent_supervisor_holds_and_its_return_resumes(bench: Any) -> None:
    bench.say(Mode.ROLLOUT, 1)
    bench.chunk(rows(0.1, steps=50), 1)
    assert bench.tick(100).source is Source.POLICY
    assert bench.tick().hold_reason == "supervisor silent"
    bench.tick(100)
    bench.say(Mode.ROLLOUT, 1)
    back = bench.tick()
    assert back.source is Source.POLICY
    np.testing.assert_allclose(back.target, bench.sent[-2], atol=1e-3)
