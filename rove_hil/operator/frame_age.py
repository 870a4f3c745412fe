"""How old a frame is when its sender's clock is not ours. Pure.

The age by the stamps is the true age plus the difference between two clocks. The difference is steady and the age has a
floor, the fastest way through the network: what counts is how far a frame lies above the lowest of late.
"""

from __future__ import annotations

from rove_core.clocks import NS_PER_S

# The floor rises this fast, so that it follows clocks that drift apart and a network that got slower [s per s].
RISE = 0.01
# Further away from the floor is another clock, not another delay: nothing waits that long between us [s].
JUMP_S = 1.0


class FrameAge:
    """Ages of the frames of one source.

    The first frame has age 0; a dropped one costs nothing; a sender's clock that jumps by more than `JUMP_S` begins
    anew with age 0.
    """

    def __init__(self) -> None:
        self._floor_ns: float | None = None
        self._arrived_ns = 0

    def update(self, capture_ns: int, arrived_ns: int) -> float:
        """Age above the fastest of late [s] of a frame stamped `capture_ns` that arrived at `arrived_ns`, our clock."""
        late_ns = float(arrived_ns - capture_ns)
        passed_ns, self._arrived_ns = max(arrived_ns - self._arrived_ns, 0), arrived_ns
        floor_ns = self._floor_ns
        if floor_ns is None or abs(late_ns - floor_ns) > JUMP_S * NS_PER_S:
            self._floor_ns = late_ns
            return 0.0
        self._floor_ns = min(floor_ns + RISE * min(passed_ns, NS_PER_S), late_ns)
        return (late_ns - self._floor_ns) / NS_PER_S
