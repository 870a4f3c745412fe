"""Who may move the robot: the table of modes and events, and the one function that reads it.

The table says what is possible at all. What also has to hold (the alignment gate, an operator who is ready,
one mark per takeover) is for `rove_hil.supervision.supervisor_core` to ask before it steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rove_core.errors import IllegalEventError
from rove_core.modes import Event, Mode

OUTCOMES = (Event.SUCCEED, Event.FAIL, Event.ABORT)

# Modes in which an attempt is under way and may be given its outcome.
ATTEMPT_MODES = (Mode.ROLLOUT, Mode.PAUSED, Mode.ALIGNING, Mode.TAKEOVER)


def _table() -> dict[tuple[Mode, Event], Mode]:
    table = {
        (Mode.IDLE, Event.START): Mode.ROLLOUT,
        (Mode.IDLE, Event.TELEOP_START): Mode.ALIGNING,
        #
        (Mode.ROLLOUT, Event.PAUSE): Mode.PAUSED,
        (Mode.ROLLOUT, Event.TAKEOVER): Mode.ALIGNING,
        (Mode.ROLLOUT, Event.POLICY_STALLED): Mode.PAUSED,
        #
        (Mode.PAUSED, Event.RESUME): Mode.ROLLOUT,
        (Mode.PAUSED, Event.TAKEOVER): Mode.ALIGNING,
        #
        (Mode.ALIGNING, Event.OPERATOR_READY): Mode.ALIGNING,
        (Mode.ALIGNING, Event.OPERATOR_LOST): Mode.ALIGNING,
        (Mode.ALIGNING, Event.GO): Mode.TAKEOVER,
        (Mode.ALIGNING, Event.FORCE_GO): Mode.TAKEOVER,
        (Mode.ALIGNING, Event.CANCEL): Mode.PAUSED,
        (Mode.ALIGNING, Event.PAUSE): Mode.PAUSED,
        #
        (Mode.TAKEOVER, Event.OPERATOR_LOST): Mode.ALIGNING,
        (Mode.TAKEOVER, Event.MARK_PROGRESS): Mode.TAKEOVER,
        (Mode.TAKEOVER, Event.RETRACT_MARK): Mode.TAKEOVER,
        (Mode.TAKEOVER, Event.HAND_BACK): Mode.PAUSED,
        (Mode.TAKEOVER, Event.PAUSE): Mode.PAUSED,
        #
        (Mode.FAULT, Event.CLEAR): Mode.PAUSED,
        (Mode.FAULT, Event.FAIL): Mode.IDLE,
        (Mode.FAULT, Event.ABORT): Mode.IDLE,
        #
        (Mode.ESTOP, Event.RESET): Mode.IDLE,
    }
    for mode in ATTEMPT_MODES:
        for outcome in OUTCOMES:
            table[mode, outcome] = Mode.IDLE
    for mode in Mode:
        table[mode, Event.ESTOP] = Mode.ESTOP
        if mode is not Mode.ESTOP:
            table[mode, Event.FAULT] = Mode.FAULT
    return table


TRANSITIONS: Mapping[tuple[Mode, Event], Mode] = MappingProxyType(_table())


def allowed(mode: Mode) -> tuple[Event, ...]:
    """The events that `mode` allows, in the order of `Event`."""
    return tuple(event for event in Event if (mode, event) in TRANSITIONS)


def step(mode: Mode, event: Event) -> Mode:
    """The mode that `event` leads to.

    Raises:
        IllegalEventError: `mode` does not allow `event`; the message lists what it does allow.
    """
    try:
        return TRANSITIONS[mode, event]
    except KeyError:
        names = ", ".join(allowed(mode))
        raise IllegalEventError(f"'{event}' is not possible in {mode}; possible are: {names}") from None
