"""Presses, answers and modes as messages."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime

from rove_msgs.msg import ControlMode, SupervisorEvent
from rove_msgs.srv import StartEpisode

from rove_core.errors import ConfigError, IllegalEventError, nearest
from rove_core.modes import Event, Mode
from rove_core.ros import stamps
from rove_hil.supervision.attempt import Answer, Attempt, Press, State
from rove_hil.supervision.takeover_choice import AS_OPENED, TakeoverChoice


def press_of(message: SupervisorEvent, choice: TakeoverChoice) -> Press:
    """A request as a press.

    Raises:
        IllegalEventError: an event or a mode that does not exist, or a takeover of joint groups that the robot lacks.
    """
    if message.event not in set(Event):
        raise IllegalEventError(f"no event '{message.event}', {nearest(message.event, set(Event))}")
    expected: Mode | None = None
    if message.expected_mode != SupervisorEvent.MODE_ANY:
        try:
            expected = Mode.from_number(message.expected_mode)
        except ValueError:
            raise IllegalEventError(f"no mode has the number {message.expected_mode}") from None
    takeover = AS_OPENED
    if message.event == Event.TAKEOVER:
        try:
            takeover = choice.request_of(message.payload)
        except ConfigError as error:
            raise IllegalEventError(str(error)) from None
    return Press(
        event=Event(message.event),
        device=message.device or "unknown",
        stamp_ns=stamps.to_ns(message.stamp),
        episode_id=message.episode_id,
        expected_mode=expected,
        payload=message.payload,
        takeover=takeover,
    )


def answer_message(answer: Answer, now_ns: int) -> SupervisorEvent:
    """What became of a press, for /rove/events. A press without a stamp gets that of the answer."""
    press = answer.press
    return SupervisorEvent(
        stamp=stamps.to_msg(press.stamp_ns or now_ns),
        event=str(press.event),
        device=press.device,
        episode_id=answer.attempt.episode_id if answer.attempt else press.episode_id,
        expected_mode=SupervisorEvent.MODE_ANY if press.expected_mode is None else press.expected_mode.number,
        payload=press.payload,
        accepted=answer.accepted,
        reason=answer.reason,
        mode_before=answer.before.number,
        mode_after=answer.after.number,
        epoch=answer.epoch,
    )


def refusal_message(request: SupervisorEvent, reason: str, state: State) -> SupervisorEvent:
    """The answer to a request that could not even be read."""
    return SupervisorEvent(
        stamp=request.stamp,
        event=request.event,
        device=request.device,
        episode_id=request.episode_id,
        expected_mode=request.expected_mode,
        payload=request.payload,
        accepted=False,
        reason=reason,
        mode_before=state.mode.number,
        mode_after=state.mode.number,
        epoch=state.epoch,
    )


def mode_message(state: State, now_ns: int, *, gate_met: bool) -> ControlMode:
    """The heartbeat."""
    message = ControlMode(
        stamp=stamps.to_msg(now_ns),
        since=stamps.to_msg(state.since_ns),
        mode=state.mode.number,
        stage=int(state.stage),
        epoch=state.epoch,
        event=state.event,
        event_device=state.event_device,
        event_stamp=stamps.to_msg(state.event_stamp_ns),
        reason=state.reason,
        operator_ready=state.operator_ready,
        gate_met=gate_met,
        policy_runs=state.policy_runs,
        question=state.question,
    )
    if (attempt := state.attempt) is not None:
        message.episode_id = attempt.episode_id
        message.task = attempt.task
        message.instruction = attempt.instruction
        message.start_stage = attempt.start_stage
        message.operator_name = attempt.operator_name
        message.supervisor_name = attempt.supervisor_name
        message.demonstration = attempt.demonstration
        message.session_metadata_json = attempt.metadata_json
        message.takeover_way = str(attempt.takeover_way)
        message.operator_groups = list(attempt.operator_groups)
    return message


def attempt_of(request: StartEpisode.Request, takeover: TakeoverChoice) -> Attempt:
    """The attempt that was asked for, with an id that sorts by (wall) time. Raises ConfigError."""
    if request.metadata_json:
        try:
            metadata = json.loads(request.metadata_json)
        except ValueError as error:
            raise ConfigError(f"metadata_json is not JSON: {error}") from None
        if not isinstance(metadata, dict):
            raise ConfigError("metadata_json must be a JSON object")
    if not request.task:
        raise ConfigError("an attempt needs a task")
    return Attempt(
        episode_id=f"{datetime.now(UTC):%Y%m%dT%H%M%S}_{secrets.token_hex(3)}",
        task=request.task,
        instruction=request.instruction,
        start_stage=request.start_stage,
        operator_name=request.operator_name,
        supervisor_name=request.supervisor_name,
        demonstration=request.demonstration,
        metadata_json=request.metadata_json,
        takeover_way=takeover.way_of(request.takeover_way),
        operator_groups=takeover.groups_of(request.operator_groups),
    )
