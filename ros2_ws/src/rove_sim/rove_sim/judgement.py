"""What an onlooker concludes from watching an attempt: it goes on, it has stalled, it cannot succeed any more.

Progress is a milestone reached (eraser in hand, a mark gone) or the hand nearer to the next one than ever
before. Somebody who has seen neither for a while reaches for the pedal.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from rove_core.clocks import NS_PER_S
from rove_core.config import ConfigModel


@dataclass(frozen=True, slots=True)
class Sighting:
    """What can be seen of the task at one moment.

    Attributes:
        milestones: how many steps of the task are done; may fall again (object dropped).
        distance_m: from what is to be moved next to where it has to go.
        success: the task is done.
        lost: the object is where nobody can pick it up again.
    """

    milestones: int
    distance_m: float
    success: bool
    lost: bool = False


class Patience(ConfigModel):
    """When an onlooker gives up on whoever moves the robot."""

    stall_s: float = Field(8.0, gt=0, description="without any progress before an onlooker expects a failure")
    nearer_m: float = Field(0.02, gt=0, description="getting nearer by this much counts as progress")


class Onlooker:
    """Follows one attempt. Times are control time [ns] and must not go back."""

    def __init__(self, patience: Patience, now_ns: int) -> None:
        self._patience = patience
        self._milestones: int | None = None
        self._best_m = float("inf")
        self.lost = False
        self._success_since_ns: int | None = None
        self.last_progress_ns = now_ns
        self.gained = 0
        self.approach_m = 0.0

    def watch_afresh(self, now_ns: int) -> None:
        """Somebody else moves the robot now: count progress from here."""
        self.last_progress_ns = now_ns
        self._milestones = None
        self.gained = 0
        self.approach_m = 0.0

    def see(self, now_ns: int, sighting: Sighting) -> None:
        """Take in one sighting."""
        self.lost = sighting.lost
        if not sighting.success:
            self._success_since_ns = None
        elif self._success_since_ns is None:
            self._success_since_ns = now_ns
        if self._milestones is None:
            self._milestones, self._best_m = sighting.milestones, sighting.distance_m
        elif sighting.milestones != self._milestones:
            if sighting.milestones > self._milestones:
                self.gained += sighting.milestones - self._milestones
                self.last_progress_ns = now_ns
            self._milestones, self._best_m = sighting.milestones, sighting.distance_m
        elif sighting.distance_m < self._best_m - self._patience.nearer_m:
            self.approach_m += self._best_m - sighting.distance_m
            self._best_m = sighting.distance_m
            self.last_progress_ns = now_ns

    def success_for_s(self, now_ns: int) -> float:
        """How long the task has been done without a break [s]; 0 when it is not."""
        return 0.0 if self._success_since_ns is None else (now_ns - self._success_since_ns) / NS_PER_S

    def verdict(self, now_ns: int) -> str:
        """Why this is about to fail, "" while it is not."""
        if self._success_since_ns is not None:
            return ""
        if self.lost:
            return "the object is out of reach"
        stalled_s = (now_ns - self.last_progress_ns) / NS_PER_S
        if stalled_s > self._patience.stall_s:
            return f"no progress for {stalled_s:.0f} s"
        return ""
