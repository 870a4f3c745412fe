"""The supervisor's core: guards, epochs, the steps it adds by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rove_core.clocks import NS_PER_S
from rove_core.modes import Event, Mode, Stage
from rove_hil.supervision import SELF, Attempt, Conditions, Press, SupervisorCore

PEDAL = "pedal:test"
ATTEMPT = Attempt("20260101T000000_abcdef", "whiteboard", metadata_json='{"lab": 2}')
DEMONSTRATION = Attempt("20260101T000000_123456", "whiteboard", demonstration=True)


class Rig:
    """A core and a clock: presses are a second apart."""

    def __init__(self, attempt: Attempt | None = ATTEMPT) -> None:
        self.now_ns = NS_PER_S
        self.core = SupervisorCore(epoch=1000, since_ns=0)
        if attempt is not None:
            assert self.core.open(attempt, PEDAL, self.conditions()).accepted

    def conditions(self, **facts: object) -> Conditions:
        return Conditions(now_ns=self.now_ns, **facts)  # type: ignore[arg-type]

    def press(self, *events: Event, **facts: object) -> bool:
        """Whether the last of `events` was accepted."""
        for event in events:
            self.now_ns += NS_PER_S
            self.answers = self.core.press(Press(event, PEDAL, self.now_ns), self.conditions(**facts))
        return self.answers[0].accepted

    @property
    def reason(self) -> str:
        return self.answers[0].reason

    def take_over(self) -> None:
        assert self.press(Event.TAKEOVER, Event.OPERATOR_READY)
        assert self.press(Event.GO, gate_met=True)


def test_an_attempt_through_takeover_and_hand_back() -> None:
    rig = Rig()
    stages = [rig.core.stage]
    rig.take_over()
    stages.append(rig.core.stage)
    assert rig.press(Event.MARK_PROGRESS)
    stages.append(rig.core.stage)
    assert rig.press(Event.HAND_BACK)
    stages.append(rig.core.stage)
    assert stages == [Stage.ROLLOUT, Stage.ADAPTATION, Stage.RECOVERY, Stage.ROLLOUT]
    assert [(answer.before, answer.after, answer.press.device) for answer in rig.answers] == [
        (Mode.TAKEOVER, Mode.PAUSED, PEDAL),
        (Mode.PAUSED, Mode.ROLLOUT, SELF),
    ]
    assert rig.press(Event.SUCCEED)
    state = rig.core.state()
    assert (state.mode, state.attempt, state.event) == (Mode.IDLE, None, "succeed")
    assert rig.answers[0].attempt == ATTEMPT


def test_opening_carries_the_metadata_as_payload() -> None:
    answer = SupervisorCore(epoch=1, since_ns=0).open(ATTEMPT, PEDAL, Conditions(1))
    assert answer.press.payload == ATTEMPT.metadata_json


@pytest.mark.parametrize("problem", ["recording_problem", "policy_problem", "fault_cause"])
def test_nothing_starts_while_something_is_not_ready(problem: str) -> None:
    rig = Rig(attempt=None)
    answer = rig.core.open(ATTEMPT, PEDAL, rig.conditions(**{problem: "disk is full"}))
    assert not answer.accepted
    assert answer.reason == "disk is full"
    assert rig.core.attempt is None


def test_a_demonstration_needs_no_policy_and_aligns_first() -> None:
    rig = Rig(attempt=None)
    assert rig.core.open(DEMONSTRATION, PEDAL, rig.conditions(policy_problem="none loaded")).accepted
    assert rig.core.mode is Mode.ALIGNING


def test_a_demonstration_is_never_handed_to_a_policy() -> None:
    rig = Rig(DEMONSTRATION)
    assert rig.press(Event.OPERATOR_READY)
    assert rig.press(Event.GO, gate_met=True)
    assert rig.press(Event.HAND_BACK)
    assert rig.core.mode is Mode.PAUSED
    assert not rig.press(Event.RESUME)
    assert "demonstration" in rig.reason


def test_a_second_start_is_refused_while_one_is_open() -> None:
    rig = Rig()
    assert not rig.core.open(DEMONSTRATION, PEDAL, rig.conditions()).accepted
    assert rig.core.attempt == ATTEMPT


@pytest.mark.parametrize("event", [Event.START, Event.TELEOP_START])
def test_a_start_without_a_task_is_refused(event: Event) -> None:
    rig = Rig(attempt=None)
    assert not rig.press(event)
    assert "/rove/start_episode" in rig.reason


def test_go_needs_the_operator_and_the_gate() -> None:
    rig = Rig()
    rig.press(Event.TAKEOVER)
    assert not rig.press(Event.GO, gate_met=True)
    assert "operator_ready" in rig.reason
    rig.press(Event.OPERATOR_READY)
    assert not rig.press(Event.GO, gate_met=False, gate_reason="left_arm is off by 0.60 rad")
    assert "left_arm is off by 0.60 rad" in rig.reason
    assert rig.press(Event.GO, gate_met=True)


def test_forced_go_needs_neither() -> None:
    rig = Rig()
    rig.press(Event.TAKEOVER)
    assert rig.press(Event.FORCE_GO)
    assert rig.core.mode is Mode.TAKEOVER


def test_readiness_is_said_anew_for_every_alignment() -> None:
    rig = Rig()
    rig.take_over()
    rig.press(Event.OPERATOR_LOST)
    assert rig.core.mode is Mode.ALIGNING
    assert not rig.press(Event.GO, gate_met=True)


def test_progress_is_marked_once_per_takeover_and_can_be_retracted() -> None:
    rig = Rig()
    rig.take_over()
    assert not rig.press(Event.RETRACT_MARK)
    assert rig.press(Event.MARK_PROGRESS)
    assert not rig.press(Event.MARK_PROGRESS)
    assert rig.press(Event.RETRACT_MARK)
    assert rig.core.stage is Stage.ADAPTATION
    assert rig.press(Event.MARK_PROGRESS, Event.HAND_BACK)
    rig.take_over()
    assert rig.core.stage is Stage.ADAPTATION


def test_an_operator_who_was_lost_adapts_anew() -> None:
    rig = Rig()
    rig.take_over()
    rig.press(Event.MARK_PROGRESS, Event.OPERATOR_LOST, Event.OPERATOR_READY)
    rig.press(Event.GO, gate_met=True)
    assert rig.core.stage is Stage.ADAPTATION
    assert rig.press(Event.MARK_PROGRESS)


def test_hand_back_waits_in_a_pause_when_the_policy_is_not_ready() -> None:
    rig = Rig()
    rig.take_over()
    assert rig.press(Event.HAND_BACK, policy_problem="policy_node: nothing heard")
    assert rig.core.mode is Mode.PAUSED
    assert not rig.press(Event.RESUME, policy_problem="policy_node: nothing heard")
    assert rig.press(Event.RESUME)


def test_a_fault_is_cleared_only_when_its_cause_is_gone() -> None:
    rig = Rig()
    rig.press(Event.FAULT)
    assert not rig.press(Event.CLEAR, fault_cause="joint states: nothing heard for 0.9 s")
    assert "joint states" in rig.reason
    assert rig.press(Event.CLEAR)
    assert rig.core.mode is Mode.PAUSED


def test_a_fault_without_an_attempt_clears_to_idle() -> None:
    rig = Rig(attempt=None)
    rig.press(Event.FAULT)
    assert rig.press(Event.CLEAR)
    assert rig.core.mode is Mode.IDLE
    assert [answer.press.event for answer in rig.answers] == [Event.CLEAR, Event.ABORT]


def test_an_emergency_stop_ends_the_attempt_as_aborted() -> None:
    rig = Rig()
    assert rig.press(Event.ESTOP)
    assert rig.core.attempt == ATTEMPT
    assert not rig.press(Event.SUCCEED)
    assert rig.press(Event.RESET)
    state = rig.core.state()
    assert (state.mode, state.attempt, state.event) == (Mode.IDLE, None, "abort")


def test_a_press_for_another_mode_is_refused() -> None:
    rig = Rig()
    press = Press(Event.ABORT, PEDAL, expected_mode=Mode.TAKEOVER)
    (answer,) = rig.core.press(press, rig.conditions())
    assert not answer.accepted
    assert "meant for TAKEOVER, but the mode is ROLLOUT" in answer.reason


def test_a_press_for_another_attempt_is_refused() -> None:
    rig = Rig()
    (answer,) = rig.core.press(Press(Event.FAIL, PEDAL, episode_id="other"), rig.conditions())
    assert not answer.accepted
    assert "other" in answer.reason


def test_a_bouncing_pedal_presses_once() -> None:
    rig = Rig()
    assert rig.press(Event.PAUSE)
    assert rig.press(Event.RESUME)
    assert rig.press(Event.PAUSE)
    rig.core.mode = Mode.ROLLOUT
    rig.now_ns += NS_PER_S // 10
    (bounced,) = rig.core.press(Press(Event.PAUSE, PEDAL, rig.now_ns), rig.conditions())
    assert not bounced.accepted
    assert "repeated within" in bounced.reason
    (other,) = rig.core.press(Press(Event.PAUSE, "keyboard:test", rig.now_ns), rig.conditions())
    assert other.accepted


@pytest.mark.parametrize("offset_s", [-2, 2])
def test_a_press_of_another_time_is_refused(offset_s: int) -> None:
    rig = Rig()
    stamp_ns = rig.now_ns + 10 * NS_PER_S
    (answer,) = rig.core.press(Press(Event.PAUSE, PEDAL, stamp_ns + offset_s * NS_PER_S), Conditions(stamp_ns))
    assert not answer.accepted


def test_an_emergency_stop_is_obeyed_whatever_is_written_on_it() -> None:
    rig = Rig()
    press = Press(Event.ESTOP, PEDAL, stamp_ns=1, episode_id="other", expected_mode=Mode.IDLE)
    (answer,) = rig.core.press(press, Conditions(10**15))
    assert answer.accepted
    assert rig.core.mode is Mode.ESTOP


def test_an_attempt_that_an_earlier_supervisor_left_open_is_closed_as_aborted() -> None:
    core = SupervisorCore(epoch=5, since_ns=0)
    answer = core.disown("20260101T000000_abcdef", 10)
    assert answer is not None
    assert (core.state().event, core.mode, core.epoch) == ("abort", Mode.IDLE, 5)


presses = st.tuples(st.sampled_from(list(Event)), st.booleans(), st.booleans(), st.booleans())


@given(st.lists(presses, max_size=40), st.booleans())
def test_whatever_is_pressed_the_epoch_counts_the_changes_of_mode(
    pressed: list[tuple[Event, bool, bool, bool]], demonstration: bool
) -> None:
    rig = Rig(attempt=None)
    for event, gate_met, fault, policy in pressed:
        rig.now_ns += NS_PER_S
        conditions = rig.conditions(gate_met=gate_met, fault_cause="x" * fault, policy_problem="x" * policy)
        before = (rig.core.mode, rig.core.epoch)
        if event in (Event.START, Event.TELEOP_START):
            answers = [rig.core.open(DEMONSTRATION if demonstration else ATTEMPT, PEDAL, conditions)]
        else:
            answers = rig.core.press(Press(event, PEDAL, rig.now_ns), conditions)
        changes = [answer for answer in answers if answer.after is not answer.before]
        assert rig.core.epoch == before[1] + len(changes)
        assert all(answer.accepted for answer in changes)
        assert answers[-1].after is rig.core.mode
        # What must hold in every state
        if event is Event.ESTOP:
            assert rig.core.mode is Mode.ESTOP
        if before[0] is Mode.ESTOP and event is not Event.RESET:
            assert rig.core.mode is Mode.ESTOP
        if rig.core.mode in (Mode.ROLLOUT, Mode.TAKEOVER, Mode.ALIGNING, Mode.PAUSED):
            assert rig.core.attempt is not None
        if rig.core.mode is Mode.IDLE:
            assert rig.core.attempt is None
        if rig.core.mode is Mode.ROLLOUT:
            assert not demonstration
        if rig.core.mode is not Mode.TAKEOVER:
            assert rig.core.stage in (Stage.NONE, Stage.ROLLOUT)
