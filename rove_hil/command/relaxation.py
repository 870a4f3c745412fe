"""When a robot whose driver can relax should: after a fault, once it has come to rest and nobody cleared it."""

from __future__ import annotations

from rove_core.clocks import NS_PER_S
from rove_core.modes import Mode


class Relaxation:
    """Times are control time [ns]. A dropped tick changes nothing; a clock that goes back starts the wait again.

    Never while something moves, in no mode but FAULT, and over as soon as the mode is another one.
    """

    def __init__(self, after_s: float) -> None:
        """Args: after_s: how long the robot rests in FAULT before it relaxes [s]."""
        self._after_ns = round(after_s * NS_PER_S)
        self._since_ns: int | None = None
        self.relaxed = False

    def update(self, now_ns: int, mode: Mode | None, at_rest: bool) -> bool:
        """Whether `relaxed` changed in this tick."""
        before = self.relaxed
        if mode is not Mode.FAULT:
            self._since_ns, self.relaxed = None, False
        elif not self.relaxed:
            if not at_rest or self._since_ns is None or now_ns < self._since_ns:
                self._since_ns = now_ns
            self.relaxed = at_rest and now_ns - self._since_ns >= self._after_ns
        return self.relaxed is not before
