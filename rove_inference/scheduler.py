"""When to ask the policy for the next chunk. Pure: times are arguments, all on one clock."""

from __future__ import annotations

from collections import deque

import numpy as np

from rove_core.clocks import NS_PER_S

# The last 64 answers (half a minute at 2 Hz): enough for a 95 % quantile that a single spike does not move.
LATENCY_WINDOW = 64
LATENCY_QUANTILE = 0.95


class RunningQuantile:
    """A high quantile of the last values: near the worst, without being pinned by one spike."""

    def __init__(self, quantile: float = LATENCY_QUANTILE, window: int = LATENCY_WINDOW) -> None:
        self._quantile = quantile
        self._values: deque[float] = deque(maxlen=window)

    def add(self, value: float) -> None:
        """Take the newest value; the oldest of a full window is forgotten."""
        self._values.append(value)

    def value(self) -> float:
        """The quantile; 0 before the first value."""
        return self.at(self._quantile)

    def at(self, quantile: float) -> float:
        """Another quantile of the same values; 0 before the first value."""
        if not self._values:
            return 0.0
        # "lower" so that in a short window, too, one spike is not the answer before it has company.
        return float(np.quantile(np.fromiter(self._values, float), quantile, method="lower"))


class ReplanScheduler:
    """Asks early enough that the next chunk is there when `execute` steps of the current one are spent.

    The first request after `restart` is due at once. Latency is what it took from request to publication;
    requests come back to back when it is longer than the executed part.
    """

    def __init__(self, dt_s: float, execute: int, horizon: int, margin_s: float) -> None:
        """Args:
        dt_s: time between steps of a chunk [s].
        execute: steps to use of each chunk.
        horizon: steps in a chunk.
        margin_s: how much earlier than computed to ask [s]; at least the time to the next picture.
        """
        self._execute_ns = int(execute * dt_s * NS_PER_S)
        self._horizon_ns = int(horizon * dt_s * NS_PER_S)
        self._margin_ns = int(margin_s * NS_PER_S)
        self._latency = RunningQuantile()
        self._chunk_start_ns: int | None = None
        self.stalls = 0

    def restart(self) -> None:
        """Forget the chunk: another epoch began. What is known about latency stays."""
        self._chunk_start_ns = None

    def request_at_ns(self) -> int | None:
        """When the next request should leave; None means at once."""
        if self._chunk_start_ns is None:
            return None
        return self._chunk_start_ns + self._execute_ns - int(self._latency.value()) - self._margin_ns

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
        if self._chunk_start_ns is not None and ready_ns > self._chunk_start_ns + self._horizon_ns:
            self.stalls += 1  # the robot ran out of steps before this one came
        self._latency.add(float(ready_ns - request_ns))
        self._chunk_start_ns = observation_ns
