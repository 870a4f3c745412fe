"""What a session looks like while it runs: one line per attempt."""

from __future__ import annotations

from dataclasses import dataclass, field

from rove_core.modes import Event, Mode, Outcome, Stage

# What people call a mode in progress.
_WORDS = {
    Mode.ROLLOUT: "rollout",
    Mode.PAUSED: "paused",
    Mode.ALIGNING: "aligning",
    Mode.FAULT: "FAULT",
    Mode.ESTOP: "EMERGENCY STOP",
}
_STAGE_WORDS = {Stage.ADAPTATION: "takeover (adaptation)", Stage.RECOVERY: "takeover (recovery)"}
_OUTCOMES = {Event.SUCCEED: Outcome.SUCCESS, Event.FAIL: Outcome.FAILURE, Event.ABORT: Outcome.ABORTED}


@dataclass(slots=True)
class Progress:
    """Follows the mode and counts attempts.

    Args:
        attempts: how many are planned; 0 when nobody knows.
    """

    attempts: int
    finished: list[str] = field(default_factory=list)
    _episode_id: str = ""
    _began_s: float = 0.0
    _takeovers: int = 0
    _mode: Mode = Mode.IDLE
    _stage: Stage = Stage.NONE

    @property
    def number(self) -> int:
        """The current attempt, counted from 1."""
        return len(self.finished) + 1

    @property
    def open(self) -> str:
        """The id of the open attempt, "" when none is."""
        return self._episode_id

    def update(self, now_s: float, mode: Mode, stage: Stage, episode_id: str, event: str) -> str:
        """Take what `ControlMode` says. Returns the line of an attempt that ended with it, else ""."""
        line = ""
        if self._episode_id and episode_id != self._episode_id:
            outcome = (
                str(_OUTCOMES.get(Event(event), Outcome.UNLABELLED)) if event in set(Event) else Outcome.UNLABELLED
            )
            takeovers = f"{self._takeovers} takeover{'' if self._takeovers == 1 else 's'}"
            line = f"attempt {self._of()}  {outcome}  {takeovers}  {now_s - self._began_s:.0f} s  {self._episode_id}"
            self.finished.append(self._episode_id)
            self._episode_id = ""
        if episode_id and episode_id != self._episode_id:
            self._episode_id, self._began_s, self._takeovers = episode_id, now_s, 0
        if mode is Mode.TAKEOVER and self._mode is not Mode.TAKEOVER:
            self._takeovers += 1
        self._mode, self._stage = mode, stage
        return line

    def line(self, now_s: float) -> str:
        """Where the session stands."""
        if not self._episode_id:
            return f"attempt {self._of()}  getting ready"
        word = _STAGE_WORDS.get(self._stage) or _WORDS.get(self._mode, str(self._mode))
        return f"attempt {self._of()}  {word}  {now_s - self._began_s:.0f} s"

    def _of(self) -> str:
        return f"{self.number}/{self.attempts}" if self.attempts else f"{self.number}"
