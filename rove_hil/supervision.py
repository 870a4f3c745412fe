"""The supervisor's memory: the mode, the attempt, the epoch, and the guards that the table does not know.

Pure: times come as arguments, what the rest of the system says comes as `Conditions`. The node around it
(`rove_hil.ros.supervisor_node`) listens and publishes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rove_core.clocks import NS_PER_S
from rove_core.errors import IllegalEventError
from rove_core.modes import Event, Mode, Stage, TakeoverWay
from rove_hil.takeover import OUTCOMES, step

# Who acts when the supervisor acts by itself.
SELF = "node:supervisor_node"

# These are obeyed whoever pressed, whenever, whatever they thought the mode was.
UNCONDITIONAL = (Event.ESTOP, Event.FAULT)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a task: one episode on disk.

    Attributes:
        takeover_way, operator_groups: how, and of which joint groups (empty: all), the operator drives in a takeover.
    """

    episode_id: str
    task: str
    instruction: str = ""
    start_stage: int = 0
    operator_name: str = ""
    supervisor_name: str = ""
    demonstration: bool = False
    metadata_json: str = ""
    takeover_way: TakeoverWay = TakeoverWay.ABSOLUTE
    operator_groups: tuple[str, ...] = ()

    @property
    def policy_shares(self) -> bool:
        """Whether the policy keeps a part of the robot during a takeover."""
        return not self.demonstration and (self.takeover_way is TakeoverWay.BLENDED or bool(self.operator_groups))


@dataclass(frozen=True, slots=True)
class Press:
    """A request: somebody pressed something.

    Attributes:
        stamp_ns: when, ROS clock [ns]; 0 when the presser did not say.
        episode_id: the attempt that was meant; "" means whichever is open.
        expected_mode: the mode that the presser saw; None when not known.
    """

    event: Event
    device: str
    stamp_ns: int = 0
    episode_id: str = ""
    expected_mode: Mode | None = None
    payload: str = ""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the rest of the system says at the moment of a press. "" means that nothing is wrong.

    Attributes:
        now_ns: ROS clock [ns].
        gate_met, gate_reason: of the alignment gate.
        recording_problem: why an attempt could not be recorded or controlled.
        policy_problem: why the policy could not take over.
        fault_cause: what is wrong with the robot's side right now.
    """

    now_ns: int
    gate_met: bool = False
    gate_reason: str = ""
    recording_problem: str = ""
    policy_problem: str = ""
    fault_cause: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one press. `attempt` is the one it belonged to, also when it ended it."""

    press: Press
    accepted: bool
    reason: str
    before: Mode
    after: Mode
    epoch: int
    attempt: Attempt | None


@dataclass(frozen=True, slots=True)
class State:
    """What `ControlMode` says."""

    mode: Mode
    stage: Stage
    epoch: int
    since_ns: int
    attempt: Attempt | None
    event: str
    event_device: str
    event_stamp_ns: int
    reason: str
    operator_ready: bool
    policy_runs: bool


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits on presses.

    Attributes:
        debounce_s: the same event from the same device within this time is one press [s].
        stale_s: a press that is older, or stamped further in the future, is refused [s].
    """

    debounce_s: float = 0.25
    stale_s: float = 1.0


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
    attempt: Attempt | None = None
    operator_ready: bool = False
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
        )

    # What it does

    def open(self, attempt: Attempt, device: str, conditions: Conditions) -> Answer:
        """Begin an attempt: IDLE -> ROLLOUT, or -> ALIGNING for a demonstration."""
        event = Event.TELEOP_START if attempt.demonstration else Event.START
        press = Press(event, device, conditions.now_ns, attempt.episode_id, payload=attempt.metadata_json)
        problem = conditions.fault_cause or conditions.recording_problem
        if not attempt.demonstration:
            problem = problem or conditions.policy_problem
        try:
            after = step(self.mode, event)
            if problem:
                raise IllegalEventError(problem)
        except IllegalEventError as refusal:
            return self._refuse(press, str(refusal))
        self.attempt = attempt
        return self._enter(press, after, conditions.now_ns, f"attempt {attempt.episode_id} began")

    def press(self, press: Press, conditions: Conditions) -> list[Answer]:
        """Apply one press. One answer, and one more for each step that the supervisor adds by itself."""
        try:
            if press.event not in UNCONDITIONAL:
                self._check_press(press, conditions.now_ns)
            after = step(self.mode, press.event)
            self._check_guards(press.event, conditions)
        except IllegalEventError as refusal:
            return [self._refuse(press, str(refusal))]
        self._pressed_ns[press.device, press.event] = conditions.now_ns
        answers = [self._enter(press, after, conditions.now_ns, _reason_of(press))]
        followed = self._follow_up(press.event, conditions)
        return answers + ([followed] if followed else [])

    def disown(self, episode_id: str, now_ns: int) -> Answer | None:
        """Close, as aborted, an attempt that a supervisor before this one left open. None when one is open here."""
        if self.mode is not Mode.IDLE or self._event:
            return None
        press = Press(Event.ABORT, SELF, now_ns, episode_id)
        return self._enter(press, Mode.IDLE, now_ns, f"supervisor_node restarted during attempt {episode_id}")

    def _check_press(self, press: Press, now_ns: int) -> None:
        """Refuse what cannot have been meant for this moment."""
        if press.stamp_ns:
            age_s = (now_ns - press.stamp_ns) / NS_PER_S
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
        if last_ns is not None and 0 <= now_ns - last_ns < self.rules.debounce_s * NS_PER_S:
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

    def _enter(self, press: Press, after: Mode, now_ns: int, reason: str) -> Answer:
        """Take the step: mode, epoch, and what the mode's change makes true or false."""
        before, attempt = self.mode, self.attempt
        self.mode = after
        if after is not before:
            self.epoch += 1
            self.since_ns = now_ns
            self.operator_ready = False
            # Who lost the robot on the way finds into it anew: the next takeover has its own mark.
            self._marked = False
        event: str = press.event
        if after is Mode.IDLE:
            self.attempt = None
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
        self._event, self._event_device, self._reason = event, press.device, reason
        self._event_stamp_ns = press.stamp_ns or now_ns
        return Answer(press, True, reason, before, after, self.epoch, attempt)

    def _follow_up(self, event: Event, conditions: Conditions) -> Answer | None:
        """The step that the supervisor adds: PAUSED is only passed through after these."""
        now_ns = conditions.now_ns
        if event is Event.HAND_BACK and not self._resume_problem(conditions):
            return self._enter(
                Press(Event.RESUME, SELF, now_ns), step(self.mode, Event.RESUME), now_ns, "handed back to the policy"
            )
        if event is Event.CLEAR and self.attempt is None:
            return self._enter(
                Press(Event.ABORT, SELF, now_ns), step(self.mode, Event.ABORT), now_ns, "no attempt was open"
            )
        return None

    def _refuse(self, press: Press, reason: str) -> Answer:
        return Answer(press, False, reason, self.mode, self.mode, self.epoch, self.attempt)


def _reason_of(press: Press) -> str:
    """One line for people: what happened, and what the presser wrote to it."""
    what = "attempt ended: " + press.event if press.event in OUTCOMES else str(press.event)
    return f"{what} ({press.payload})" if press.payload and len(press.payload) <= 200 else what
