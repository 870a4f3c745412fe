"""The alignment gate: close enough, in the groups that matter, for long enough."""

from __future__ import annotations

import math

import pytest

from rove_core.clocks import NS_PER_S
from rove_core.errors import ConfigError
from rove_hil.alignment import AlignmentGate, GateState, GroupError

CLOSE = GroupError(0.05, 0.1, True)
FAR = GroupError(0.6, 0.9, True)
LOST = GroupError(0.0, 0.0, False)
PERIOD_NS = NS_PER_S // 50


def gate() -> AlignmentGate:
    return AlignmentGate({"arm": 0.3, "hand": 0.6}, required=("arm",), dwell_s=0.4, max_gap_s=0.2)


def feed(
    subject: AlignmentGate, start_ns: int, duration_s: float, arm: GroupError, hand: GroupError
) -> tuple[int, GateState]:
    state = subject.state(start_ns)
    for now_ns in range(start_ns, start_ns + int(duration_s * NS_PER_S), PERIOD_NS):
        state = subject.update(now_ns, {"arm": arm, "hand": hand})
    return start_ns + int(duration_s * NS_PER_S), state


def test_is_shut_before_the_first_pose() -> None:
    assert gate().state(0) == GateState(False, "no operator pose yet")


def test_opens_when_close_for_the_dwell_and_not_before() -> None:
    subject = gate()
    now_ns, state = feed(subject, 0, 0.38, CLOSE, CLOSE)
    assert not state.met
    assert "of 0.40 s" in state.reason
    assert feed(subject, now_ns, 0.06, CLOSE, CLOSE)[1].met


def test_one_sample_far_off_starts_the_dwell_again() -> None:
    subject = gate()
    now_ns, state = feed(subject, 0, 0.5, CLOSE, CLOSE)
    assert state.met
    state = subject.update(now_ns, {"arm": FAR, "hand": CLOSE})
    assert not state.met
    assert "arm is off by 0.60 rad (limit 0.30)" in state.reason
    assert not feed(subject, now_ns + PERIOD_NS, 0.3, CLOSE, CLOSE)[1].met


def test_a_gap_in_the_poses_starts_the_dwell_again() -> None:
    subject = gate()
    now_ns, _ = feed(subject, 0, 0.3, CLOSE, CLOSE)
    assert not subject.update(now_ns + NS_PER_S, {"arm": CLOSE, "hand": CLOSE}).met


def test_shuts_by_itself_when_poses_stop() -> None:
    subject = gate()
    now_ns, state = feed(subject, 0, 0.6, CLOSE, CLOSE)
    assert state.met
    assert subject.state(now_ns + NS_PER_S) == GateState(False, "no operator pose for 1.0 s")


def test_a_clock_that_goes_back_starts_the_dwell_again() -> None:
    subject = gate()
    now_ns, _ = feed(subject, NS_PER_S, 0.6, CLOSE, CLOSE)
    assert not subject.update(now_ns - NS_PER_S // 2, {"arm": CLOSE, "hand": CLOSE}).met


def test_a_required_group_must_be_tracked_and_another_need_not() -> None:
    assert feed(gate(), 0, 0.6, CLOSE, LOST)[1].met
    state = feed(gate(), 0, 0.6, LOST, CLOSE)[1]
    assert not state.met
    assert state.reason == "arm is not tracked"


def test_a_group_is_measured_by_its_worst_joint_too() -> None:
    assert not feed(gate(), 0, 0.6, GroupError(0.2, 0.8, True), CLOSE)[1].met


def test_an_error_that_is_not_a_number_keeps_it_shut() -> None:
    assert not feed(gate(), 0, 0.6, GroupError(math.nan, 0.0, True), CLOSE)[1].met
    assert not feed(gate(), 0, 0.6, GroupError(0.0, math.nan, True), CLOSE)[1].met


def test_reset_forgets_the_dwell() -> None:
    subject = gate()
    now_ns, _ = feed(subject, 0, 0.6, CLOSE, CLOSE)
    subject.reset()
    assert not subject.update(now_ns, {"arm": CLOSE, "hand": CLOSE}).met


def test_a_required_group_without_threshold_is_refused() -> None:
    with pytest.raises(ConfigError, match="wing"):
        AlignmentGate({"arm": 0.3}, required=("wing",))
