"""When to ask the policy for the next chunk, and how late its answer will be. Pure: times are arguments."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from rove_core.clocks import NS_PER_S

# The last 64 answers (half a minute at 2 Hz): enough for a 95 % quantile that a single spike does not move.
LATENCY_WINDOW = 64
LATENCY_QUANTILE = 0.95

# An age grows evenly while a chunk is executed: this many samples of it describe the chunk.
AGES_PER_CHUNK = 8
# Five minutes of chunks at 2 Hz.
AGE_WINDOW = 600 * AGES_PER_CHUNK


class RunningQuantile:
    """A high quantile of the last values: near the worst, without being pinned by one spike."""

    def __init__(self, quantile: float = LATENCY_QUANTILE, window: int = LATENCY_WINDOW, initial: float = 0.0) -> None:
        """Args: initial: what to say before the first value."""
        self._quantile, self._initial = quantile, initial
        self._values: deque[float] = deque(maxlen=window)

    def add(self, value: float) -> None:
        """Take the newest value; the oldest of a full window is forgotten."""
        self._values.append(value)

    def value(self) -> float:
        """The quantile; the initial value before the first one."""
        return self.at(self._quantile)

    def at(self, quantile: float) -> float:
        """Another quantile of the same values."""
        if not self._values:
            return self._initial
        # "lower" so that in a short window, too, one spike is not the answer before it has company.
        return float(np.quantile(np.fromiter(self._values, float), quantile, method="lower"))


class ReplanScheduler:
    """Asks early enough that the next chunk is there when `execute` steps of the current one are spent.

    The first request after `restart` is due at once. Latency is what it took from request to publication;
    requests come back to back when it is longer than the executed part.

    Attributes:
        stalls: how often the robot ran out of steps before the next chunk came, or it came with all steps past.
        age_ms: of what the robot acts on: since the observation, over the time that each chunk is in force.
    """

    def __init__(self, dt_s: float, execute: int, horizon: int, margin_s: float, expected_s: float = 0.0) -> None:
        """Args:
        dt_s: time between steps of a chunk [s].
        execute: steps to use of each chunk.
        horizon: steps in a chunk.
        margin_s: how much earlier than computed to ask [s]; at least the time to the next picture.
        expected_s: how long an answer is thought to take before there was one [s].
        """
        self._dt_ns = dt_s * NS_PER_S
        self._execute_ns = int(execute * dt_s * NS_PER_S)
        self._horizon_ns = int(horizon * dt_s * NS_PER_S)
        self._margin_ns = int(margin_s * NS_PER_S)
        self._latency_ns = RunningQuantile(initial=expected_s * NS_PER_S)
        self._consumed = RunningQuantile(initial=expected_s / dt_s)
        self._start_ns: int | None = None
        self._ready_ns = 0
        self.stalls = 0
        self.age_ms = RunningQuantile(window=AGE_WINDOW)

    def restart(self) -> None:
        """Forget the chunk: another epoch began. What is known about latency stays."""
        self._start_ns = None

    @property
    def latency_ms(self) -> float:
        """From request to publication, nearly the longest of late [ms]."""
        return self._latency_ns.value() * 1e-6

    @property
    def delay_steps(self) -> int:
        """Steps of the chunk to come that will be executed before it is there, nearly the most of late.

        The one that is under way then is among them: the filter moves towards it already.
        """
        return math.ceil(self._consumed.value() - 1e-6) + 1

    def request_at_ns(self) -> int | None:
        """When the next request should leave; None means at once."""
        if self._start_ns is None:
            return None
        return self._start_ns + self._execute_ns - int(self._latency_ns.value()) - self._margin_ns

    def due(self, now_ns: int) -> bool:
        """Whether to ask now."""
        at_ns = self.request_at_ns()
        return at_ns is None or now_ns >= at_ns

    def published(self, observation_ns: int, request_ns: int, ready_ns: int) -> None:
        """A chunk went out.

        Args:
            observation_ns: its step 0.
            request_ns: when its inference began.
            ready_ns: when it was published.
        """
        late = ready_ns >= observation_ns + self._horizon_ns
        if self._start_ns is not None:
            spent_ns = self._start_ns + self._horizon_ns
            late |= ready_ns > spent_ns
            self._add_ages(self._start_ns, min(ready_ns, spent_ns))
        self.stalls += late
        self._latency_ns.add(float(ready_ns - request_ns))
        self._consumed.add((ready_ns - observation_ns) / self._dt_ns)
        self._start_ns, self._ready_ns = observation_ns, ready_ns

    def _add_ages(self, start_ns: int, until_ns: int) -> None:
        """Ages of the chunk observed at `start_ns`, in force from when it was ready until now."""
        for moment_ns in np.linspace(self._ready_ns, max(until_ns, self._ready_ns), AGES_PER_CHUNK):
            self.age_ms.add((float(moment_ns) - start_ns) * 1e-6)
