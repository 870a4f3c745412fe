"""An attempt, the presses during it, what they are judged by and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass

from rove_core.modes import Event, Mode, Stage, TakeoverWay
from rove_hil.supervision.takeover_choice import AS_OPENED, TakeoverRequest


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
        takeover: how the takeover shall go that this press asks for.
    """

    event: Event
    device: str
    stamp_ns: int = 0
    episode_id: str = ""
    expected_mode: Mode | None = None
    payload: str = ""
    takeover: TakeoverRequest = AS_OPENED


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the rest of the system says at the moment of a press. "" means that nothing is wrong.

    Attributes:
        now_ns: ROS clock [ns]: what stamps carry. It may jump.
        control_ns: control clock [ns]: what durations are measured by.
        gate_met, gate_reason: of the alignment gate.
        alignment: the errors behind that, a JSON object; "" when nothing was measured.
        recording_problem: why an attempt could not be recorded or controlled.
        policy_problem: why the policy could not take over.
        fault_cause: what is wrong with the robot's side right now.
        not_ready: what else has to be there before an attempt begins, one line each.
    """

    now_ns: int
    control_ns: int = 0
    gate_met: bool = False
    gate_reason: str = ""
    alignment: str = ""
    recording_problem: str = ""
    policy_problem: str = ""
    fault_cause: str = ""
    not_ready: tuple[str, ...] = ()


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
    question: str


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits on presses and attempts.

    Attributes:
        debounce_s: the same event from the same device within this time is one press [s].
        stale_s: a press that is older, or stamped further in the future, is refused [s].
        max_attempt_s: an attempt that takes longer is paused, and a person decides [s]; 0: no limit.
        confirm_reset: whether a person has to set the scene between attempts.
    """

    debounce_s: float = 0.25
    stale_s: float = 1.0
    max_attempt_s: float = 0.0
    confirm_reset: bool = False
