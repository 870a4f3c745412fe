"""What a supervisor does with the pedal during one attempt, as a pure function of what can be seen.

The script looks at the mode, not at its own memory of what it pressed: a press that was refused or lost is
repeated, and a change that somebody else made is simply the new situation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from rove_core.clocks import NS_PER_S
from rove_core.config import ConfigModel
from rove_core.modes import Event, Mode, Stage
from rove_sim.judgement import Onlooker, Patience, Sighting


class SupervisorHabits(ConfigModel):
    """How a supervisor works."""

    max_attempt_s: float = Field(90.0, gt=0, description="an attempt that takes longer has failed")
    confirm_s: float = Field(0.5, ge=0, description="success must last this long before it is called")
    patience: Patience = Patience()
    takeover_delay_s: tuple[float, float] = Field((0.6, 1.2), description="from pausing to asking for the operator")
    go_delay_s: tuple[float, float] = Field((0.2, 0.5), description="from a met gate to go")
    force_go_after_s: float = Field(15.0, gt=0, description="an alignment that takes longer is forced")
    mark_delay_s: tuple[float, float] = Field(
        (0.5, 1.2), description="from seeing recovery to marking it: late is safe"
    )
    mark_after_approach_m: float = Field(0.1, gt=0, description="approach since takeover that shows recovery")
    hopeless_s: float = Field(20.0, gt=0, description="without progress before an attempt without operator is ended")
    hand_back_probability: float = Field(0.0, ge=0, le=1, description="of giving the robot back to the policy")
    clear_after_s: float = Field(2.0, gt=0, description="from a fault to the first try to clear it")
    repeat_s: float = Field(1.0, gt=0, description="a press that changed nothing is repeated after this")


@dataclass(frozen=True, slots=True)
class Situation:
    """What the supervisor reads off the console.

    Attributes:
        mode: who moves the robot. stage: as marked so far.
        operator_ready, gate_met: shown while aligning.
        asked: the console asks what the attempt was, because its time is over.
    """

    mode: Mode
    stage: Stage
    operator_ready: bool
    gate_met: bool
    asked: bool = False


class AttemptScript:
    """One attempt from its start to its outcome.

    Args:
        operator: whether somebody can take over.
        demonstration: the operator does the whole task.
        now_ns: control time of the start [ns].
    """

    def __init__(
        self, habits: SupervisorHabits, operator: bool, demonstration: bool, rng: np.random.Generator, now_ns: int
    ) -> None:
        self._habits = habits
        self._operator = operator
        self._demonstration = demonstration
        self._rng = rng
        self._begin_ns = now_ns
        patience = habits.patience
        if not operator:
            patience = Patience(stall_s=habits.hopeless_s, nearer_m=patience.nearer_m)
        self.onlooker = Onlooker(patience, now_ns)
        self._seen_mode: Mode | None = None
        self._since_ns = now_ns
        self._delay_s = 0.0
        self._gives_back = False
        self._met_since_ns: int | None = None
        self._recovered_ns: int | None = None
        self._pressed: Event | None = None
        self._pressed_ns = 0
        self.reason = ""

    def step(self, now_ns: int, situation: Situation, sighting: Sighting | None) -> Event | None:
        """What to press now, if anything. Call it 10 to 50 times a second.

        Args:
            sighting: the newest one since the last call, None when nothing new was seen.
        """
        if situation.mode is not self._seen_mode:
            self._enter(now_ns, situation.mode)
        if sighting is not None:
            self.onlooker.see(now_ns, sighting)
        wanted = self._wanted(now_ns, situation)
        pressed_lately = self._elapsed_s(now_ns, self._pressed_ns) < self._habits.repeat_s
        if wanted is None or (wanted is self._pressed and pressed_lately):
            return None
        self._pressed, self._pressed_ns = wanted, now_ns
        return wanted

    def _enter(self, now_ns: int, mode: Mode) -> None:
        if mode in (Mode.ROLLOUT, Mode.TAKEOVER):
            self.onlooker.watch_afresh(now_ns)
        self._seen_mode, self._since_ns = mode, now_ns
        self._pressed = self._met_since_ns = self._recovered_ns = None
        self.reason = ""
        delays = {Mode.PAUSED: self._habits.takeover_delay_s, Mode.ALIGNING: self._habits.go_delay_s}
        self._delay_s = float(self._rng.uniform(*delays.get(mode, self._habits.mark_delay_s)))
        # Nobody gives a demonstration back: there is no policy.
        self._gives_back = not self._demonstration and self._rng.random() < self._habits.hand_back_probability

    def _wanted(self, now_ns: int, situation: Situation) -> Event | None:
        in_mode_s = self._elapsed_s(now_ns, self._since_ns)
        match situation.mode:
            case Mode.ROLLOUT:
                return self._outcome(now_ns) or self._intervention(now_ns)
            case Mode.PAUSED:
                if in_mode_s < self._delay_s:
                    return None
                if situation.asked:
                    return self._outcome(now_ns) or self._give_up("its time is over")
                return Event.TAKEOVER if self._operator else Event.FAIL
            case Mode.ALIGNING:
                return self._start_of_takeover(now_ns, situation, in_mode_s)
            case Mode.TAKEOVER:
                return self._during_takeover(now_ns, situation)
            case Mode.FAULT:
                return Event.CLEAR if in_mode_s >= self._habits.clear_after_s else None
        # An e-stop was somebody's decision: only they release it.
        return None

    def _outcome(self, now_ns: int) -> Event | None:
        if self.onlooker.success_for_s(now_ns) > self._habits.confirm_s:
            self.reason = "done"
            return Event.SUCCEED
        if self._elapsed_s(now_ns, self._begin_ns) > self._habits.max_attempt_s:
            self.reason = f"not done after {self._habits.max_attempt_s:.0f} s"
            return Event.FAIL
        return None

    def _give_up(self, reason: str) -> Event:
        self.reason = reason
        return Event.FAIL

    def _intervention(self, now_ns: int) -> Event | None:
        verdict = self.onlooker.verdict(now_ns)
        if not verdict:
            return None
        self.reason = verdict
        return Event.PAUSE if self._operator else Event.FAIL

    def _start_of_takeover(self, now_ns: int, situation: Situation, in_mode_s: float) -> Event | None:
        if in_mode_s > self._habits.force_go_after_s:
            self.reason = "the operator does not get into the robot's pose"
            return Event.FORCE_GO
        if not (situation.gate_met and situation.operator_ready):
            self._met_since_ns = None
            return None
        if self._met_since_ns is None:
            self._met_since_ns = now_ns
        return Event.GO if self._elapsed_s(now_ns, self._met_since_ns) >= self._delay_s else None

    def _during_takeover(self, now_ns: int, situation: Situation) -> Event | None:
        outcome = self._outcome(now_ns)
        if situation.stage is Stage.ADAPTATION and (outcome is Event.SUCCEED or self._recovering(now_ns)):
            return Event.MARK_PROGRESS
        if outcome is not None:
            return outcome
        if self.onlooker.lost:
            self.reason = "the object is out of reach"
            return Event.FAIL
        recovered = situation.stage is Stage.RECOVERY and self.onlooker.gained > 0
        return Event.HAND_BACK if self._gives_back and recovered else None

    def _recovering(self, now_ns: int) -> bool:
        """Whether recovery has been evident for as long as this supervisor waits before marking it."""
        if self._demonstration:
            return True
        evident = self.onlooker.gained > 0 or self.onlooker.approach_m > self._habits.mark_after_approach_m
        if evident and self._recovered_ns is None:
            self._recovered_ns = now_ns
        return self._recovered_ns is not None and self._elapsed_s(now_ns, self._recovered_ns) >= self._delay_s

    @staticmethod
    def _elapsed_s(now_ns: int, since_ns: int) -> float:
        return (now_ns - since_ns) / NS_PER_S
