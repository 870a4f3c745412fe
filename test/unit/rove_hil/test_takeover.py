"""The table of modes and events, every pair of it."""

from __future__ import annotations

from itertools import product

import pytest

from rove_core.errors import IllegalEventError
from rove_core.modes import Event, Mode
from rove_hil.takeover import TRANSITIONS, allowed, step

# The table as people read it: one line per mode. Written out once more, so that a slip in the code shows.
EXPECTED = {
    Mode.IDLE: "start>ROLLOUT teleop_start>ALIGNING fault>FAULT estop>ESTOP",
    Mode.ROLLOUT: "pause>PAUSED takeover>ALIGNING policy_stalled>PAUSED"
    " succeed>IDLE fail>IDLE abort>IDLE fault>FAULT estop>ESTOP",
    Mode.PAUSED: "resume>ROLLOUT takeover>ALIGNING succeed>IDLE fail>IDLE abort>IDLE fault>FAULT estop>ESTOP",
    Mode.ALIGNING: "operator_ready>ALIGNING operator_lost>ALIGNING go>TAKEOVER force_go>TAKEOVER cancel>PAUSED"
    " pause>PAUSED succeed>IDLE fail>IDLE abort>IDLE fault>FAULT estop>ESTOP",
    Mode.TAKEOVER: "operator_lost>ALIGNING mark_progress>TAKEOVER retract_mark>TAKEOVER hand_back>PAUSED"
    " pause>PAUSED succeed>IDLE fail>IDLE abort>IDLE fault>FAULT estop>ESTOP",
    Mode.FAULT: "clear>PAUSED fail>IDLE abort>IDLE fault>FAULT estop>ESTOP",
    Mode.ESTOP: "reset>IDLE estop>ESTOP",
}
TABLE = {
    (mode, Event(pair.split(">")[0])): Mode(pair.split(">")[1])
    for mode, row in EXPECTED.items()
    for pair in row.split()
}


@pytest.mark.parametrize(("mode", "event"), list(product(Mode, Event)))
def test_every_pair_of_mode_and_event(mode: Mode, event: Event) -> None:
    if (mode, event) in TABLE:
        assert step(mode, event) is TABLE[mode, event]
    else:
        with pytest.raises(IllegalEventError) as refusal:
            step(mode, event)
        assert f"'{event}'" in str(refusal.value)
        assert mode in str(refusal.value)
        assert all(name in str(refusal.value) for name in allowed(mode))


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        TRANSITIONS[Mode.ESTOP, Event.START] = Mode.ROLLOUT  # type: ignore[index]


def test_only_a_reset_leaves_an_emergency_stop() -> None:
    assert {event for event in allowed(Mode.ESTOP) if step(Mode.ESTOP, event) is not Mode.ESTOP} == {Event.RESET}


def test_nothing_but_a_start_or_a_person_sets_the_robot_in_motion() -> None:
    into_motion = {
        event
        for (mode, event), after in TRANSITIONS.items()
        if after in {Mode.ROLLOUT, Mode.TAKEOVER} and after is not mode
    }
    assert into_motion == {Event.START, Event.RESUME, Event.GO, Event.FORCE_GO}
