"""The supervisor's core: guards, epochs, the steps it adds by itself."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rove_core.clocks import NS_PER_S
from rove_core.modes import Event, Mode, Stage, TakeoverWay
from rove_hil.supervision.attempt import Attempt, Conditions, Press, Rules
from rove_hil.supervision.supervisor_core import RESET_QUESTION, SELF, SupervisorCore
from rove_hil.supervision.takeover_choice import TakeoverRequest
from rove_hil.takeover import TRANSITIONS

PEDAL = "pedal:test"
ATTEMPT = Attempt("20260101T000000_abcdef", "whiteboard", metadata_json='{"lab": 2}')
DEMONSTRATION = Attempt("20260101T000000_123456", "whiteboard", demonstration=True)


class Rig:
    """A core and its clocks, both a second further with every press. `jump_ns` is what the ROS clock has jumped."""

    def __init__(self, attempt: Attempt | None = ATTEMPT, rules: Rules | None = None) -> None:
        self.now_ns = NS_PER_S
        self.jump_ns = 0
        self.core = SupervisorCore(epoch=1000, since_ns=0, rules=rules or Rules())
        if attempt is not None:
            assert self.core.open(attempt, PEDAL, self.conditions()).accepted

    def conditions(self, **facts: object) -> Conditions:
        ros_ns = self.now_ns + self.jump_ns
        return Conditions(now_ns=ros_ns, control_ns=self.now_ns, **facts)  # type: ignore[arg-type]

    def press(self, *events: Event, **facts: object) -> bool:
        """Whether the last of `events` was accepted."""
        for event in events:
            self.now_ns += NS_PER_S
            press = Press(event, PEDAL, self.now_ns + self.jump_ns)
            self.answers = self.core.press(press, self.conditions(**facts))
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


# How to get into each mode from an open attempt, and what a press needs besides the table.
WAY_TO = {
    Mode.ROLLOUT: (),
    Mode.PAUSED: (Event.PAUSE,),
    Mode.ALIGNING: (Event.TAKEOVER,),
    Mode.TAKEOVER: (Event.TAKEOVER, Event.OPERATOR_READY, Event.GO),
    Mode.FAULT: (Event.FAULT,),
    Mode.ESTOP: (Event.ESTOP,),
}
NEEDS_BEFORE = {Event.GO: (Event.OPERATOR_READY,), Event.RETRACT_MARK: (Event.MARK_PROGRESS,)}
# What the supervisor adds to get through a pause by itself.
PASSES_THROUGH = {(Mode.TAKEOVER, Event.HAND_BACK): Mode.ROLLOUT}


@pytest.mark.parametrize(("mode", "event"), list(product(Mode, Event)))
def test_every_pair_of_mode_and_event(mode: Mode, event: Event) -> None:
    rig = Rig(attempt=None if mode is Mode.IDLE else ATTEMPT)
    if mode is not Mode.IDLE:
        assert not WAY_TO[mode] or rig.press(*WAY_TO[mode], gate_met=True)
    assert rig.core.mode is mode
    if (mode, event) in TRANSITIONS:
        for before in NEEDS_BEFORE.get(event, ()):
            rig.press(before)
    epoch = rig.core.epoch
    accepted = rig.press(event, gate_met=True)
    if (mode, event) not in TRANSITIONS:
        assert not accepted
        assert (rig.core.mode, rig.core.epoch) == (mode, epoch)
    elif event in (Event.START, Event.TELEOP_START):
        assert "/rove/start_episode" in rig.reason
    else:
        assert accepted
        assert rig.core.mode is PASSES_THROUGH.get((mode, event), TRANSITIONS[mode, event])


def test_all_that_is_missing_is_said_at_once_one_line_each() -> None:
    rig = Rig(attempt=None)
    missing = ("joint states: nothing heard yet", "camera head: nothing heard yet", "the operator is not tracked")
    facts = {"fault_cause": missing[0], "policy_problem": "policy_node: nothing heard", "not_ready": missing}
    answer = rig.core.open(ATTEMPT, PEDAL, rig.conditions(**facts))
    assert not answer.accepted
    assert answer.reason.splitlines() == [missing[0], "policy_node: nothing heard", *missing[1:]]
    answer = rig.core.open(DEMONSTRATION, PEDAL, rig.conditions(**facts))
    assert answer.reason.splitlines() == list(missing)


@pytest.mark.parametrize("event", [Event.GO, Event.FORCE_GO])
def test_a_go_keeps_the_errors_of_that_moment(event: Event) -> None:
    rig = Rig()
    rig.press(Event.TAKEOVER, Event.OPERATOR_READY)
    rig.now_ns += NS_PER_S
    errors = {"gate": "left_arm is off by 0.60 rad", "groups": {"left_arm": {"rms_rad": 0.6}}}
    press = Press(event, PEDAL, payload="the elbow cannot get there")
    (answer,) = rig.core.press(press, rig.conditions(gate_met=True, alignment=json.dumps(errors)))
    assert answer.accepted
    assert json.loads(answer.press.payload) == {"said": "the elbow cannot get there", "alignment": errors}
    assert answer.reason == f"{event} (the elbow cannot get there)"


def test_a_press_may_ask_for_a_takeover_of_its_own() -> None:
    rig = Rig(replace(ATTEMPT, takeover_way=TakeoverWay.CLUTCH, operator_groups=("right_arm",)))

    def take_over(**asked: object) -> Attempt:
        rig.now_ns += NS_PER_S
        press = Press(Event.TAKEOVER, PEDAL, takeover=TakeoverRequest(**asked))  # type: ignore[arg-type]
        assert rig.core.press(press, rig.conditions())[0].accepted
        attempt = rig.core.attempt
        assert attempt is not None
        rig.press(Event.CANCEL)
        return attempt

    asked = take_over(way=TakeoverWay.BLENDED, groups=("left_arm", "left_hand"))
    assert (asked.takeover_way, asked.operator_groups) == (TakeoverWay.BLENDED, ("left_arm", "left_hand"))
    assert take_over(groups=()).operator_groups == ()
    plain = take_over()
    assert (plain.takeover_way, plain.operator_groups) == (TakeoverWay.CLUTCH, ("right_arm",))
    take_over(groups=("head",))
    assert rig.press(Event.RESUME)
    assert rig.core.attempt == rig.core.state().attempt == plain, "the policy goes on as the attempt was opened"


TIME_LIMIT = Rules(max_attempt_s=100.0)


def test_an_attempt_whose_time_is_over_is_paused_and_asked_about() -> None:
    rig = Rig(rules=TIME_LIMIT)
    rig.now_ns += 99 * NS_PER_S
    assert rig.core.watch_time(rig.conditions()) == []
    rig.now_ns += NS_PER_S
    (answer,) = rig.core.watch_time(rig.conditions())
    assert (answer.before, answer.after, answer.press.device) == (Mode.ROLLOUT, Mode.PAUSED, SELF)
    assert rig.core.state().question == ("time limit 100 s reached: success, failure or abort? resume to go on")
    rig.now_ns += 100 * NS_PER_S
    assert rig.core.watch_time(rig.conditions()) == [], "asked once"
    assert rig.core.attempt == ATTEMPT, "nobody but a person says what it was"
    assert rig.press(Event.RESUME)
    assert rig.core.question == ""
    assert rig.core.watch_time(rig.conditions()) == [], "who goes on gets the time again"
    rig.now_ns += 100 * NS_PER_S
    assert rig.core.watch_time(rig.conditions())
    assert rig.press(Event.FAIL)
    assert (rig.core.mode, rig.core.question) == (Mode.IDLE, "")


@pytest.mark.parametrize("mode", [mode for mode in WAY_TO if mode not in (Mode.FAULT, Mode.ESTOP)])
def test_time_is_over_in_every_mode_of_an_attempt(mode: Mode) -> None:
    rig = Rig(rules=TIME_LIMIT)
    for event in WAY_TO[mode]:
        rig.press(event, gate_met=True)
    rig.now_ns += 100 * NS_PER_S
    answers = rig.core.watch_time(rig.conditions())
    assert [answer.after for answer in answers] == ([] if mode is Mode.PAUSED else [Mode.PAUSED])
    assert rig.core.mode is Mode.PAUSED
    assert "time limit" in rig.core.question
    assert rig.press(Event.TAKEOVER)
    assert rig.core.question == ""


def test_a_stop_keeps_the_question_and_a_demonstration_is_asked_for_its_operator() -> None:
    rig = Rig(DEMONSTRATION, TIME_LIMIT)
    rig.press(Event.FAULT)
    rig.now_ns += 100 * NS_PER_S
    assert rig.core.watch_time(rig.conditions()) == [], "first the fault"
    rig.press(Event.CLEAR)
    rig.core.watch_time(rig.conditions())
    assert rig.core.question.endswith("take over to go on")
    rig.press(Event.FAULT)
    assert "time limit" in rig.core.question


def test_between_attempts_somebody_sets_the_scene() -> None:
    rig = Rig(rules=Rules(confirm_reset=True))
    assert rig.core.question == ""
    rig.press(Event.SUCCEED)
    assert rig.core.state().question == RESET_QUESTION
    assert rig.core.open(ATTEMPT, PEDAL, rig.conditions()).accepted
    assert rig.core.question == ""


@pytest.mark.parametrize("jump_s", [-5, 5])
def test_a_jump_of_the_ros_clock_neither_bounces_nor_delays_nor_ends_anything(jump_s: int) -> None:
    rig = Rig(rules=TIME_LIMIT)
    since_ns = rig.now_ns
    assert rig.press(Event.PAUSE)
    in_flight = Press(Event.RESUME, PEDAL, rig.now_ns)
    rig.jump_ns = jump_s * NS_PER_S
    (answer,) = rig.core.press(in_flight, rig.conditions())
    assert not answer.accepted, "stamped before the jump: nobody can say when"
    assert ("5.0 s ago" if jump_s > 0 else "clocks disagree") in answer.reason
    rig.now_ns += NS_PER_S // 10
    assert rig.core.press(Press(Event.RESUME, PEDAL, rig.now_ns + rig.jump_ns), rig.conditions())[0].accepted
    rig.now_ns += NS_PER_S // 10
    rig.jump_ns *= 2
    (bounced,) = rig.core.press(Press(Event.RESUME, PEDAL, rig.now_ns + rig.jump_ns), rig.conditions())
    assert "repeated within" in bounced.reason, "and a pedal bounces across another jump"
    assert rig.press(Event.PAUSE)
    rig.now_ns = since_ns + 99 * NS_PER_S
    assert rig.core.watch_time(rig.conditions()) == []
    rig.now_ns += NS_PER_S
    rig.core.watch_time(rig.conditions())
    assert rig.core.question


presses = st.tuples(
    st.sampled_from(list(Event)), st.booleans(), st.booleans(), st.booleans(), st.integers(1, 90), st.integers(-9, 9)
)


@given(st.lists(presses, max_size=40), st.booleans())
def test_whatever_is_pressed_the_epoch_counts_the_changes_of_mode(
    pressed: list[tuple[Event, bool, bool, bool, int, int]], demonstration: bool
) -> None:
    rig = Rig(attempt=None, rules=TIME_LIMIT)
    for event, gate_met, fault, policy, later_s, jump_s in pressed:
        rig.now_ns += later_s * NS_PER_S
        rig.jump_ns += jump_s * NS_PER_S
        conditions = rig.conditions(gate_met=gate_met, fault_cause="x" * fault, policy_problem="x" * policy)
        before = (rig.core.mode, rig.core.epoch)
        if event in (Event.START, Event.TELEOP_START):
            answers = [rig.core.open(DEMONSTRATION if demonstration else ATTEMPT, PEDAL, conditions)]
        else:
            answers = rig.core.press(Press(event, PEDAL, rig.now_ns + rig.jump_ns), conditions)
        if asked := rig.core.watch_time(conditions):
            assert rig.core.mode is Mode.PAUSED, "time that is over holds the robot and ends nothing"
            answers = answers + asked
        changes = [answer for answer in answers if answer.after is not answer.before]
        assert rig.core.epoch == before[1] + len(changes)
        assert all(answer.accepted for answer in changes)
        assert answers[-1].after is rig.core.mode
        # What must hold in every state
        if event is Event.ESTOP:
            assert rig.core.mode is Mode.ESTOP
        if rig.core.question:
            assert rig.core.mode in (Mode.PAUSED, Mode.FAULT, Mode.ESTOP), "nobody moves while people are asked"
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
