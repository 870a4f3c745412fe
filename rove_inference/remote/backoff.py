"""How long to leave a server alone after it failed. Pure: times are arguments."""

from __future__ import annotations

FIRST_S, MOST_S = 0.1, 2.0


class Backoff:
    """A tenth of a second after the first failure, twice as long after each further one, two seconds at most [s]."""

    def __init__(self) -> None:
        self._wait_s = 0.0
        self._until_s = 0.0

    def failed(self, now_s: float) -> None:
        """It failed again."""
        self._wait_s = min(max(2 * self._wait_s, FIRST_S), MOST_S)
        self._until_s = now_s + self._wait_s

    def worked(self) -> None:
        """It worked: the next failure is a first one."""
        self._wait_s = self._until_s = 0.0

    def left_s(self, now_s: float) -> float:
        """How long to wait still; 0 when it may be tried."""
        return max(self._until_s - now_s, 0.0)
