"""The supervisor's memory: the mode, the attempt, the epoch, and the guards that the table does not know.

Pure: times come as arguments, what the rest of the system says comes as `Conditions`. The node around it
(`rove_hil.ros.supervisor_node`) listens and publishes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from rove_core.clocks import NS_PER_S
from rove_core.errors import IllegalEventError
from rove_core.modes import Event, Mode, Stage
from rove_hil.supervision.attempt import Answer, Attempt, Conditions, Press, Rules, State
from rove_hil.supervision.takeover_choice import TakeoverRequest
from rove_hil.takeover import ATTEMPT_MODES, OUTCOMES, step

# Who acts when the supervisor acts by itself.
SELF = "node:supervisor_node"

# These are obeyed whoever pressed, whenever, whatever they thought the mode was.
UNCONDITIONAL = (Event.ESTOP, Event.FAULT)

# What a person is asked between two attempts.
RESET_QUESTION = "scene reset? then start the next attempt"


@dataclass(slots=True)
class SupervisorCore:
    """Applies presses, one after the other.

    Starts in IDLE. `epoch` is that of IDLE before anything happened; it must be larger than any that an
    earlier process used, because everybody drops what carries another epoch than the current.
    """

    epoch: int
    since_ns: int
    rules: Rules = field(default_factory=Rules)
    mode: Mode = Mode.IDLE
    # As it is in force: one press may ask for another takeover than the attempt was opened with.
    attempt: Attempt | None = None
    operator_ready: bool = False
    question: str = ""
    _opened: Attempt | None = None
    _due_ns: int = 0
    _marked: bool = False
    _event: str = ""
    _event_device: str = ""
    _event_stamp_ns: int = 0
    _reason: str = "supervisor_node started"
    _pressed_ns: dict[tuple[str, Event], int] = field(default_factory=dict)

    # What it says

    @property
    def stage(self) -> Stage:
        """What a trainer sees right now."""
        if self.mode is Mode.ROLLOUT:
            return Stage.ROLLOUT
        if self.mode is not Mode.TAKEOVER:
            return Stage.NONE
        return Stage.RECOVERY if self._marked else Stage.ADAPTATION

    @property
    def policy_runs(self) -> bool:
        """Whether the policy should make chunks now."""
        shares = self.attempt is not None and self.attempt.policy_shares
        return self.mode is Mode.ROLLOUT or (self.mode is Mode.TAKEOVER and shares)

    def state(self) -> State:
        """Everything that is published about the mode."""
        return State(
            mode=self.mode,
            stage=self.stage,
            epoch=self.epoch,
            since_ns=self.since_ns,
            attempt=self.attempt,
            event=self._event,
            event_device=self._event_device,
            event_stamp_ns=self._event_stamp_ns,
            reason=self._reason,
            operator_ready=self.operator_ready,
            policy_runs=self.policy_runs,
            question=self.question,
        )

    # What it does

    def open(self, attempt: Attempt, device: str, conditions: Conditions) -> Answer:
        """Begin an attempt: IDLE -> ROLLOUT, or -> ALIGNING for a demonstration."""
        event = Event.TELEOP_START if attempt.demonstration else Event.START
        press = Press(event, device, conditions.now_ns, attempt.episode_id, payload=attempt.metadata_json)
        try:
            after = step(self.mode, event)
            if problems := _start_problems(attempt, conditions):
                raise IllegalEventError(problems)
        except IllegalEventError as refusal:
            return self._refuse(press, str(refusal))
        self.attempt = self._opened = attempt
        self._postpone(conditions)
        return self._enter(press, after, conditions, f"attempt {attempt.episode_id} began")

    def press(self, press: Press, conditions: Conditions) -> list[Answer]:
        """Apply one press. One answer, and one more for each step that the supervisor adds by itself."""
        try:
            if press.event not in UNCONDITIONAL:
                self._check_press(press, conditions)
            after = step(self.mode, press.event)
            self._check_guards(press.event, conditions)
        except IllegalEventError as refusal:
            return [self._refuse(press, str(refusal))]
        self._pressed_ns[press.device, press.event] = conditions.control_ns
        reason = _reason_of(press)
        if press.event in (Event.GO, Event.FORCE_GO) and conditions.alignment:
            press = replace(press, payload=_with_alignment(press.payload, conditions.alignment))
        answers = [self._enter(press, after, conditions, reason)]
        followed = self._follow_up(press.event, conditions)
        return answers + ([followed] if followed else [])

    def watch_time(self, conditions: Conditions) -> list[Answer]:
        """At the end of an attempt's time: pause and ask. Whether it failed is for a person to say."""
        limit_s = self.rules.max_attempt_s
        asked = self.question or not limit_s
        if asked or self.mode not in ATTEMPT_MODES or conditions.control_ns < self._due_ns:
            return []
        answers = []
        if self.mode is not Mode.PAUSED:
            press = Press(Event.PAUSE, SELF, conditions.now_ns, payload=f"time limit {limit_s:g} s reached")
            answers = self.press(press, conditions)
        go_on = "take over" if self.attempt is not None and self.attempt.demonstration else "resume"
        self.question = f"time limit {limit_s:g} s reached: success, failure or abort? {go_on} to go on"
        return answers

    def disown(self, episode_id: str, now_ns: int) -> Answer | None:
        """Close, as aborted, an attempt that a supervisor before this one left open. None when one is open here."""
        if self.mode is not Mode.IDLE or self._event:
            return None
        press = Press(Event.ABORT, SELF, now_ns, episode_id)
        reason = f"supervisor_node restarted during attempt {episode_id}"
        return self._enter(press, Mode.IDLE, Conditions(now_ns), reason)

    def _postpone(self, conditions: Conditions) -> None:
        """The attempt has its whole time from now on."""
        self._due_ns = conditions.control_ns + int(self.rules.max_attempt_s * NS_PER_S)

    def _check_press(self, press: Press, conditions: Conditions) -> None:
        """Refuse what cannot have been meant for this moment."""
        if press.stamp_ns:
            age_s = (conditions.now_ns - press.stamp_ns) / NS_PER_S
            if age_s > self.rules.stale_s:
                raise IllegalEventError(
                    f"'{press.event}' was pressed {age_s:.1f} s ago, limit {self.rules.stale_s:.1f} s"
                )
            if -age_s > self.rules.stale_s:
                raise IllegalEventError(f"'{press.event}' is stamped {-age_s:.1f} s in the future: clocks disagree")
        if press.expected_mode not in (None, self.mode):
            raise IllegalEventError(f"'{press.event}' was meant for {press.expected_mode}, but the mode is {self.mode}")
        open_id = self.attempt.episode_id if self.attempt else ""
        if press.episode_id and press.episode_id != open_id:
            raise IllegalEventError(
                f"'{press.event}' was meant for attempt {press.episode_id}, open is {open_id or 'none'}"
            )
        last_ns = self._pressed_ns.get((press.device, press.event))
        if last_ns is not None and 0 <= conditions.control_ns - last_ns < self.rules.debounce_s * NS_PER_S:
            raise IllegalEventError(
                f"'{press.event}' from {press.device} repeated within {self.rules.debounce_s:.2f} s"
            )

    def _check_guards(self, event: Event, conditions: Conditions) -> None:
        """Refuse what the table allows but the situation does not."""
        if event in (Event.START, Event.TELEOP_START):
            raise IllegalEventError("an attempt needs a task: start it with /rove/start_episode")
        if event is Event.RESUME and (problem := self._resume_problem(conditions)):
            raise IllegalEventError(problem)
        if event is Event.GO and not self.operator_ready:
            raise IllegalEventError("the operator has not said 'operator_ready'")
        if event is Event.GO and not conditions.gate_met:
            raise IllegalEventError(f"not aligned: {conditions.gate_reason}")
        if event is Event.MARK_PROGRESS and self._marked:
            raise IllegalEventError("progress is marked once per takeover, and it is marked")
        if event is Event.RETRACT_MARK and not self._marked:
            raise IllegalEventError("there is no mark to retract")
        if event is Event.CLEAR and conditions.fault_cause:
            raise IllegalEventError(f"the cause is still there: {conditions.fault_cause}")

    def _resume_problem(self, conditions: Conditions) -> str:
        if self.attempt is not None and self.attempt.demonstration:
            return "a demonstration has no policy to resume"
        return conditions.fault_cause or conditions.policy_problem

    def _enter(self, press: Press, after: Mode, conditions: Conditions, reason: str) -> Answer:
        """Take the step: mode, epoch, and what the mode's change makes true or false."""
        before, attempt = self.mode, self.attempt
        self.mode = after
        if after is not before:
            self.epoch += 1
            self.since_ns = conditions.now_ns
            self.operator_ready = False
            # Who lost the robot on the way finds into it anew: the next takeover has its own mark.
            self._marked = False
            if after in (Mode.ROLLOUT, Mode.ALIGNING) and self.question:
                self.question = ""
                self._postpone(conditions)
        event: str = press.event
        if after is Mode.IDLE:
            self.attempt = self._opened = None
            self.question = RESET_QUESTION if self.rules.confirm_reset else ""
            if press.event is Event.RESET and attempt is not None:
                event, reason = Event.ABORT, "aborted by an emergency stop"
        match press.event:
            case Event.OPERATOR_READY:
                self.operator_ready = True
            case Event.OPERATOR_LOST:
                self.operator_ready = False
            case Event.MARK_PROGRESS:
                self._marked = True
            case Event.RETRACT_MARK:
                self._marked = False
            case Event.TAKEOVER:
                self._choose_takeover(press.takeover)
            case Event.RESUME:
                self.attempt = self._opened
        self._event, self._event_device, self._reason = event, press.device, reason
        self._event_stamp_ns = press.stamp_ns or conditions.now_ns
        return Answer(press, True, reason, before, after, self.epoch, attempt)

    def _choose_takeover(self, request: TakeoverRequest) -> None:
        opened = self._opened
        if opened is not None:
            way = opened.takeover_way if request.way is None else request.way
            groups = opened.operator_groups if request.groups is None else request.groups
            self.attempt = replace(opened, takeover_way=way, operator_groups=groups)

    def _follow_up(self, event: Event, conditions: Conditions) -> Answer | None:
        """The step that the supervisor adds: PAUSED is only passed through after these."""
        if event is Event.HAND_BACK and not self._resume_problem(conditions):
            added, reason = Event.RESUME, "handed back to the policy"
        elif event is Event.CLEAR and self.attempt is None:
            added, reason = Event.ABORT, "no attempt was open"
        else:
            return None
        return self._enter(Press(added, SELF, conditions.now_ns), step(self.mode, added), conditions, reason)

    def _refuse(self, press: Press, reason: str) -> Answer:
        return Answer(press, False, reason, self.mode, self.mode, self.epoch, self.attempt)


def _reason_of(press: Press) -> str:
    """One line for people: what happened, and what the presser wrote to it."""
    what = "attempt ended: " + press.event if press.event in OUTCOMES else str(press.event)
    return f"{what} ({press.payload})" if press.payload and len(press.payload) <= 200 else what


def _start_problems(attempt: Attempt, conditions: Conditions) -> str:
    """Everything that keeps `attempt` from beginning, one line each; "" when nothing does."""
    policy_problem = "" if attempt.demonstration else conditions.policy_problem
    known = (conditions.fault_cause, conditions.recording_problem, policy_problem, *conditions.not_ready)
    return "\n".join(dict.fromkeys(filter(None, known)))


def _with_alignment(payload: str, alignment: str) -> str:
    """The payload of a go with the errors at that moment, and whatever the presser wrote."""
    said = {"said": payload} if payload else {}
    return json.dumps({**said, "alignment": json.loads(alignment)})
