"""Pressing a key twice, told from holding it down: a terminal repeats a held key and says nothing of letting go."""

from __future__ import annotations

from dataclasses import dataclass, field

from rove_core.clocks import NS_PER_S
from rove_hil.inputs.button import Seen

# A held key comes a second time after a quarter of a second or more, and from then on at least every tenth.
QUIET_S = 0.15


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A key was pressed twice. `seen`: at the first press."""

    key: str
    seen: Seen


@dataclass(slots=True)
class DoublePress:
    """Counts presses of one key: two within `within_s` and then quiet is a confirmation, three are a held key.

    Another key starts anew. A held key counts for nothing until it has been quiet for QUIET_S.
    """

    within_s: float
    _key: str = ""
    _seen: Seen = field(default_factory=Seen)
    _first_ns: int = 0
    _last_ns: int = 0
    _count: int = 0

    @property
    def due_ns(self) -> int | None:
        """When `poll` has something to say, control clock [ns]."""
        if self._count == 0:
            return None
        quiet_ns = self._last_ns + int(QUIET_S * NS_PER_S)
        return quiet_ns if self._count > 1 else self._first_ns + int(self.within_s * NS_PER_S)

    def press(self, key: str, seen: Seen, now_ns: int) -> bool:
        """Take a press. True when it is the first of two."""
        self.poll(now_ns)
        if key != self._key or self._count == 0:
            self._key, self._seen, self._first_ns, self._count = key, seen, now_ns, 0
        self._count += 1
        self._last_ns = now_ns
        return self._count == 1

    def cancel(self) -> None:
        """Something else was pressed."""
        self._count = 0

    def poll(self, now_ns: int) -> Confirmed | None:
        """What was pressed twice, once; None when nothing (yet)."""
        due_ns = self.due_ns
        if due_ns is None or now_ns < due_ns:
            return None
        twice = self._count == 2
        self._count = 0
        return Confirmed(self._key, self._seen) if twice else None
