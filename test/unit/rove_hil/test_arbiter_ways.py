"""The ways of a takeover, tick by tick, through the arbiter and the command filter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rove_core.joint_space import FloatArray, JointSpace
from rove_core.modes import Mode, Source, TakeoverWay
from rove_hil.command.decision import ArbiterConfig, Decision
from rove_hil.command.palm_motion import PalmMotion

SPACE = JointSpace.load("iron_r01")
LEFT, RIGHT = SPACE.groups["left_arm"], SPACE.groups["right_arm"]
ELBOW = SPACE.index("right_elbow")
GROUPS = tuple(SPACE.groups)
PALMS = PalmMotion(SPACE)
MS = 1_000_000


def still(position: FloatArray, steps: int = 40) -> FloatArray:
    """A chunk that stays where it is."""
    return np.tile(position, (steps, 1))


def moved(joints: slice | int, by: float, start: FloatArray = SPACE.home) -> FloatArray:
    position = start.copy()
    position[joints] += by
    return position


def operate(bench: Any, said: dict[str, Any], positions: FloatArray) -> Decision:
    """The operator goes through `positions`, one every 15 ms, while the supervisor keeps saying `said`."""
    for position in positions:
        bench.say(Mode.TAKEOVER, **said)
        bench.operate(position, said["epoch"])
        decision = bench.tick(3)
    return decision


def test_in_a_clutch_the_robot_moves_as_the_operator_moves_and_stays_away_as_far_as_it_was(bench: Any) -> None:
    said = {"epoch": 1, "way": TakeoverWay.CLUTCH}
    away = moved(RIGHT, 0.2)
    operate(bench, said, still(away, 20))
    np.testing.assert_allclose(bench.sent[-1], SPACE.home, atol=1e-3)
    path = away + np.linspace(0, 0.3, 60)[:, None] * (np.arange(SPACE.dim) == ELBOW)
    operate(bench, said, np.concatenate((path, still(path[-1], 60))))
    np.testing.assert_allclose(bench.sent[-1], moved(ELBOW, 0.3), atol=2e-3)


def test_a_new_clutch_engages_without_a_jump(bench: Any) -> None:
    said = {"epoch": 1, "way": TakeoverWay.CLUTCH}
    operate(bench, said, still(SPACE.home, 20))
    operate(bench, said, still(moved(ELBOW, 0.1), 60))
    bench.say(Mode.ALIGNING, 2)
    bench.tick(60)
    before = bench.sent[-1]
    # Meanwhile the operator went elsewhere.
    operate(bench, said | {"epoch": 3}, still(moved(RIGHT, -0.2), 30))
    np.testing.assert_allclose(bench.sent[-1], before, atol=1e-3)


@pytest.mark.parametrize("way", [TakeoverWay.ABSOLUTE, TakeoverWay.CLUTCH])
def test_a_full_takeover_is_all_the_operators(bench: Any, way: TakeoverWay) -> None:
    decision = operate(bench, {"epoch": 1, "way": way}, still(SPACE.home, 5))
    np.testing.assert_array_equal(decision.authority, 1)
    bench.say(Mode.ROLLOUT, 2)
    bench.chunk(still(SPACE.home), 2)
    np.testing.assert_array_equal(bench.tick().authority, 0)
    bench.say(Mode.PAUSED, 3)
    np.testing.assert_array_equal(bench.tick().authority, 0)


def test_a_part_that_is_not_tracked_has_no_authority(bench: Any) -> None:
    valid = np.ones(SPACE.dim, dtype=np.bool_)
    valid[LEFT] = False
    bench.say(Mode.TAKEOVER, 1)
    bench.operate(SPACE.home, 1, valid)
    authority = dict(zip(GROUPS, bench.tick().authority, strict=True))
    assert authority == {group: float(group != "left_arm") for group in GROUPS}


PARTIAL = {"epoch": 1, "groups": ("right_arm", "right_hand"), "policy_runs": True}


@pytest.mark.parametrize("way", [TakeoverWay.ABSOLUTE, TakeoverWay.CLUTCH])
def test_in_a_partial_takeover_each_drives_his_own_joints(bench: Any, way: TakeoverWay) -> None:
    said = PARTIAL | {"way": way}
    bench.say(Mode.TAKEOVER, **said)
    bench.chunk(still(moved(LEFT, 0.1)), 1)
    decision = operate(bench, said, np.concatenate((still(SPACE.home, 20), still(moved(ELBOW, 0.2), 100))))
    assert (decision.source, decision.chunk_id, decision.hold_reason) == (Source.OPERATOR, 1, "")
    np.testing.assert_allclose(bench.sent[-1], moved(ELBOW, 0.2, moved(LEFT, 0.1)), atol=0.015)
    mine = {"right_arm", "right_hand"}
    assert dict(zip(GROUPS, decision.authority, strict=True)) == {group: float(group in mine) for group in GROUPS}


def test_when_the_policy_is_late_its_part_holds_and_the_operator_goes_on(bench: Any) -> None:
    bench.say(Mode.TAKEOVER, **PARTIAL)
    bench.operate(SPACE.home, 1)
    assert bench.tick().hold_reason == "waiting for the policy"
    bench.chunk(SPACE.home + np.linspace(0, 0.1, 4)[:, None], 1)  # .4 s
    operate(bench, PARTIAL, still(SPACE.home, 20))
    decision = operate(bench, PARTIAL, still(moved(ELBOW, 0.2), 40))
    assert (decision.source, decision.hold_reason, decision.chunk_id) == (Source.OPERATOR, "policy late", 0)
    assert decision.held[LEFT].all()
    held = bench.sent[-1][LEFT]
    operate(bench, PARTIAL, still(moved(ELBOW, 0.3), 40))
    np.testing.assert_array_equal(bench.sent[-1][LEFT], held)
    assert bench.sent[-1][ELBOW] == pytest.approx(SPACE.home[ELBOW] + 0.3, abs=0.01)
    # ... and joins again from where it holds.
    bench.chunk(still(SPACE.home - 0.2), 1, chunk_id=2)
    target = bench.tick().target
    np.testing.assert_allclose(target[LEFT], held, atol=1e-9)
    bench.check_limits()


def test_without_the_operator_the_policys_part_holds_too(bench: Any) -> None:
    bench.say(Mode.TAKEOVER, **PARTIAL)
    bench.chunk(still(moved(LEFT, 0.1)), 1)
    decision = bench.tick(10)
    assert decision.hold_reason == "waiting for the operator"
    assert decision.held.all()


BLENDED = {"epoch": 1, "way": TakeoverWay.BLENDED, "policy_runs": True}


def test_in_a_blended_takeover_the_operators_motion_is_added_to_the_policys(bench: Any) -> None:
    bench.say(Mode.TAKEOVER, **BLENDED)
    bench.chunk(SPACE.home + np.linspace(0, 0.4, 41)[:, None] * np.ones(SPACE.dim), 1)  # .1 rad/s
    decision = operate(bench, BLENDED, np.concatenate((still(moved(RIGHT, 0.3), 20), still(moved(RIGHT, 0.5), 80))))
    policy = decision.policy_position
    assert policy is not None
    assert policy[LEFT.start] == pytest.approx(SPACE.home[LEFT.start] + 0.15, abs=0.01)
    # Where the operator was when he took over does not matter, only that he moved by .2 rad since.
    np.testing.assert_allclose(decision.target, SPACE.clip(moved(RIGHT, 0.2, policy)), atol=0.01)
    np.testing.assert_array_equal(decision.authority, 1)


def test_shares_of_the_operators_motion_per_group(bench: Any) -> None:
    weight = np.ones(SPACE.dim)
    weight[RIGHT], weight[LEFT] = 0.5, 0.0
    bench.build(ArbiterConfig(bench.config.handover_s, weight))
    bench.say(Mode.TAKEOVER, **BLENDED)
    bench.chunk(still(SPACE.home), 1)
    decision = operate(bench, BLENDED, np.concatenate((still(SPACE.home, 20), still(SPACE.home - 0.1, 80))))
    expected = SPACE.home - 0.1 * weight
    np.testing.assert_allclose(decision.target, SPACE.clip(expected), atol=2e-3)
    share = {"right_arm": 0.5, "left_arm": 0.0}
    assert dict(zip(GROUPS, decision.authority, strict=True)) == {group: share.get(group, 1.0) for group in GROUPS}


def test_a_takeover_that_leaves_the_operator_nothing_holds(bench: Any) -> None:
    bench.build(ArbiterConfig(bench.config.handover_s, np.zeros(SPACE.dim)))
    bench.say(Mode.TAKEOVER, **BLENDED)
    bench.chunk(still(SPACE.home + 0.1), 1)
    decision = operate(bench, BLENDED, still(SPACE.home, 5))
    assert (decision.source, decision.hold_reason) == (Source.HOLD, "no joint group is the operator's")


def test_what_the_policy_has_seen_is_not_added_again(bench: Any) -> None:
    # A policy that stays where the robot is: without this rule the robot would run away.
    bench.say(Mode.TAKEOVER, **BLENDED)
    operate(bench, BLENDED, still(SPACE.home, 10))
    for chunk_id in range(1, 12):
        bench.chunk(still(bench.sent[-1]), 1, chunk_id)
        operate(bench, BLENDED, still(moved(ELBOW, 0.1), 20))
    np.testing.assert_allclose(bench.sent[-1], moved(ELBOW, 0.1), atol=0.01)


def test_a_late_policy_freezes_and_the_operators_motion_goes_on_from_there(bench: Any) -> None:
    bench.say(Mode.TAKEOVER, **BLENDED)
    bench.chunk(SPACE.home + np.linspace(0, 0.1, 4)[:, None], 1)
    operate(bench, BLENDED, still(SPACE.home, 60))
    frozen = bench.tick().target
    decision = operate(bench, BLENDED, still(moved(ELBOW, 0.2), 80))
    assert (decision.hold_reason, decision.chunk_id, decision.policy_position) == ("policy late", 0, None)
    assert not decision.held.any()
    np.testing.assert_allclose(decision.target, moved(ELBOW, 0.2, frozen), atol=0.01)


def test_without_a_policy_a_blended_takeover_is_a_clutch(bench: Any) -> None:
    said = BLENDED | {"policy_runs": False}
    decision = operate(bench, said, np.concatenate((still(moved(RIGHT, 0.2), 20), still(moved(RIGHT, 0.3), 60))))
    assert decision.hold_reason == ""
    np.testing.assert_allclose(bench.sent[-1], moved(RIGHT, 0.1), atol=2e-3)


def test_the_policys_first_chunk_in_a_blended_takeover_joins_without_a_jump(bench: Any) -> None:
    bench.say(Mode.TAKEOVER, **BLENDED)
    before = operate(bench, BLENDED, still(SPACE.home, 40)).target
    bench.chunk(still(SPACE.home + 0.2), 1)
    np.testing.assert_allclose(bench.tick().target, before, atol=1e-3)
    np.testing.assert_allclose(
        operate(bench, BLENDED, still(SPACE.home, 200)).target, SPACE.clip(SPACE.home + 0.2), atol=0.01
    )


@pytest.mark.parametrize("way", TakeoverWay)
def test_a_change_of_mode_that_lets_go_of_nothing_does_not_jump(bench: Any, way: TakeoverWay) -> None:
    operate(bench, {"epoch": 1, "way": way}, still(moved(RIGHT, 0.05), 10))
    bench.say(Mode.TAKEOVER, 2, way)
    bench.operate(moved(RIGHT, 0.4), 2)
    decision = bench.tick()
    assert decision.source is Source.OPERATOR
    np.testing.assert_allclose(decision.target, bench.sent[-2], atol=1e-9)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_whatever_happens_in_whatever_order(new_bench: Any, seed: int) -> None:
    """Modes, ways, groups, epochs, chunks and targets of any kind and order; clocks that jump."""
    rng = np.random.default_rng(seed)
    bench = new_bench()
    if rng.random() < 0.5:
        bench.build(bench.config, PALMS)
    epoch, mode, said, chunk_id = 0, Mode.IDLE, Mode.IDLE, 0
    how: dict[str, Any] = {}
    epoch_of_chunk: dict[int, int] = {0: 0}
    held, driving = np.ones(SPACE.dim, dtype=np.bool_), None
    bench.say(mode, epoch)
    for _ in range(300):
        event = rng.random()
        if event < 0.03:
            epoch += int(rng.integers(0, 3))
            mode = (*Mode, Mode.TAKEOVER, Mode.TAKEOVER, Mode.ROLLOUT)[rng.integers(len(Mode) + 3)]
            how = {
                "way": tuple(TakeoverWay)[rng.integers(3)],
                "groups": tuple(group for group in GROUPS if rng.random() < 0.3),
                "policy_runs": bool(rng.random() < 0.8),
            }
        if event < 0.3:
            bench.say(mode, epoch, **how)
            said, said_epoch = mode, epoch
        if 0.2 < event < 0.3:
            chunk_id += 1
            chunk = rng.uniform(SPACE.lower - 1, SPACE.upper + 1, (int(rng.integers(1, 20)), SPACE.dim))
            if rng.random() < 0.2:
                chunk[-1, 0] = np.nan
            epoch_of_chunk[chunk_id] = epoch + int(rng.integers(-1, 2))
            bench.chunk(chunk, epoch_of_chunk[chunk_id], chunk_id, float(rng.choice([0.005, 0.033, 0.2])))
        if event > 0.6:
            target = rng.uniform(SPACE.lower - 1, SPACE.upper + 1)
            target[rng.integers(SPACE.dim)] = rng.choice([np.nan, np.inf, 0.0])
            bench.operate(target, epoch + int(rng.integers(-1, 2)), rng.random(SPACE.dim) < rng.random() * 2)
        if rng.random() < 0.02:
            bench.now_ns += int(rng.integers(-1000, 1000)) * MS
        commanded, rest = bench.filter.position, bench.filter.rest_position
        decision = bench.tick()
        drives = {Mode.ROLLOUT: Source.POLICY, Mode.TAKEOVER: Source.OPERATOR}.get(said)
        assert decision.source in {Source.HOLD, Source.STOP, drives}
        assert np.isfinite(decision.target).all()
        # Whoever begins to drive begins at the last command; whoever ends brakes from it.
        begins = ~decision.held & (held | (driving != bench.arbiter.mode.epoch))
        driving = bench.arbiter.mode.epoch if not decision.held.all() else None
        np.testing.assert_allclose(decision.target[begins], commanded[begins], atol=1e-9)
        np.testing.assert_array_equal(decision.target[~held & decision.held], rest[~held & decision.held])
        held = decision.held
        # Nothing of another epoch, and no share of the operator where nobody follows him.
        if decision.chunk_id:
            assert epoch_of_chunk[decision.chunk_id] == said_epoch
        mine = how.get("groups") or GROUPS
        for group, authority in zip(GROUPS, decision.authority, strict=True):
            follows = said is Mode.TAKEOVER and group in mine and not held[SPACE.groups[group]].any()
            assert authority == float(follows)
    bench.check_limits()
