"""The alignment gate: close enough, in the groups that matter, for long enough."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rove_core.clocks import NS_PER_S
from rove_core.errors import ConfigError
from rove_hil.supervision.alignment import AlignmentGate, GateState, GroupError, GroupLimits

CLOSE = GroupError(0.05, 0.1, True)
FAR = GroupError(0.6, 0.9, True)
LOST = GroupError(0.0, 0.0, False)
PERIOD_NS = NS_PER_S // 50


def gate() -> AlignmentGate:
    limits = {"arm": GroupLimits(0.3), "hand": GroupLimits(0.6)}
    return AlignmentGate(limits, required=("arm",), dwell_s=0.4, max_gap_s=0.2)


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


def test_a_group_may_have_a_dwell_of_its_own() -> None:
    limits = {"arm": GroupLimits(0.3), "hand": GroupLimits(0.6)}
    subject = AlignmentGate(limits, required=("arm",), dwell_s=0.4, dwells={"hand": 1.0})
    assert subject.dwell_s == 1.0
    now_ns, state = feed(subject, 0, 0.6, CLOSE, CLOSE)
    assert state.reason == "aligned for 0.58 of 1.00 s"
    subject.update(now_ns, {"arm": FAR, "hand": CLOSE})
    now_ns, state = feed(subject, now_ns + PERIOD_NS, 0.5, CLOSE, CLOSE)
    assert state.met, "the hand has been close all the time, the arm for its own dwell"
    subject.begin(("arm",))
    assert subject.dwell_s == 0.4


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
    subject.begin()
    assert not subject.update(now_ns, {"arm": CLOSE, "hand": CLOSE}).met


def test_a_required_group_without_threshold_is_refused() -> None:
    with pytest.raises(ConfigError, match="wing"):
        AlignmentGate({"arm": GroupLimits(0.3)}, required=("wing",))


def measured(limits: GroupLimits, error: GroupError) -> GateState:
    subject = AlignmentGate({"arm": limits}, required=("arm",), dwell_s=0.0)
    return subject.update(0, {"arm": error})


def test_positions_and_rotations_are_looked_at_where_they_have_a_limit() -> None:
    off = GroupError(0.05, 0.1, True, position_m=0.18, rotation_rad=0.7)
    assert measured(GroupLimits(rms_rad=0.3), off).met
    assert measured(GroupLimits(0.3, 0.15), off).reason == "arm is off by 18 cm (limit 15)"
    assert measured(GroupLimits(rotation_rad=0.5), off).reason == "arm is turned by 40 deg (limit 29)"
    assert measured(GroupLimits(0.3, 0.2, 0.8), off).met
    assert measured(GroupLimits(0.3, 0.2), CLOSE).met, "this part has no position"
    assert measured(GroupLimits(position_m=0.2), CLOSE).reason == "arm is not measured"


def test_says_which_groups_are_inside() -> None:
    subject = gate()
    assert subject.inside("arm", CLOSE)
    assert not subject.inside("arm", FAR)
    assert not subject.inside("arm", LOST)
    assert subject.inside("tail", LOST), "nobody looks at it"


def test_only_what_the_operator_drives_is_looked_at() -> None:
    subject = gate()
    subject.begin(["hand"])
    assert subject.required == ("hand",), "of a takeover something has to be tracked"
    assert not feed(subject, 0, 0.6, FAR, LOST)[1].met
    now_ns, state = feed(subject, NS_PER_S, 0.6, FAR, CLOSE)
    assert state.met
    subject.begin(["arm"])
    assert not subject.state(now_ns).met
    assert feed(subject, now_ns, 0.6, CLOSE, LOST)[1].met


def test_where_the_robot_follows_the_motion_the_pose_may_be_any() -> None:
    subject = gate()
    subject.begin(pose_matters=False)
    now_ns, state = feed(subject, 0, 0.3, FAR, FAR)
    assert not state.met, "but the dwell counts"
    assert feed(subject, now_ns, 0.3, FAR, FAR)[1].met
    assert not feed(subject, now_ns + NS_PER_S, 0.6, LOST, FAR)[1].met


@pytest.mark.parametrize("limits", [{"rms_rad": 0.0}, {"position_m": -0.1}, {"rotation_rad": 0.0}])
def test_a_limit_that_nobody_could_keep_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        GroupLimits(**limits)


errors = st.builds(
    GroupError,
    # Mostly close, or no dwell would ever be complete.
    rms_rad=st.sampled_from([*[0.05] * 20, 0.29, 0.31, math.nan]),
    max_rad=st.sampled_from([*[0.1] * 20, 0.8]),
    valid=st.sampled_from([*[True] * 20, False]),
    position_m=st.sampled_from([*[0.02] * 20, 0.14, 0.16, math.nan]),
)


def unbroken_ms(history: list[tuple[int, bool]]) -> int:
    """How long the last samples have been close without a gap."""
    total = 0
    for (older_ms, older_close), (newer_ms, newer_close) in reversed(list(pairwise(history))):
        if not (older_close and newer_close and 0 <= newer_ms - older_ms <= 200):
            break
        total += newer_ms - older_ms
    return total


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from([-20, 0, 20, 100, 150, 200, 201]), errors), max_size=30))
def test_is_met_only_after_an_unbroken_dwell_inside_every_limit(samples: list[tuple[int, GroupError]]) -> None:
    subject = AlignmentGate({"arm": GroupLimits(0.3, 0.15)}, required=("arm",), dwell_s=0.4, max_gap_s=0.2)
    now_ms = 1000
    history: list[tuple[int, bool]] = []
    for later_ms, error in samples:
        now_ms += later_ms
        close = error.valid and error.rms_rad <= 0.3 and error.max_rad <= 0.75 and not error.position_m > 0.15
        history.append((now_ms, close))
        met = subject.update(now_ms * 1_000_000, {"arm": error}).met
        assert met == (close and unbroken_ms(history) >= 400)
