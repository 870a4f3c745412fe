"""Clocks for control: monotonic time on a robot, simulated time where a /clock leads.

Core code takes times as arguments; only the outermost loops hold a clock.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from typing import Protocol

NS_PER_S = 1_000_000_000

# Three readings of a clock take a third of a microsecond, several on a slow computer.
CLOCK_READINGS_APART_NS = 10_000
CLOCK_READINGS = 10


class ControlClock(Protocol):
    """What a control loop needs of a clock. Times are nanoseconds and never go back."""

    def now_ns(self) -> int:
        """Current time [ns]."""
        ...

    def sleep_until_ns(self, deadline_ns: int) -> None:
        """Return at `deadline_ns`, at once when it has passed."""
        ...


class MonotonicClock:
    """CLOCK_MONOTONIC."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def sleep_until_ns(self, deadline_ns: int) -> None:
        remaining = deadline_ns - time.monotonic_ns()
        if remaining > 0:
            time.sleep(remaining / NS_PER_S)


def system_minus_monotonic_ns() -> int:
    """By how much the system clock is ahead of CLOCK_MONOTONIC [ns], to a few microseconds also on a busy computer.

    Two clocks are read one after the other, and whoever reads them may be preempted in between, for tens of
    milliseconds: the system clock is read between two readings of the other, again while those are far apart.
    """
    nearest_ns, difference_ns = sys.maxsize, 0
    for _ in range(CLOCK_READINGS):
        before_ns = time.monotonic_ns()
        system_ns = time.time_ns()
        apart_ns = time.monotonic_ns() - before_ns
        if apart_ns < nearest_ns:
            nearest_ns, difference_ns = apart_ns, system_ns - before_ns - apart_ns // 2
        if nearest_ns <= CLOCK_READINGS_APART_NS:
            break
    return difference_ns


class FollowedClock:
    """Simulated time, interpolated between the samples that a simulator publishes.

    A control loop at 200 Hz needs finer time than a 100 Hz /clock and cannot wait for a message. Time runs
    on at the rate of the last samples for at most `max_ahead_s` of simulated time past the newest one, so
    that a paused simulator pauses the loops. It never goes back; a sample that lies more than
    `max_ahead_s` before the last (the simulator was reset) is an error of the caller and is ignored.
    """

    # A loop that waits for time which does not come looks again this often; bounds its wake-up delay.
    POLL_S = 0.002
    # The rate is measured across this many samples: one late message must not make time race or crawl.
    RATE_SAMPLES = 50

    def __init__(self, max_ahead_s: float = 0.1) -> None:
        self._max_ahead_ns = int(max_ahead_s * NS_PER_S)
        self._lock = threading.Lock()
        self._samples: deque[tuple[int, int]] = deque(maxlen=self.RATE_SAMPLES)
        self._sim_ns = 0
        self._mono_ns = 0
        self._rate = 0.0
        self._last_ns = 0

    def update(self, sim_ns: int, mono_ns: int) -> None:
        """Take a sample: it was `sim_ns` in the simulation when this process's clock said `mono_ns`."""
        with self._lock:
            if sim_ns <= self._sim_ns or mono_ns <= self._mono_ns:
                return
            self._sim_ns, self._mono_ns = sim_ns, mono_ns
            self._samples.append((sim_ns, mono_ns))
            oldest_sim_ns, oldest_mono_ns = self._samples[0]
            if mono_ns > oldest_mono_ns:
                self._rate = (sim_ns - oldest_sim_ns) / (mono_ns - oldest_mono_ns)

    @property
    def started(self) -> bool:
        """Whether a sample has arrived."""
        return self._sim_ns > 0

    def now_ns(self) -> int:
        with self._lock:
            elapsed = (time.monotonic_ns() - self._mono_ns) * self._rate
            now = self._sim_ns + int(min(elapsed, self._max_ahead_ns))
            self._last_ns = max(self._last_ns, now)
            return self._last_ns

    def sleep_until_ns(self, deadline_ns: int) -> None:
        while (remaining := deadline_ns - self.now_ns()) > 0:
            with self._lock:
                rate = self._rate
            time.sleep(min(remaining / NS_PER_S / rate, self.POLL_S) if rate > 0 else self.POLL_S)
