from __future__ import annotations

import numpy as np
import pytest

from rove_core.modes import Event, Mode, Stage
from rove_sim.attempt_script import AttemptScript, Situation, SupervisorHabits
from rove_sim.judgement import Sighting

S = 1_000_000_000
TICK = S // 20


def situation(mode: Mode, stage: Stage = Stage.NONE, ready: bool = False, met: bool = False) -> Situation:
    return Situation(mode, stage, ready, met)


def see(milestones: int = 0, distance_m: float = 0.5, success: bool = False) -> Sighting:
    return Sighting(milestones, distance_m, success)


class Watched:
    """Runs a script at 20 Hz and keeps what it pressed."""

    def __init__(self, operator: bool = True, demonstration: bool = False, **habits: object) -> None:
        self.habits = SupervisorHabits.model_validate(habits)
        self.script = AttemptScript(self.habits, operator, demonstration, np.random.default_rng(0), 0)
        self.now_ns = 0

    def run(self, seconds: float, at: Situation, sighting: Sighting) -> list[Event]:
        pressed = []
        end_ns = self.now_ns + int(seconds * S)
        while self.now_ns < end_ns:
            event = self.script.step(self.now_ns, at, sighting)
            if event is not None:
                pressed.append(event)
            self.now_ns += TICK
        return pressed


ROLLOUT = situation(Mode.ROLLOUT, Stage.ROLLOUT)
ADAPTATION = situation(Mode.TAKEOVER, Stage.ADAPTATION)
RECOVERY = situation(Mode.TAKEOVER, Stage.RECOVERY)


def test_a_success_that_lasts_is_called() -> None:
    watched = Watched()
    assert watched.run(0.4, ROLLOUT, see(success=True)) == []
    assert watched.run(0.3, ROLLOUT, see(success=True)) == [Event.SUCCEED]


def test_a_stall_leads_to_pause_and_then_takeover() -> None:
    watched = Watched()
    assert watched.run(8.0, ROLLOUT, see()) == []
    assert watched.run(0.5, ROLLOUT, see()) == [Event.PAUSE]
    assert watched.run(0.5, situation(Mode.PAUSED), see()) == []
    assert watched.run(1.0, situation(Mode.PAUSED), see()) == [Event.TAKEOVER]


def test_without_operator_a_stall_ends_the_attempt_later() -> None:
    watched = Watched(operator=False)
    assert watched.run(20.0, ROLLOUT, see()) == []
    assert watched.run(0.5, ROLLOUT, see()) == [Event.FAIL]


def test_without_operator_a_policy_that_stalled_has_failed() -> None:
    watched = Watched(operator=False)
    assert watched.run(2.0, situation(Mode.PAUSED), see())[0] is Event.FAIL


@pytest.mark.parametrize(("ready", "met"), [(False, False), (True, False), (False, True)])
def test_go_waits_for_gate_and_operator(ready: bool, met: bool) -> None:
    watched = Watched()
    assert watched.run(10.0, situation(Mode.ALIGNING, ready=ready, met=met), see()) == []


def test_go_follows_gate_and_operator() -> None:
    assert Watched().run(0.8, situation(Mode.ALIGNING, ready=True, met=True), see()) == [Event.GO]


def test_an_alignment_that_never_ends_is_forced() -> None:
    watched = Watched()
    assert watched.run(15.0, situation(Mode.ALIGNING), see()) == []
    assert watched.run(0.5, situation(Mode.ALIGNING), see()) == [Event.FORCE_GO]


def test_recovery_is_marked_late_and_never_while_finding_in() -> None:
    watched = Watched()
    assert watched.run(3.0, ADAPTATION, see(distance_m=0.3)) == []
    assert watched.run(0.4, ADAPTATION, see(distance_m=0.15)) == []
    assert watched.run(1.0, ADAPTATION, see(distance_m=0.15)) == [Event.MARK_PROGRESS]


def test_recovery_is_marked_before_success_is_called() -> None:
    watched = Watched()
    watched.run(0.1, ADAPTATION, see())
    assert watched.run(0.7, ADAPTATION, see(success=True)) == [Event.MARK_PROGRESS]
    assert watched.run(0.1, RECOVERY, see(success=True)) == [Event.SUCCEED]


def test_a_demonstration_is_marked_at_once() -> None:
    assert Watched(demonstration=True).run(0.1, ADAPTATION, see()) == [Event.MARK_PROGRESS]


def test_the_time_limit_ends_a_takeover() -> None:
    watched = Watched(max_attempt_s=5.0)
    assert watched.run(6.0, RECOVERY, see())[0] is Event.FAIL


def test_who_is_asked_when_the_time_is_over_says_what_was_seen() -> None:
    asked = Situation(Mode.PAUSED, Stage.NONE, False, False, asked=True)
    assert Watched().run(2.0, asked, see())[0] is Event.FAIL
    assert Watched().run(2.0, asked, see(success=True))[0] is Event.SUCCEED


def test_hand_back_follows_progress_of_the_operator() -> None:
    watched = Watched(hand_back_probability=1.0)
    assert watched.run(1.0, RECOVERY, see()) == []
    assert watched.run(0.1, RECOVERY, see(milestones=1)) == [Event.HAND_BACK]
    # The policy has its own time from here.
    assert watched.run(8.0, ROLLOUT, see(milestones=1)) == []


def test_a_press_that_changed_nothing_is_repeated() -> None:
    watched = Watched(operator=False)
    assert watched.run(4.0, situation(Mode.PAUSED), see()).count(Event.FAIL) in (3, 4)


def test_a_fault_is_cleared_not_forgotten() -> None:
    watched = Watched()
    assert watched.run(1.9, situation(Mode.FAULT), see()) == []
    assert watched.run(0.5, situation(Mode.FAULT), see()) == [Event.CLEAR]


@pytest.mark.parametrize("mode", [Mode.IDLE, Mode.ESTOP])
def test_idle_and_emergency_stop_are_left_alone(mode: Mode) -> None:
    assert Watched().run(4.0, situation(mode), see(success=True)) == []
