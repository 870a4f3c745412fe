"""When a sample of the operator's motion is due, so that a network's jitter does not become the robot's. Pure.

Frames are captured evenly and arrive unevenly. Taking arrival times as motion would make the operator stop and leap
with every late frame. So motion is kept on the sender's capture times, and played with a delay that follows the mean
latency slowly; an offset between the two clocks is just part of that delay.
"""

from __future__ import annotations

import math

from rove_core.clocks import NS_PER_S

# The delay follows the latency with this time constant: slower than jitter, faster than a clock's drift [s].
FOLLOW_S = 1.0
# A latency this far from the delay is another clock or another network, not jitter: begin anew with it.
JUMP_NS = NS_PER_S // 2
# Two samples further apart than this are not one motion.
MAX_GAP_NS = NS_PER_S // 4


class Playout:
    """Maps capture times to control time.

    The first sample sets the delay; a dropped one costs nothing; a sender's clock that jumps begins a new motion.
    """

    def __init__(self) -> None:
        self._source_ns: int | None = None
        self._delay_ns = 0.0

    def reset(self) -> None:
        """The next sample begins a new motion; the delay stays."""
        self._source_ns = None

    def take(self, source_ns: int, arrival_ns: int) -> int:
        """A sample captured at `source_ns` arrived at `arrival_ns` (control clock).

        Returns:
            Time since the sample before on the sender's clock [ns]; 0 when this one begins a new motion.
        """
        last, self._source_ns = self._source_ns, source_ns
        latency_ns = arrival_ns - source_ns
        gap_ns = 0 if last is None else source_ns - last
        if not 0 < gap_ns < MAX_GAP_NS or abs(latency_ns - self._delay_ns) > JUMP_NS:
            if abs(latency_ns - self._delay_ns) > JUMP_NS or self._delay_ns == 0.0:
                self._delay_ns = float(latency_ns)
            return 0
        self._delay_ns += (latency_ns - self._delay_ns) * -math.expm1(-gap_ns / NS_PER_S / FOLLOW_S)
        return gap_ns

    def ahead_ns(self, now_ns: int) -> int:
        """How far the motion to play at `now_ns` lies after the last sample; negative when that one came early."""
        if self._source_ns is None:
            return 0
        return round(now_ns - self._source_ns - self._delay_ns)
