"""What the supervisor does when something falls silent while the robot moves."""

from __future__ import annotations

import pytest

from rove_core.clocks import NS_PER_S
from rove_core.modes import Event, Mode
from rove_hil.supervision.watchdogs import MOVING, Limits, Watch

NOW_NS = 100 * NS_PER_S
EPOCH = 7


def seconds(value: float) -> int:
    return int(value * NS_PER_S)


def healthy(now_ns: int = NOW_NS) -> Watch:
    watch = Watch(Limits(), joint_states_ns=now_ns)
    watch.heard_operator(now_ns, "")
    watch.heard_trace(now_ns, EPOCH, "")
    watch.heard_recorder(now_ns, "")
    return watch


def event_of(watch: Watch, mode: Mode, now_ns: int = NOW_NS, since_ns: int = 0) -> Event | None:
    call = watch.judge(now_ns, mode, EPOCH, since_ns)
    return call[0] if call else None


@pytest.mark.parametrize("mode", list(Mode))
def test_nothing_is_pressed_while_all_is_well(mode: Mode) -> None:
    assert event_of(healthy(), mode) is None


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode not in MOVING])
def test_nothing_is_pressed_while_nobody_moves_the_robot(mode: Mode) -> None:
    assert event_of(Watch(Limits()), mode) is None


@pytest.mark.parametrize("mode", MOVING)
def test_silent_joint_states_are_a_fault(mode: Mode) -> None:
    watch = healthy()
    watch.joint_states_ns = NOW_NS - seconds(0.6)
    assert event_of(watch, mode) is Event.FAULT


@pytest.mark.parametrize("mode", MOVING)
def test_a_silent_filter_is_a_fault(mode: Mode) -> None:
    watch = healthy()
    watch.heard_trace(NOW_NS - seconds(0.6), EPOCH, "")
    assert event_of(watch, mode) is Event.FAULT


def hold(watch: Watch, from_s: float, epoch: int = EPOCH) -> None:
    for tick in range(int(from_s * 20), -1, -1):
        watch.heard_trace(NOW_NS - seconds(tick / 20), epoch, "chunk is spent")


def run(watch: Watch, pattern: str, until_ns: int = NOW_NS) -> None:
    """Ticks at 20 Hz that end at `until_ns`: `f` follows the policy, `h` holds."""
    for back, tick in zip(range(len(pattern) - 1, -1, -1), pattern, strict=True):
        watch.heard_trace(until_ns - seconds(back / 20), EPOCH, "" if tick == "f" else "chunk is spent")


def test_a_step_now_and_then_is_a_stall_too() -> None:
    watch = healthy()
    run(watch, "h" * 30 + "f" + "h" * 11)
    assert event_of(watch, Mode.ROLLOUT) is Event.POLICY_STALLED


def test_late_chunks_that_are_followed_are_no_stall() -> None:
    watch = healthy()
    run(watch, ("h" * 30 + "f" * 7) * 4 + "h" * 11)
    assert event_of(watch, Mode.ROLLOUT) is None


def test_a_hold_in_a_takeover_counts_from_its_own_beginning() -> None:
    watch = healthy()
    run(watch, "hhhhhfhhhhh")
    assert event_of(watch, Mode.TAKEOVER) is None


def test_a_policy_that_does_not_come_pauses_after_the_limit() -> None:
    watch = healthy()
    hold(watch, 1.5)
    assert event_of(watch, Mode.ROLLOUT) is None
    watch = healthy()
    hold(watch, 2.5)
    call = watch.judge(NOW_NS, Mode.ROLLOUT, EPOCH, 0)
    assert call is not None
    assert call[0] is Event.POLICY_STALLED
    assert "chunk is spent" in call[1]


def test_a_hold_before_the_rollout_began_does_not_count() -> None:
    watch = healthy()
    hold(watch, 5.0)
    assert event_of(watch, Mode.ROLLOUT, since_ns=NOW_NS - seconds(0.5)) is None


def test_a_hold_of_another_epoch_does_not_count() -> None:
    watch = healthy()
    hold(watch, 5.0, epoch=EPOCH - 1)
    assert event_of(watch, Mode.ROLLOUT) is None


def test_one_followed_tick_ends_a_hold_in_a_takeover() -> None:
    watch = healthy()
    hold(watch, 5.0)
    watch.heard_trace(NOW_NS, EPOCH, "")
    assert event_of(watch, Mode.TAKEOVER) is None


def test_a_silent_operator_is_lost_but_not_before_he_could_speak() -> None:
    watch = healthy()
    watch.heard_operator(NOW_NS - seconds(0.4), "")
    assert event_of(watch, Mode.TAKEOVER, since_ns=NOW_NS - seconds(0.1)) is None
    assert event_of(watch, Mode.TAKEOVER, since_ns=NOW_NS - seconds(1.0)) is Event.OPERATOR_LOST
    assert event_of(watch, Mode.ROLLOUT) is None


def test_the_recorder_is_a_problem_when_it_says_so_and_when_it_says_nothing() -> None:
    watch = healthy()
    assert watch.recorder_problem(NOW_NS) == ""
    assert "nothing heard for 3.0 s" in watch.recorder_problem(NOW_NS + seconds(3))
    watch.heard_recorder(NOW_NS, "disk is full")
    assert "disk is full" in watch.recorder_problem(NOW_NS)
    assert "nothing heard yet" in Watch(Limits()).recorder_problem(NOW_NS)


def test_an_operator_whose_arm_is_not_tracked_is_lost_like_one_who_is_gone() -> None:
    watch = healthy(NOW_NS - seconds(0.4))
    watch.joint_states_ns = NOW_NS
    watch.heard_trace(NOW_NS, EPOCH, "")
    for tick in range(20, -1, -1):
        watch.heard_operator(NOW_NS - seconds(tick / 50), "left_arm")
    call = watch.judge(NOW_NS, Mode.TAKEOVER, EPOCH, 0)
    assert call is not None
    assert call[0] is Event.OPERATOR_LOST
    assert call[1].startswith("left_arm not tracked for 0.4")
    assert event_of(watch, Mode.TAKEOVER, since_ns=NOW_NS - seconds(0.1)) is None


def test_before_an_attempt_everything_that_is_missing_is_named() -> None:
    watch = Watch(Limits(), cameras=("head", "wrist"), operator=True)
    assert [line.split(":")[0] for line in watch.not_ready(NOW_NS)] == [
        "joint states",
        "filter_node",
        "recorder_node",
        "camera head (camera_info)",
        "camera wrist (camera_info)",
        "the operator is not tracked",
    ]
    watch.joint_states_ns = watch.trace_ns = watch.ghost_ns = NOW_NS
    watch.camera_ns |= {"head": NOW_NS, "wrist": NOW_NS - seconds(3)}
    watch.heard_recorder(NOW_NS, "")
    assert watch.not_ready(NOW_NS) == ("camera wrist (camera_info): nothing heard for 3.0 s",)
    assert Watch(Limits()).not_ready(NOW_NS)[3:] == ()
