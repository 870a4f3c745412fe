"""Modes, stages, events and sources: the words that the supervisor, the filter and the record share.

The numbers are those of `rove_msgs` (a test holds them together). Which event leads where is the
takeover table's business: `rove_hil.takeover`.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Mode(StrEnum):
    """Who moves the robot."""

    IDLE = "IDLE"
    ROLLOUT = "ROLLOUT"
    PAUSED = "PAUSED"
    ALIGNING = "ALIGNING"
    TAKEOVER = "TAKEOVER"
    FAULT = "FAULT"
    ESTOP = "ESTOP"

    @property
    def number(self) -> int:
        """The constant in `rove_msgs/ControlMode`."""
        return _MODE_NUMBERS[self]

    @classmethod
    def from_number(cls, number: int) -> Mode:
        """The mode of a `rove_msgs/ControlMode` constant. Raises ValueError for an unknown one."""
        return tuple(cls)[number] if 0 <= number < len(cls) else cls(f"number {number}")


_MODE_NUMBERS = {mode: number for number, mode in enumerate(Mode)}


class Event(StrEnum):
    """What a supervisor, an operator or a watchdog can say."""

    START = "start"
    TELEOP_START = "teleop_start"
    PAUSE = "pause"
    RESUME = "resume"
    TAKEOVER = "takeover"
    CANCEL = "cancel"
    OPERATOR_READY = "operator_ready"
    OPERATOR_LOST = "operator_lost"
    GO = "go"
    FORCE_GO = "force_go"
    MARK_PROGRESS = "mark_progress"
    RETRACT_MARK = "retract_mark"
    HAND_BACK = "hand_back"
    SUCCEED = "succeed"
    FAIL = "fail"
    ABORT = "abort"
    POLICY_STALLED = "policy_stalled"
    FAULT = "fault"
    CLEAR = "clear"
    ESTOP = "estop"
    RESET = "reset"


class Stage(IntEnum):
    """What a trainer sees in a step (ROVE section 3.1). NONE is a pause, an alignment or idle time."""

    NONE = 0
    ROLLOUT = 1
    ADAPTATION = 2
    RECOVERY = 3


class Source(IntEnum):
    """Whose target the filter followed in a tick."""

    HOLD = 0
    POLICY = 1
    OPERATOR = 2
    STOP = 3


class TakeoverWay(StrEnum):
    """How the operator's motion becomes the robot's.

    ABSOLUTE: the robot goes to the operator's pose; the offset at the takeover fades. CLUTCH: the robot moves as
    the operator moves, the offset stays. BLENDED: the policy goes on, and what the operator has moved since the
    takeover is added to it (the idea of Hand-in-the-Loop, arXiv 2605.15157).
    """

    ABSOLUTE = "absolute"
    CLUTCH = "clutch"
    BLENDED = "blended"


class Outcome(StrEnum):
    """How an attempt ended, as somebody said. UNLABELLED is not a failure: nobody has said."""

    SUCCESS = "success"
    FAILURE = "failure"
    ABORTED = "aborted"
    UNLABELLED = "unlabelled"


OUTCOME_OF_EVENT = {Event.SUCCEED: Outcome.SUCCESS, Event.FAIL: Outcome.FAILURE, Event.ABORT: Outcome.ABORTED}
