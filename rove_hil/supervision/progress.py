"""What a session looks like while it runs: one line per attempt."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from rove_core.modes import OUTCOME_OF_EVENT, Event, Mode, Outcome, Stage
from rove_hil.supervision.session_plan import SessionPlan

# What people call a mode in progress.
_WORDS = {
    Mode.ROLLOUT: "rollout",
    Mode.PAUSED: "paused",
    Mode.ALIGNING: "aligning",
    Mode.FAULT: "FAULT",
    Mode.ESTOP: "EMERGENCY STOP",
}
_STAGE_WORDS = {Stage.ADAPTATION: "takeover (adaptation)", Stage.RECOVERY: "takeover (recovery)"}


@dataclass(slots=True)
class Progress:
    """Follows the mode and counts attempts.

    An attempt that was aborted is finished but not done: nobody can learn from it, so its stage comes again.

    Args:
        plan: what the session wants.
    """

    plan: SessionPlan
    finished: list[str] = field(default_factory=list)
    done: Counter[int] = field(default_factory=Counter)
    _episode_id: str = ""
    _start_stage: int = 0
    _began_s: float = 0.0
    _takeovers: int = 0
    _mode: Mode = Mode.IDLE
    _stage: Stage = Stage.NONE

    @property
    def number(self) -> int:
        """The current attempt, counted from 1."""
        return self.done.total() + 1

    @property
    def open(self) -> str:
        """The id of the open attempt, "" when none is."""
        return self._episode_id

    @property
    def next_stage(self) -> int:
        """The progress stage that the next attempt starts from."""
        return self.plan.next_stage(self.done)

    @property
    def complete(self) -> bool:
        """Whether all attempts that were wanted have been made."""
        return self.plan.complete(self.done)

    def update(self, now_s: float, mode: Mode, stage: Stage, episode_id: str, event: str, start_stage: int = 0) -> str:
        """Take what `ControlMode` says. Returns the line of an attempt that ended with it, else ""."""
        line = ""
        if self._episode_id and episode_id != self._episode_id:
            line = self._finish(now_s, event)
        if episode_id and episode_id != self._episode_id:
            self._episode_id, self._began_s, self._takeovers = episode_id, now_s, 0
            self._start_stage = start_stage
        if mode is Mode.TAKEOVER and self._mode is not Mode.TAKEOVER:
            self._takeovers += 1
        self._mode, self._stage = mode, stage
        return line

    def _finish(self, now_s: float, event: str) -> str:
        outcome = Outcome.UNLABELLED
        if event in set(Event):
            outcome = OUTCOME_OF_EVENT.get(Event(event), outcome)
        takeovers = f"{self._takeovers} takeover{'' if self._takeovers == 1 else 's'}"
        of = self._of()
        if outcome is not Outcome.ABORTED:
            self.done[self._start_stage] += 1
        quota = self.plan.shown(self._start_stage, self.done)
        self.finished.append(self._episode_id)
        took = f"{now_s - self._began_s:.0f} s"
        line = "  ".join(filter(None, (f"attempt {of}", outcome, takeovers, took, self._episode_id, quota)))
        self._episode_id = ""
        return line

    def line(self, now_s: float) -> str:
        """Where the session stands."""
        if not self._episode_id:
            quota = self.plan.shown(self.next_stage, self.done)
            return "  ".join(filter(None, (f"attempt {self._of()}", quota, "getting ready")))
        word = _STAGE_WORDS.get(self._stage) or _WORDS.get(self._mode, str(self._mode))
        start = f"from stage {self._start_stage}" if len(self.plan.quotas) > 1 else ""
        parts = (f"attempt {self._of()}", start, word, f"{now_s - self._began_s:.0f} s")
        return "  ".join(filter(None, parts))

    def _of(self) -> str:
        return f"{self.number}/{self.plan.attempts}" if self.plan.attempts else f"{self.number}"
