"""What the clock of the other side says, and how long the way there and back is. Pure: stamps are arguments."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

# NTP's clock filter keeps eight samples (RFC 5905, section 10).
WINDOW = 8


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and its answer. `asked` and `back` are on our clock, `received` and `answered` on theirs [ns]."""

    asked_ns: int
    received_ns: int
    answered_ns: int
    back_ns: int

    @property
    def round_trip_ns(self) -> int:
        """From question to answer, on our clock [ns]."""
        return self.back_ns - self.asked_ns

    @property
    def network_ns(self) -> int:
        """The part of it that was spent on the way [ns]."""
        return self.round_trip_ns - (self.answered_ns - self.received_ns)

    @property
    def offset_ns(self) -> int:
        """Their clock minus ours, were both ways as long (RFC 5905, section 8) [ns]."""
        return ((self.received_ns - self.asked_ns) + (self.answered_ns - self.back_ns)) // 2


class ClockOffset:
    """The offset of the exchange that was the shortest time on the way, of the last eight.

    A big picture makes the way there longer than the way back, and the offset is wrong by half the difference; the
    quickest exchange is wrong by least, and by no more than half its time on the way. Before the first exchange both
    are 0. A clock that jumps is believed as soon as eight newer exchanges are in.
    """

    def __init__(self) -> None:
        self._exchanges: deque[Exchange] = deque(maxlen=WINDOW)

    def add(self, exchange: Exchange) -> None:
        """Take the newest exchange."""
        self._exchanges.append(exchange)

    @property
    def offset_ms(self) -> float:
        """Their clock minus ours [ms]."""
        return self._best().offset_ns * 1e-6

    @property
    def network_ms(self) -> float:
        """Time on the way of the quickest exchange, there and back [ms]."""
        return self._best().network_ns * 1e-6

    def _best(self) -> Exchange:
        return min(self._exchanges, key=lambda exchange: exchange.network_ns, default=Exchange(0, 0, 0, 0))
